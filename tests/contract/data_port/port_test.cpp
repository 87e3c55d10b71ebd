// Who is let in, and disks that are copied.
#include <fcntl.h>
#include <filesystem>
#include <fstream>

#include "agent/migration/data_path.hpp"
#include "tests/contract/data_port/two_hosts.hpp"
#include "tests/support/caught_log.hpp"
#include "tests/support/raw_tls.hpp"

namespace axle::test {
namespace {

std::string refusal(Result<ByteStream> opened) {
    REQUIRE_FALSE(opened.has_value());
    CAPTURE(opened.error().message);
    return std::string(name_of(opened.error().code)) + ": " + opened.error().message;
}
bool has(const std::string& text, const std::string& part) {
    CAPTURE(text);
    CAPTURE(part);
    const bool found = text.find(part) != std::string::npos;
    CHECK(found);
    return found;
}

std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        if (entry.is_regular_file()) out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
}

// As a source would send it that says something else than it sends.
Result<http::Response> send_raw(TwoHosts& hosts, const std::string& path, std::int64_t size, const std::string& sum) {
    const DataIdentity own = identity_of(hosts.authority, hosts.source);
    http::Client client({.endpoint = *http::Endpoint::parse("https://" + hosts.address()),
                         .authority = own.authority,
                         .expected_uri = kHostUriPrefix + hosts.target.str(),
                         .certificate = own.certificate,
                         .key = own.key});
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return client.upload("PUT", write_data_path({.vm = hosts.vm, .stream = kVolumeStream, .volume = hosts.volume}),
                         {{kTicketHeader, hosts.ticket}, {kSumHeader, sum}}, fd.get(), size);
}

}  // namespace

TEST_CASE("a stream's path says which guest and what, and nothing else is one") {
    VmId vm;
    vm.bytes[3] = 9;
    VolumeId volume;
    for (const DataPath& path : {DataPath{vm, "libvirt"}, DataPath{vm, "memory"}, DataPath{vm, "disk"},
                                 DataPath{vm, "disk-vda"}, DataPath{vm, "handed-over"}, DataPath{vm, "volume", volume}})
        CHECK(read_data_path(write_data_path(path)) == path);
    const std::string start = "/data/v1/moves/" + vm.str();
    for (const char* end : {"", "/", "/volume", "/volume/", "/volume/x", "/disk-", "/disk-../x", "/libvirt/", "/shell"})
        CHECK_FALSE(read_data_path(start + end).has_value());
    CHECK_FALSE(read_data_path("/data/v1/moves/x/libvirt").has_value());
}

TEST_CASE("only the host that the move names is let in, with its ticket, and others are told why not") {
    TwoHosts hosts;
    CHECK(hosts.open(hosts.client(), hosts.to(), "libvirt").has_value());
    CHECK(soon([&] {
        const std::lock_guard hold(hosts.mutex);
        return hosts.names == std::vector<std::string>{"libvirt"};
    }));

    DataTarget wrong = hosts.to();
    wrong.ticket = "one-time secreT";
    has(refusal(hosts.open(hosts.client(), wrong, "memory")), "forbidden: ");
    has(refusal(hosts.open(hosts.client(), wrong, "memory")), "that is not the ticket");
    wrong = hosts.to();
    wrong.vm.bytes[0] = 1;
    has(refusal(hosts.open(hosts.client(), wrong, "memory")), "no guest");
    has(refusal(hosts.open(hosts.client(), hosts.to(), "shell")), "not-found: ");
    const auto other = hosts.client(identity_of(hosts.authority, host_number(3)));
    has(refusal(hosts.open(other, hosts.to(), "memory")), "sends no guest here");
}

TEST_CASE("hosts of other clouds, and who shows no certificate, stay outside") {
    TwoHosts hosts;
    const auto strange = *http::make_authority("cloud", wall_now());
    DataIdentity own = identity_of(strange, hosts.source);
    own.authority = hosts.authority.certificate;
    const std::string refused = refusal(hosts.open(hosts.client(own), hosts.to(), "libvirt"));
    CAPTURE(refused);
    CHECK((refused.starts_with("forbidden: ") || refused.starts_with("unavailable: ")));
    own.certificate = own.key = "";
    const std::string without = refusal(hosts.open(hosts.client(own), hosts.to(), "libvirt"));
    CAPTURE(without);
    has(without, "show a certificate");
    CHECK(hosts.names.empty());
}

TEST_CASE("a host that offers at most TLS 1.2 is refused at the data port, whatever it shows, and the log says why") {
    TwoHosts hosts;
    const DataIdentity own = identity_of(hosts.authority, hosts.source);
    const std::string body = R"({"incarnation":1,"revision":2})";
    const std::string request = fmt::format(
        "POST {} HTTP/1.1\r\nHost: host\r\n{}: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
        write_data_path({.vm = hosts.vm, .stream = kHandedOverStream}), kTicketHeader, hosts.ticket, body.size(), body);
    const auto ask = [&](int version) {
        return ask_over_tls(hosts.number, own.certificate, own.key, version, request);
    };
    const CaughtLog log;
    const auto old = ask(TLS1_2_VERSION);
    CAPTURE(old.text);
    CHECK(old.version == "TLSv1.2");
    CHECK(old.text.starts_with("HTTP/1.1 403 "));
    CHECK(old.text.find("hosts speak TLS 1.3 with each other") != std::string::npos);
    CHECK(log.troubles_with("and is refused: hosts speak TLS 1.3 with each other") == 1);
    CHECK_FALSE(hosts.handed_over.has_value());
    CHECK(ask(TLS1_3_VERSION).text.starts_with("HTTP/1.1 204 "));
    CHECK(hosts.handed_over.has_value());
}

