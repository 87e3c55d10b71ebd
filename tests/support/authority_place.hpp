// The folders of an authority, and days of its life: it begins on day 0, lasts 3650 days, and hands over 730 before.
#pragma once
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "common/http/tls.hpp"
#include "orchestrator/hosts/authority.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle::test {

constexpr std::int64_t kLasts = 3'650, kHandsOver = kLasts - 730;

constexpr WallTime day(std::int64_t number) {
    return {INT64_C(1'800'000'000'000) + number * 24 * 3'600'000};
}

struct Place {
    Place() {
        REQUIRE(make_directories(folders.identity, 0700));
        REQUIRE(make_directories(folders.tls, 0700));
    }
    Authority open(std::int64_t on) const {
        auto opened = Authority::open(folders, day(on));
        REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message));
        return std::move(*opened);
    }
    std::string content(const std::string& name) const { return read_file(dir / name).value_or(""); }
    std::vector<std::string> certificates() const { return *http::certificates_in(content("identity/ca.pem")); }
    std::vector<std::string> names() const { return *list_directory(folders.identity); }
    // What the server shows, made anew if it is time.
    std::string server(const Authority& authority, std::int64_t on) const {
        const auto files = authority.server_certificate({}, day(on));
        REQUIRE_MESSAGE(files.has_value(), (files ? "" : files.error().message));
        const auto pair = http::read_key_pair(files->certificate_path, files->key_path);
        REQUIRE(pair.has_value());
        CHECK(http::check_key_pair(*pair));
        return pair->certificate;
    }

    TempDir dir;
    AuthorityFolders folders{dir / "identity", dir / "tls"};
};

inline std::string host_certificate(const Authority& authority, std::int64_t on) {
    const auto request = *http::make_signing_request("h");
    return *authority.sign_host(request.request, HostId{}, day(on));
}

}  // namespace axle::test
