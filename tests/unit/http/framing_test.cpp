// Where a request ends, and what is refused.
#include "common/http/framing.hpp"

#include <doctest/doctest.h>

using namespace axle;
using namespace axle::http;

namespace {

struct Seen {
    std::vector<std::string> requests;  // METHOD TARGET|body
    int status = 0;
    bool operator==(const Seen&) const = default;
};

BodyRule rule(const RequestHead& head) {
    BodyRule r{.limit = 100};
    r.streamed = head.path() == "/stream";
    return r;
}

// Feeds the bytes in pieces of this size and writes down what comes out.
Seen feed(std::string_view wire, std::size_t piece) {
    Framer framer(rule);
    Seen seen;
    std::string body;
    for (std::size_t at = 0; at < wire.size(); at += piece) {
        framer.feed(wire.substr(at, piece));
        for (bool more = true; more;) {
            switch (framer.next()) {
                case Framer::Event::need_more:
                    more = false;
                    break;
                case Framer::Event::head:
                    body.clear();
                    break;
                case Framer::Event::piece:
                    body += framer.take_piece();
                    break;
                case Framer::Event::complete:
                    body += framer.take_body();
                    seen.requests.push_back(framer.head().method + " " + framer.head().target + "|" + body);
                    body.clear();
                    break;
                case Framer::Event::refused:
                    seen.status = framer.refusal().status;
                    CHECK_FALSE(framer.refusal().why.empty());
                    return seen;
            }
        }
    }
    return seen;
}

Seen feed_all_ways(std::string_view wire) {
    const Seen whole = feed(wire, wire.size());
    for (const std::size_t piece : {1, 2, 3, 7}) {
        CAPTURE(piece);
        CHECK(feed(wire, piece) == whole);
    }
    return whole;
}

}  // namespace

