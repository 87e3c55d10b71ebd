// Ids, units, digests and durable files.
#include <cstdlib>

#include <doctest/doctest.h>

#include "common/base/digest.hpp"
#include "common/base/file.hpp"
#include "common/base/id.hpp"
#include "common/base/units.hpp"

using namespace axle;

namespace {
struct CountingRandom : Random {
    std::uint64_t n = 0;
    std::uint64_t next() override { return n += 0x9e3779b97f4a7c15; }
};
}  // namespace

TEST_CASE("a UUIDv7 says its version, variant and millisecond, and reads back") {
    CountingRandom random;
    const Uuid id = Uuid::make_v7({0x0123456789ab}, random);
    const std::string text = id.str();
    CHECK(text.starts_with("01234567-89ab-7"));
    CHECK((text[19] == '8' || text[19] == '9' || text[19] == 'a' || text[19] == 'b'));
    CHECK(Uuid::parse(text) == id);
    CHECK(Uuid::make_v7({0x0123456789ab}, random) != id);
}

TEST_CASE("what is no UUID is not read as one") {
    for (const char* text :
         {"", "0123", "01234567-89ab-7000-8000-00000000000g", "0123456789ab70008000000000000000xxxx"}) {
        CAPTURE(text);
        CHECK_FALSE(Uuid::parse(text).has_value());
    }
}

TEST_CASE("sizes as people write them") {
    struct Row {
        const char* text;
        std::int64_t bytes;
    };
    for (const Row& row :
         {Row{"0", 0}, Row{"512", 512}, Row{"2GiB", 2 * kGiB}, Row{"2G", 2 * kGiB}, Row{"1.5GiB", kGiB + kGiB / 2},
          Row{"500MB", 500'000'000}, Row{"10 GiB", 10 * kGiB}, Row{"2gib", 2 * kGiB}, Row{"1T", kTiB}}) {
        CAPTURE(row.text);
        CHECK(parse_bytes(row.text).value_or(-1) == row.bytes);
    }
    for (const char* text : {"", "-1", "G", "2X", "1e9", "2.5.1G", "99999999T", "0x10"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_bytes(text).has_value());
    }
    CHECK(format_bytes(2 * kGiB) == "2 GiB");
    CHECK(format_bytes(kGiB + kGiB / 2) == "1.5 GiB");
    CHECK(format_bytes(12) == "12 B");
}

TEST_CASE("durations and times go both ways") {
    CHECK(parse_duration("90s")->count() == 90'000);
    CHECK(parse_duration("1h30m")->count() == 5'400'000);
    CHECK(parse_duration("250ms")->count() == 250);
    for (const char* text : {"", "90", "s", "-1s", "1w", "1h x"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_duration(text).has_value());
    }
    CHECK(format_duration(std::chrono::hours{24}) == "1d");
    CHECK(format_duration(std::chrono::seconds{90}) == "90s");
    CHECK(format_time({0}) == "1970-01-01T00:00:00.000Z");
    CHECK(parse_time("2026-01-31T12:00:00.250Z")->ms == parse_time("2026-01-31T13:00:00.250+01:00")->ms);
    CHECK(format_time(*parse_time("2026-01-31T12:00:00.250Z")) == "2026-01-31T12:00:00.250Z");
    CHECK_FALSE(parse_time("2026-13-31T12:00:00Z").has_value());
    CHECK_FALSE(parse_time("yesterday").has_value());
}

TEST_CASE("a durable write replaces whole files and leaves no temporary one") {
    char dir[] = "/tmp/axle-base-XXXXXX";
    REQUIRE(mkdtemp(dir) != nullptr);
    const std::string path = std::string(dir) + "/a/b";
    REQUIRE(make_directories(parent_of(path)));
    REQUIRE(write_file_durably(path, "one"));
    REQUIRE(write_file_durably(path, "two"));
    CHECK(read_file(path).value_or("") == "two");
    CHECK(list_directory(parent_of(path))->size() == 1);
    CHECK(read_file(path, 2).error().code == Code::too_large);
    CHECK(remove_file_durably(path));
    CHECK(remove_file_durably(path));
    CHECK(read_file(path).error().code == Code::not_found);
    CHECK(list_directory("/nonexistent")->empty());
}

TEST_CASE("known digests") {
    CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    Digest pieces;
    pieces.update("a");
    pieces.update("bc");
    CHECK(pieces.finish_hex() == sha256_hex("abc"));
    CHECK(short_hash(Uuid{}).size() == 12);
    CHECK(equal_in_constant_time("abc", "abc"));
    CHECK_FALSE(equal_in_constant_time("abc", "abd"));
}
