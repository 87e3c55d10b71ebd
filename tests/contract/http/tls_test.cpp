// TLS: certificates of our own, pins, client certificates.
#include "tests/contract/http/http_fixture.hpp"

using namespace axle;
using namespace axle::http;

namespace {

struct Authority {
    explicit Authority(const TempDirectory& directory, const std::string& name = "test authority")
        : path(directory.path) {
        pair = *make_authority(name, now);
        REQUIRE(write_file_durably(path + "/ca.crt", pair.certificate).has_value());
    }
    TlsFiles server_files(const CertificateWish& wish, const char* name = "server") const {
        TlsFiles files{path + "/" + name + ".crt", path + "/" + name + ".key", path + "/ca.crt"};
        REQUIRE(write_key_pair(*issue_certificate(pair, wish, now), files.certificate, files.key).has_value());
        return files;
    }
    WallTime now = Loop("clock").wall();
    std::string path;
    KeyPair pair;
};

ClientOptions options_for(int port) {
    ClientOptions options;
    options.endpoint = *Endpoint::parse("https://127.0.0.1:" + std::to_string(port));
    return options;
}

void tell_peer(const Request& request, Reply reply) {
    const Peer& peer = *request.peer;
    reply.send({200,
                {},
                peer.certificate_name + "/" + peer.certificate_fingerprint +
                    (peer.kind == Peer::Kind::tls ? "/tls" : "") +
                    (peer.certificate_problem.empty() ? "" : " " + peer.certificate_problem)});
}

}  // namespace

TEST_CASE("an issued certificate says what was wished, its files are private") {
    const TempDirectory directory;
    const Authority authority(directory);
    const TlsFiles files =
        authority.server_files({.name = "axle", .dns_names = {"cloud.example"}, .addresses = {"127.0.0.1", "::1"}});
    const auto pair = read_key_pair(files.certificate, files.key);
    REQUIRE(pair.has_value());
    const auto info = read_certificate(pair->certificate);
    REQUIRE(info.has_value());
    CHECK(info->name == "axle");
    CHECK(info->issuer == "test authority");
    CHECK(info->dns_names == std::vector<std::string>{"cloud.example"});
    CHECK(info->addresses == std::vector<std::string>{"127.0.0.1", "::1"});
    CHECK(info->fingerprint.size() == 64);
    CHECK(info->not_before < authority.now);
    CHECK((std::filesystem::status(files.key).permissions() & std::filesystem::perms::mask) ==
          std::filesystem::perms(0600));
    CHECK_FALSE(
        issue_certificate(authority.pair, {.name = "x", .dns_names = {"a,IP:1.2.3.4"}}, authority.now).has_value());
    CHECK_FALSE(read_certificate("nonsense").has_value());
}

TEST_CASE("a signing request is answered with a certificate for its key and with our name") {
    const TempDirectory directory;
    const Authority authority(directory);
    const auto request = make_signing_request("whatever it says");
    REQUIRE(request.has_value());
    const auto signed_pem = sign_request(authority.pair, request->request,
                                         {.name = "host-1", .server = true, .client = true}, authority.now);
    REQUIRE(signed_pem.has_value());
    CHECK(read_certificate(*signed_pem)->name == "host-1");
    std::string forged = request->request;
    forged[forged.size() / 2] = forged[forged.size() / 2] == 'A' ? 'B' : 'A';
    CHECK_FALSE(sign_request(authority.pair, forged, {.name = "x"}, authority.now).has_value());
}

TEST_CASE("a server is recognised by its pinned certificate, its pinned authority, or the authority itself") {
    const TempDirectory directory;
    const Authority authority(directory);
    TestServer server(tell_peer);
    const auto port =
        server.server.listen_tls("127.0.0.1", 0, authority.server_files({.name = "axle", .addresses = {"127.0.0.1"}}));
    REQUIRE(port.has_value());
    const auto shown = fetch_certificate(options_for(*port).endpoint);
    REQUIRE(shown.has_value());
    CHECK(shown->authority_fingerprint == *fingerprint_of(authority.pair.certificate));
    CHECK(shown->authority == authority.pair.certificate);

    ClientOptions own = options_for(*port), issuer = own, whole = own, wrong = own, none = own;
    own.fingerprint = shown->fingerprint;
    issuer.fingerprint = shown->authority_fingerprint;
    whole.authority = authority.pair.certificate;
    wrong.fingerprint = std::string(64, '0');
    for (const auto& options : {own, issuer, whole}) {
        const auto answer = Client(options).request("GET", "/");
        REQUIRE(answer.has_value());
        CHECK(answer->body == "//tls");
    }
    for (const auto& options : {wrong, none}) {
        const auto answer = Client(options).request("GET", "/");
        REQUIRE_FALSE(answer.has_value());
        CHECK(answer.error().code == Code::unauthenticated);
        CHECK(answer.error().hint.find("login") != std::string::npos);
    }
}

TEST_CASE("a certificate for another name, or for clients only, does not pass for the server") {
    const TempDirectory directory;
    const Authority authority(directory);
    TestServer server(tell_peer);
    const auto other = server.server.listen_tls(
        "127.0.0.1", 0, authority.server_files({.name = "a", .dns_names = {"elsewhere"}}, "other"));
    const auto agent = server.server.listen_tls(
        "127.0.0.1", 0,
        authority.server_files({.name = "a", .addresses = {"127.0.0.1"}, .server = false, .client = true}, "agent"));
    for (const int port : {*other, *agent}) {
        ClientOptions options = options_for(port);
        options.fingerprint = *fingerprint_of(authority.pair.certificate);
        const auto answer = Client(options).request("GET", "/");
        REQUIRE_FALSE(answer.has_value());
        CHECK(answer.error().message.find("does not pass") != std::string::npos);
    }
}