TEST_CASE("requests are found, however the bytes are cut") {
    struct Row {
        const char* name;
        std::string wire;
        std::vector<std::string> requests;
    };
    const std::vector<Row> rows = {
        {"no body", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", {"GET /|"}},
        {"a length", "POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz", {"POST /a?b=c|xyz"}},
        {"length 0", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", {"POST /|"}},
        {"chunks",
         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
         "Chunked\r\n\r\n3;x=y\r\nabc\r\n0a\r\n0123456789\r\n0\r\n\r\n",
         {"POST /|abc0123456789"}},
        {"no chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {"POST /|"}},
        {"pipelined",
         "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPUT /2 HTTP/1.1\r\nhost: a\r\ncontent-length:2\r\n\r\nokGET /3 "
         "HTTP/1.1\r\nHost: a\r\n\r\n",
         {"GET /1|", "PUT /2|ok", "GET /3|"}},
        {"empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", {"GET /|"}},
        {"streamed over the limit",
         "PUT /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\n" + std::string(200, 's'),
         {"PUT /stream|" + std::string(200, 's')}},
        {"streamed chunks",
         "PUT /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n78\r\n" + std::string(120, 's') +
             "\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
         {"PUT /stream|" + std::string(120, 's'), "GET /|"}},
        {"streamed nothing", "PUT /stream HTTP/1.1\r\nHost: a\r\n\r\n", {"PUT /stream|"}},
        {"options for all", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", {"OPTIONS *|"}},
        {"IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:7443\r\n\r\n", {"GET /|"}},
        {"escapes", "GET /a%2Fb%c3%A4 HTTP/1.1\r\nHost: a\r\n\r\n", {"GET /a%2Fb%c3%A4|"}},
        {"not yet whole", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxy", {}},
        {"not yet a head", "GET / HTTP/1.1\r\nHost: a\r\n", {}},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        const Seen seen = feed_all_ways(row.wire);
        CHECK(seen.status == 0);
        CHECK(seen.requests == row.requests);
    }
}

TEST_CASE("what could be read in two ways, or is over a limit, is refused with its status") {
    const auto with = [](std::string headers) { return "POST / HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n"; };
    struct Row {
        const char* name;
        std::string wire;
        int status;
    };
    const std::string chunked = with("Transfer-Encoding: chunked\r\n");
    const std::vector<Row> rows = {
        {"both lengths", with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400},
        {"both, other order", with("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), 400},
        {"length twice", with("Content-Length: 3\r\nContent-Length: 3\r\n"), 400},
        {"length list", with("Content-Length: 3, 3\r\n"), 400},
        {"length with sign", with("Content-Length: +3\r\n"), 400},
        {"length in hex", with("Content-Length: 0x3\r\n"), 400},
        {"length too long", with("Content-Length: 9999999999999999999\r\n"), 400},
        {"length empty", with("Content-Length:\r\n"), 400},
        {"encoding twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
        {"other encoding", with("Transfer-Encoding: gzip, chunked\r\n"), 501},
        {"encoding with bait", with("Transfer-Encoding: xchunked\r\n"), 501},
        {"encoding, space before colon", with("Transfer-Encoding : chunked\r\n"), 400},
        {"folded header", with("X: a\r\n b\r\n"), 400},
        {"line feed alone", "POST / HTTP/1.1\r\nHost: a\nContent-Length: 3\r\n\r\n", 400},
        {"carriage return in a value", with("X: a\rb\r\n"), 400},
        {"NUL in a value", with(std::string("X: a\0b\r\n", 8)), 400},
        {"no name", with(": a\r\n"), 400},
        {"no colon", with("Content-Length\r\n"), 400},
        {"no host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", 400},
        {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"odd host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
        {"two tokens", with("Authorization: a\r\nAuthorization: b\r\n"), 400},
        {"HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", 505},
        {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"no version", "GET /\r\nHost: a\r\n\r\n", 400},
        {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", 400},
        {"unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"absolute target", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"bad escape", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"short escape", "GET /% HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"escaped NUL", "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"raw umlaut", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"long target", "GET /" + std::string(8000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
        {"other expectation", with("Expect: cake\r\n"), 417},
        {"long head", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(17'000, 'x') + "\r\n\r\n", 431},
        {"head without end", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x'), 431},
        {"TLS on a plain port", "\x16\x03\x01\x02", 400},
        {"body over the limit", with("Content-Length: 101\r\n"), 413},
        {"chunks over the limit", chunked + "40\r\n" + std::string(64, 'x') + "\r\n25\r\n", 413},
        {"chunk size no number", chunked + "x\r\n", 400},
        {"chunk size empty", chunked + "\r\n", 400},
        {"chunk size with sign", chunked + "-1\r\n", 400},
        {"chunk size too long", chunked + "000000001\r\n", 400},
        {"chunk line too long", chunked + "1;" + std::string(100, 'x') + "\r\n", 400},
        {"line feed in an extension", chunked + "1;a\nb\r\nx\r\n0\r\n\r\n", 400},
        {"chunk longer than it says", chunked + "1\r\nxy\r\n0\r\n\r\n", 400},
        {"trailer", chunked + "0\r\nX: a\r\n\r\n", 400},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        const Seen seen = feed_all_ways(row.wire);
        CHECK(seen.status == row.status);
        CHECK(seen.requests.empty());
    }
}

TEST_CASE("limits are met exactly") {
    const auto head_of = [](std::size_t size) {
        std::string head = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        head += std::string(size - head.size(), 'x');
        return head + "\r\n\r\n";
    };
    CHECK(feed(head_of(kHeadMax), 5000).requests.size() == 1);
    CHECK(feed(head_of(kHeadMax), 1).requests.size() == 1);
    CHECK(feed(head_of(kHeadMax + 1), 5000).status == 431);
    CHECK(feed(head_of(kHeadMax + 1), 1).status == 431);
    CHECK(feed("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" + std::string(100, 'x'), 9).requests.size() ==
          1);
}

TEST_CASE("a hundred thousand small chunks nest no calls") {
    std::string wire = "PUT /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i < 100'000; ++i) wire += "1\r\nx\r\n";
    wire += "0\r\n\r\n";
    CHECK(feed(wire, wire.size()).requests.at(0).size() == 100'000 + std::string("PUT /stream|").size());
}

TEST_CASE("who expects 100 Continue is told once, and only while it waits") {
    Framer framer;
    framer.feed("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    CHECK(framer.next() == Framer::Event::need_more);
    CHECK(framer.take_wants_continue());
    CHECK_FALSE(framer.take_wants_continue());
    framer.feed("ok");
    CHECK(framer.next() == Framer::Event::complete);
    framer.feed("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\no");
    CHECK(framer.next() == Framer::Event::need_more);
    CHECK_FALSE(framer.take_wants_continue());
}

TEST_CASE("Connection: close and idleness are seen") {
    Framer framer;
    CHECK(framer.idle());
    framer.feed("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Close\r\n\r\nrest");
    CHECK(framer.next() == Framer::Event::complete);
    CHECK_FALSE(framer.head().keep_alive);
    CHECK_FALSE(framer.idle());
    CHECK(framer.take_rest() == "rest");
    CHECK(framer.idle());
}
