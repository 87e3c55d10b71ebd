// Machines speak TLS 1.3 at the orchestrator's door; who offers less is refused, whatever certificate or token it has.
#include <doctest/doctest.h>

#include "tests/contract/hosts/door_fixture.hpp"
#include "tests/support/caught_log.hpp"
#include "tests/support/raw_tls.hpp"

using namespace axle;
using namespace axle::test;

namespace {

std::string get(const std::string& path, const std::string& more = "") {
    return "GET " + path + " HTTP/1.1\r\nHost: cloud\r\n" + more + "Connection: close\r\n\r\n";
}

std::string upgrade() {
    return "GET " + std::string(kChannelPath) + " HTTP/1.1\r\nHost: cloud\r\nConnection: Upgrade\r\n" +
           "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" +
           "Sec-WebSocket-Protocol: " + kChannelProtocol + "\r\n\r\n";
}

}  // namespace

TEST_CASE("a host that offers at most TLS 1.2 gets neither the channel nor an image, and the log says why") {
    DoorServer server;
    const HostIdentity host = server.joined(1);
    struct Row {
        std::string request;
        const char* line;
    };
    for (const Row& row : {Row{upgrade(), "a connection from 127.0.0.1"},
                           Row{get(kImagesPath + std::string(64, 'a')), "no image is given to 127.0.0.1"}}) {
        CAPTURE(row.request);
        const CaughtLog log;
        const auto old = ask_over_tls(server.port, host.certificate, host.key, TLS1_2_VERSION, row.request);
        CAPTURE(old.text);
        CHECK(old.version == "TLSv1.2");
        CHECK(old.text.starts_with("HTTP/1.1 403 "));
        CHECK(old.text.find("agents speak TLS 1.3") != std::string::npos);
        CHECK(log.troubles_with(row.line) == 1);
        CHECK(log.troubles_with("agents speak TLS 1.3") == 1);
    }
    // With TLS 1.3 the same client comes as far as to what it asks for.
    const auto now =
        ask_over_tls(server.port, host.certificate, host.key, TLS1_3_VERSION, get(kImagesPath + std::string(64, 'a')));
    CHECK(now.version == "TLSv1.3");
    CHECK(now.text.starts_with("HTTP/1.1 403 "));
    CHECK(now.text.find("TLS 1.3") == std::string::npos);
}

TEST_CASE("a machine that offers at most TLS 1.2 does not join, and its token is not used up") {
    DoorServer server;
    const json body{{"secret", server.token("new")},
                    {"host", host_number(1).str()},
                    {"hostname", "h1"},
                    {"request", http::make_signing_request("x")->request}};
    const auto ask = [&](int version) {
        const std::string text = body.dump();
        return ask_over_tls(server.port, "", "", version,
                            fmt::format("POST {} HTTP/1.1\r\nHost: cloud\r\nContent-Type: application/json\r\n"
                                        "Content-Length: {}\r\nConnection: close\r\n\r\n{}",
                                        kEnrolPath, text.size(), text));
    };
    const CaughtLog log;
    const auto old = ask(TLS1_2_VERSION);
    CHECK(old.version == "TLSv1.2");
    CHECK(old.text.starts_with("HTTP/1.1 403 "));
    CHECK(log.troubles_with("may not join: agents speak TLS 1.3") == 1);
    CHECK(server.request("GET", "/v1/jointokens/new")["status"]["left"] == 1);
    CHECK(ask(TLS1_3_VERSION).text.starts_with("HTTP/1.1 200 "));
}