TEST_CASE("a client certificate is told to the handler; of one that does not pass only why") {
    const TempDirectory directory;
    const Authority authority(directory);
    TestServer server(tell_peer);
    const auto port =
        server.server.listen_tls("127.0.0.1", 0, authority.server_files({.name = "axle", .addresses = {"127.0.0.1"}}));
    REQUIRE(port.has_value());
    ClientOptions options = options_for(*port);
    options.authority = authority.pair.certificate;
    const auto ours =
        *issue_certificate(authority.pair, {.name = "host-7", .server = false, .client = true}, authority.now);
    options.certificate = ours.certificate;
    options.key = ours.key;
    CHECK(Client(options).request("GET", "/")->body == "host-7/" + *fingerprint_of(ours.certificate) + "/tls");

    const auto foreign = *make_authority("foreign", authority.now);
    const auto theirs = *issue_certificate(foreign, {.name = "host-7", .server = false, .client = true}, authority.now);
    options.certificate = theirs.certificate;
    options.key = theirs.key;
    const auto refused = Client(options).request("GET", "/");
    REQUIRE(refused.has_value());
    CHECK(refused->body.starts_with("//tls"));
    CHECK(refused->body.find("issued by \"foreign\"") != std::string::npos);

    const WallTime long_ago{authority.now.ms - INT64_C(400) * 24 * 3'600'000};
    const auto old =
        *issue_certificate(authority.pair, {.name = "host-7", .server = false, .client = true, .days = 30}, long_ago);
    options.certificate = old.certificate;
    options.key = old.key;
    const auto late = Client(options).request("GET", "/");
    REQUIRE(late.has_value());
    CHECK(late->body.find("//tls it ended at") == 0);
    CHECK(late->body.find("the clock here says") != std::string::npos);
}

TEST_CASE("a server may be asked for what its certificate stands for, instead of its name") {
    const TempDirectory directory;
    const Authority authority(directory);
    TestServer server(tell_peer);
    const auto port = server.server.listen_tls("127.0.0.1", 0,
                                               authority.server_files({.name = "axle", .uris = {"axle:orchestrator"}}));
    REQUIRE(port.has_value());
    ClientOptions options = options_for(*port);
    options.fingerprint = *fingerprint_of(authority.pair.certificate);
    options.tls13_only = true;
    CHECK_FALSE(Client(options).request("GET", "/").has_value());  // no such name in it
    options.expected_uri = "axle:orchestrator";
    CHECK(Client(options).request("GET", "/").has_value());
    options.expected_uri = "axle:host:h7";
    const auto other = Client(options).request("GET", "/");
    REQUIRE_FALSE(other.has_value());
    CHECK(other.error().message.find("is not one for axle:host:h7") != std::string::npos);
}

TEST_CASE("new certificate files are used after a reload, bad ones leave the old in use") {
    const TempDirectory directory;
    const Authority authority(directory);
    TestServer server(tell_peer);
    const CertificateWish wish{.name = "axle", .addresses = {"127.0.0.1"}};
    const TlsFiles files = authority.server_files(wish);
    const auto port = server.server.listen_tls("127.0.0.1", 0, files);
    const auto shown = [&] { return fetch_certificate(options_for(*port).endpoint)->fingerprint; };
    const std::string first = shown();
    authority.server_files(wish);
    CHECK(shown() == first);
    CHECK(server.server.reload_certificates().has_value());
    const std::string second = shown();
    CHECK(second != first);
    REQUIRE(write_file_durably(files.certificate, "broken").has_value());
    CHECK_FALSE(server.server.reload_certificates().has_value());
    CHECK(shown() == second);
    CHECK(server.server.listen_tls("127.0.0.1", 0, files).error().message.find(files.certificate) != std::string::npos);
}

TEST_CASE("large bodies, streams and WebSockets go over TLS as well") {
    const TempDirectory directory;
    const Authority authority(directory);
    WebSocket socket;  // of the loop's thread
    ServerOptions server_options;
    server_options.body_limit = [](std::string_view, std::string_view) { return 8 << 20; };
    TestServer server(
        [&](Request request, Reply reply) {
            if (request.path == "/ws") {
                WebSocketHandlers handlers;
                handlers.on_open = [&](WebSocket opened) { socket = std::move(opened); };
                handlers.on_message = [&](std::string data, bool) { socket.send_text(data + data); };
                CHECK(reply.websocket(std::move(handlers)).has_value());
            } else {
                reply.send({200, {}, std::move(request.body)});
            }
        },
        server_options);
    const auto port =
        server.server.listen_tls("127.0.0.1", 0, authority.server_files({.name = "axle", .addresses = {"127.0.0.1"}}));
    ClientOptions options = options_for(*port);
    options.authority = authority.pair.certificate;
    Client client(options);
    const std::string large(5'000'000, 'L');
    const auto answer = client.request("POST", "/", {}, large);
    REQUIRE(answer.has_value());
    CHECK(answer->body == large);
    auto ours = client.websocket("/ws");
    REQUIRE(ours.has_value());
    const std::string text(200'000, 't');
    CHECK(ours->send(text, false).has_value());
    std::string got;
    CHECK(eventually([&] {
        auto message = ours->read(milliseconds{50});
        if (message && *message) got = (*message)->data;
        return !got.empty();
    }));
    CHECK(got.size() == 400'000);
    server.server.stop(milliseconds{0});
}
