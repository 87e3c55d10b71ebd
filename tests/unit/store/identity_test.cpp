#include "orchestrator/store/identity.hpp"

#include <filesystem>

#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "orchestrator/store/reserve.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle {
namespace {

using test::TempDir;

const Uuid kCluster = *Uuid::parse("0198f000-0000-7000-8000-000000000001");

TEST_CASE("an identity reads as it was made, from files that only the owner can read") {
    const TempDir dir;
    const auto made = make_identity(dir / "identity", kCluster);
    REQUIRE(made);
    CHECK(made->secret_key.size() == 32);
    const auto read = read_identity(dir / "identity");
    REQUIRE(read);
    REQUIRE(*read);
    CHECK((*read)->cluster == kCluster);
    CHECK((*read)->secret_key == made->secret_key);
    for (const auto& path : {cluster_id_path(dir / "identity"), secret_key_path(dir / "identity")})
        CHECK(std::filesystem::status(path).permissions() ==
              (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
}

TEST_CASE("no identity is none; a damaged or halved one is refused with what to do") {
    const TempDir dir;
    CHECK_FALSE(*read_identity(dir / "nowhere"));
    REQUIRE(make_identity(dir.path(), kCluster));
    SUBCASE("key gone") {
        REQUIRE(remove_file_durably(secret_key_path(dir.path())));
    }
    SUBCASE("key cut off") {
        REQUIRE(write_file_durably(secret_key_path(dir.path()), "short"));
    }
    SUBCASE("id damaged") {
        REQUIRE(write_file_durably(cluster_id_path(dir.path()), "0198f000-zzz"));
    }
    const auto refused = read_identity(dir.path());
    REQUIRE_FALSE(refused);
    CHECK_FALSE(refused.error().hint.empty());
}

TEST_CASE("a reserve takes its room and gives it back") {
    const TempDir dir;
    Reserve reserve(dir / "reserve", 1 << 20);
    const auto space = reserve.measure();
    REQUIRE(space);
    CHECK(space->free_bytes > 0);
    CHECK_FALSE(space->below_reserve);
    CHECK(std::filesystem::file_size(dir / "reserve") == 1 << 20);
    REQUIRE(reserve.release());
    CHECK_FALSE(file_exists(dir / "reserve"));
    REQUIRE(reserve.release());
}

TEST_CASE("a reserve that finds no room says so") {
    const TempDir dir;
    Reserve reserve(dir / "reserve", std::int64_t{1} << 60);
    const auto space = reserve.measure();
    REQUIRE(space);
    CHECK(space->below_reserve);
    CHECK_FALSE(file_exists(dir / "reserve"));
}

}  // namespace
}  // namespace axle
