#include "common/base/mount.hpp"

#include <doctest/doctest.h>

namespace axle {
namespace {

constexpr const char* kMountinfo =
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro\n"
    "30 22 0:25 / /run rw,nosuid shared:9 master:3 - tmpfs tmpfs rw,size=100k\n"
    "31 22 8:1 / /var/lib rw,relatime - xfs /dev/sda rw,nobarrier\n"
    "32 22 8:2 / /mnt/with\\040space rw - ext4 /dev/sdb rw,data=writeback\n"
    "33 22 0:40 / /box rw - overlay overlay rw,lowerdir=/a\n"
    "34 33 8:3 / /box rw - ext4 /dev/sdc rw\n"
    "35 22 0:31 / /srv rw,noatime shared:1 master:2 - nfs4 server:/x rw,vers=4.2\n";

TEST_CASE("a path lies on the deepest mount above it, the last of several") {
    CHECK(find_mount(kMountinfo, "/home/x")->type == "ext4");
    CHECK(find_mount(kMountinfo, "/run")->type == "tmpfs");
    CHECK(find_mount(kMountinfo, "/running")->point == "/");
    CHECK(find_mount(kMountinfo, "/mnt/with space/a")->options == "rw,rw,data=writeback");
    CHECK(find_mount(kMountinfo, "/box/a")->type == "ext4");
    CHECK_FALSE(find_mount("", "/"));
    CHECK_FALSE(find_mount("garbage\n1 2 3", "/"));
}

TEST_CASE("a network file system is known as one") {
    CHECK(find_mount(kMountinfo, "/srv/pool")->on_network());
    CHECK_FALSE(find_mount(kMountinfo, "/home")->on_network());
    CHECK_FALSE(Mount{}.on_network());
}

TEST_CASE("where synced files can be lost is refused, with the option's name") {
    for (const char* path : {"/run/axle", "/var/lib/axle", "/mnt/with space"}) {
        CAPTURE(std::string(path));
        const auto refused = judge_mount(*find_mount(kMountinfo, path), path);
        REQUIRE_FALSE(refused);
        CHECK_FALSE(refused.error().hint.empty());
    }
    CHECK_FALSE(judge_mount({"/", "ext4", "rw,relatime"}, "/a")->has_value());
    CHECK(judge_mount({"/", "overlay", "rw"}, "/a")->has_value());
}

}  // namespace
}  // namespace axle