TEST_CASE(
    "hosts of which one has a certificate of the next authority and one knows only the one before pass each other") {
    TwoHosts hosts;
    const auto next = *http::make_successor(hosts.authority, wall_now());
    const auto renewed = [&](HostId host) {
        DataIdentity out = identity_of(hosts.authority, host);
        const auto pair = *http::issue_certificate(next.pair,
                                                   {.name = host.str(),
                                                    .uris = {kHostUriPrefix + host.str()},
                                                    .server = true,
                                                    .client = true,
                                                    .days = 30,
                                                    .followed_by = next.cross + hosts.authority.certificate},
                                                   wall_now());
        out.certificate = pair.certificate;
        out.key = pair.key;
        return out;
    };
    const DataIdentity source = renewed(hosts.source);
    CHECK(hosts.open(hosts.client(source), hosts.to(), "libvirt").has_value());
    REQUIRE(hosts.port->renew(renewed(hosts.target)));
    CHECK(hosts.open(hosts.client(), hosts.to(), "memory").has_value());
    DataIdentity knows_both = source;
    knows_both.authority = hosts.authority.certificate + next.pair.certificate;
    CHECK(hosts.open(hosts.client(knows_both), hosts.to(), "disk").has_value());
}

TEST_CASE("a source speaks to the host that the move names, and to no other") {
    TwoHosts hosts;
    DataTarget wrong = hosts.to();
    wrong.host = host_number(8);
    CHECK_FALSE(hosts.open(hosts.client(), wrong, "libvirt").has_value());
    const auto strange = *http::make_authority("cloud", wall_now());
    DataIdentity own = identity_of(hosts.authority, hosts.source);
    own.authority = strange.certificate;
    CHECK_FALSE(hosts.open(hosts.client(own), hosts.to(), "libvirt").has_value());
    CHECK(hosts.names.empty());
}

TEST_CASE("a renewed certificate is shown to connections to come") {
    TwoHosts hosts;
    const DataIdentity renewed = identity_of(hosts.authority, hosts.target);
    REQUIRE(hosts.port->renew(renewed));
    const auto shown = http::fetch_certificate(*http::Endpoint::parse("https://" + hosts.address()));
    REQUIRE(shown);
    CHECK(shown->fingerprint == *http::fingerprint_of(renewed.certificate));
    DataIdentity broken = identity_of(hosts.authority, hosts.target);
    broken.key = renewed.key;
    CHECK_FALSE(hosts.port->renew(broken).has_value());
    CHECK(hosts.open(hosts.client(), hosts.to(), "libvirt").has_value());
}

TEST_CASE("that a guest was handed over arrives with its epoch") {
    TwoHosts hosts;
    REQUIRE(hosts.client().tell_handed_over(hosts.to(), {.incarnation = 3, .revision = 41}));
    CHECK(hosts.handed_over == Epoch{.incarnation = 3, .revision = 41});
    DataTarget wrong = hosts.to();
    wrong.ticket = "";
    const auto refused = hosts.client().tell_handed_over(wrong, {});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Code::forbidden);
}

TEST_CASE("a disk arrives whole under its own name, holes and all, and replaces what was there") {
    TwoHosts hosts;
    const std::string bytes = noise(3'000'001) + std::string(4 << 20, '\0') + "x" + std::string(2 << 20, '\0');
    const std::string file = hosts.folder / "sent.qcow2";
    std::ofstream(file) << bytes;
    std::int64_t told = 0;
    for (int i = 0; i < 2; ++i) {
        const auto sent =
            hosts.client().send_volume(hosts.to(), hosts.volume, file, {.progress = [&](std::int64_t n) { told = n; }});
        REQUIRE_MESSAGE(sent.has_value(), (sent ? "" : sent.error().message));
        CHECK(told == static_cast<std::int64_t>(bytes.size()));
        CHECK(read_file(hosts.disk) == bytes);
        CHECK(names_in(hosts.folder.path()) == std::vector<std::string>{"disk.qcow2", "sent.qcow2"});
    }
}

TEST_CASE("of a disk that came altered, cut short, or was given up, nothing is left") {
    TwoHosts hosts;
    const std::string file = hosts.folder / "sent.qcow2";
    std::ofstream(file) << noise(5 << 20);
    const auto altered = send_raw(hosts, file, 5 << 20, sha256_hex("other bytes"));
    REQUIRE(altered);
    CHECK(altered->status == 422);
    has(altered->body, "came altered");
    CHECK_FALSE(send_raw(hosts, file, 6 << 20, sha256_hex("x")).has_value());

    std::stop_source stop;
    const auto given_up = hosts.client().send_volume(
        hosts.to(), hosts.volume, file,
        {.progress = [&](std::int64_t) { stop.request_stop(); }, .bandwidth = 1 << 20, .stop = stop.get_token()});
    REQUIRE_FALSE(given_up.has_value());
    CHECK(given_up.error().code == Code::conflict);
    CHECK(soon([&] { return names_in(hosts.folder.path()) == std::vector<std::string>{"sent.qcow2"}; }));
}

}  // namespace axle::test
