// What the client makes of a server's answer: lengths are numbers and nothing else, and nothing goes on for ever.
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "common/http/client_response.hpp"

using namespace axle;
using namespace axle::http;

namespace {

// All of it is there, and the server has ended, before the client reads.
Result<Response> answer(const std::string& bytes) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    Fd server(ends[1]);
    Wire client = Wire::over(Transport(Fd(ends[0])));
    REQUIRE(::write(server.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    server.reset();
    return read_response(client, false, {}, milliseconds{10'000});
}

const std::string kChunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string sized(const std::string& length) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + length + "\r\n\r\nabc";
}

}  // namespace

TEST_CASE("a server's answer is read whole") {
    struct Row {
        const char* what;
        std::string bytes, body;
    };
    const Row rows[] = {
        {"a length", sized("3"), "abc"},
        {"chunks", kChunked + "3\r\nabc\r\n2;name=value\r\nde\r\n0\r\n\r\n", "abcde"},
        {"a size with a blank behind it", kChunked + "3 \r\nabc\r\n0\r\n\r\n", "abc"},
        {"fields behind the chunks", kChunked + "1\r\na\r\n0\r\nChecksum: 1\r\n\r\n", "a"},
        {"up to the end", "HTTP/1.0 200 OK\r\n\r\nabc", "abc"},
        {"first a Continue", "HTTP/1.1 100 Continue\r\n\r\n" + sized("3"), "abc"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.what);
        const auto response = answer(row.bytes);
        REQUIRE(response);
        CHECK(response->body == row.body);
    }
}

TEST_CASE("a server's answer that can't be right is refused, not half taken") {
    std::string continues;
    for (int i = 0; i < 11; ++i) continues += "HTTP/1.1 100 Continue\r\n\r\n";
    struct Row {
        const char* what;
        std::string bytes;
    };
    const Row rows[] = {
        {"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n"},
        {"a length with a sign", sized("-3")},
        {"a length with something behind it", sized("2x")},
        {"a length that no number holds", sized("99999999999999999999")},
        {"a chunk with a sign", kChunked + "-3\r\nabc\r\n0\r\n\r\n"},
        {"a chunk with something behind its size", kChunked + "3x\r\nabc\r\n0\r\n\r\n"},
        {"a chunk longer than it says", kChunked + "2\r\nabc\r\n0\r\n\r\n"},
        {"a chunk's size without end", kChunked + std::string(100'000, '0')},
        {"fields behind the chunks without end", kChunked + "0\r\n" + std::string(70'000, 'x')},
        {"nothing but Continue", continues + sized("3")},
    };
    for (const Row& row : rows) {
        CAPTURE(row.what);
        const auto response = answer(row.bytes);
        REQUIRE_FALSE(response);
        CHECK(response.error().code == Code::malformed);
    }
    CHECK(answer(sized("4")).error().code == Code::unavailable);  // it broke off
}
