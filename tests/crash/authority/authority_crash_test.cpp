// The certificate authority hands over to its successor, killed at every durable step: whoever trusted the cloud still
// does, and the next start completes it.
#include <csignal>
#include <filesystem>

#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "orchestrator/hosts/authority.hpp"
#include "tests/crash/store/child.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/verify_at.hpp"

namespace axle::test {
namespace {

constexpr std::int64_t kDayMs = INT64_C(24) * 3'600'000;
constexpr WallTime kBegins{1'800'000'000'000}, kHandsOver{kBegins.ms + 2'921 * kDayMs};

AuthorityFolders folders_in(const std::string& directory) {
    return {directory + "/identity", directory + "/tls"};
}
std::string content(const std::string& path) {
    return read_file(path).value_or("");
}

// As a start of the orchestrator does it. Returns what the server shows.
std::string start(const AuthorityFolders& folders, WallTime now) {
    const auto authority = Authority::open(folders, now);
    if (!authority) FAIL(authority.error().message);
    const auto files = authority->server_certificate({}, now);
    if (!files) FAIL(files.error().message);
    const auto pair = *http::read_key_pair(files->certificate_path, files->key_path);
    CHECK(http::check_key_pair(pair));
    return pair.certificate;
}

void found(const AuthorityFolders& folders) {
    REQUIRE(make_directories(folders.identity, 0700));
    REQUIRE(make_directories(folders.tls, 0700));
    start(folders, kBegins);
}

void check_private(const AuthorityFolders& folders) {
    for (const std::string& folder : {folders.identity, folders.tls}) {
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            CAPTURE(entry.path().string());
            CHECK((entry.status().permissions() & std::filesystem::perms::mask) == std::filesystem::perms(0600));
        }
    }
}

TEST_CASE("child: starts when the authority has to hand over" * doctest::skip()) {
    start(folders_in(child_directory()), kHandsOver);
}

TEST_CASE(
    "killed at any durable step of its hand-over, an authority is trusted as before, and the next start does it") {
#ifndef AXLE_FAULTS
    SKIP_TEST("kill points are compiled into dev builds only");
#endif
    int killed = 0, old_signs = 0, new_signs = 0;
    for (bool ended = false; !ended; ++killed) {
        CAPTURE(killed);
        REQUIRE(killed < 100);
        const TempDir dir;
        const AuthorityFolders folders = folders_in(dir.path());
        found(folders);
        const std::string known = content(folders.identity + "/ca.pem");
        Child process("child: starts when the authority has to hand over",
                      {{"AXLE_CHILD_DIR", dir.path()}, {"AXLE_KILL_AT", std::to_string(killed + 1)}});
        const int end = process.wait();
        REQUIRE((end == 0 || end == SIGKILL));
        ended = end == 0;
        check_private(folders);
        // As it was left, on a day when there is nothing to do.
        const auto left = Authority::open(folders, kBegins);
        REQUIRE(left);
        const auto request = *http::make_signing_request("h");
        const std::string host = *left->sign_host(request.request, HostId{}, kHandsOver);
        CHECK(verify_at(kHandsOver, host, known, Shown::by_client) == "");
        ++(http::certificates_in(host)->size() == 3 ? new_signs : old_signs);
        // And the next start.
        const std::string server = start(folders, kHandsOver);
        const auto certificates = *http::certificates_in(content(folders.identity + "/ca.pem"));
        REQUIRE(certificates.size() == 3);
        CHECK(certificates[2] == known);
        for (const std::string& trusted : {known, certificates[0]})
            CHECK(verify_at(kHandsOver, server, trusted, Shown::by_server) == "");
        CHECK(*list_directory(folders.identity) == std::vector<std::string>{"ca.key", "ca.pem"});
        CHECK(*list_directory(folders.tls) == std::vector<std::string>{"server.key", "server.pem", "trusted.pem"});
    }
    MESSAGE(fmt::format("killed at {} points: {} times the old one signed, {} the new one", killed - 1, old_signs,
                        new_signs));
    CHECK(killed > 8);
    CHECK((old_signs > 0 && new_signs > 0));
}

}  // namespace
}  // namespace axle::test
