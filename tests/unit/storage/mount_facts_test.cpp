#include "agent/storage/mount_facts.hpp"

#include <doctest/doctest.h>

#include "agent/storage/paths.hpp"

namespace axle::test {
namespace {

const std::string kMounts =
    "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw,errors=continue\n"
    "30 22 0:30 / /tmp rw - tmpfs tmpfs rw,size=1g\n"
    "31 22 0:31 / /srv rw,noatime shared:1 master:2 - nfs4 server:/x rw,vers=4.2\n"
    "32 31 254:1 / /srv/disk\\040one rw - ext4 /dev/vdb rw,nobarrier\n"
    "33 22 254:2 / /mnt rw - ext4 /dev/vdc rw\n"
    "34 33 254:3 / /mnt rw - xfs /dev/vdd rw\n"
    "garbage\n";

TEST_CASE("a path lies on the mount with the longest mount point, the last of several") {
    CHECK(mount_facts_of(kMounts, "/var/lib").type == "ext4");
    CHECK(mount_facts_of(kMounts, "/srv/pool").type == "nfs4");
    CHECK(mount_facts_of(kMounts, "/srvpool").mount_point == "/");
    CHECK(mount_facts_of(kMounts, "/srv/disk one/pool").options == "rw,nobarrier");
    CHECK(mount_facts_of(kMounts, "/mnt/x").type == "xfs");
    CHECK(mount_facts_of("", "/x").type == "");
}

TEST_CASE("network file systems and those that forget are known") {
    CHECK(mount_facts_of(kMounts, "/srv/pool").network());
    CHECK_FALSE(mount_facts_of(kMounts, "/").network());
    CHECK(mount_facts_of(kMounts, "/").not_durable() == "");
    CHECK(mount_facts_of(kMounts, "/tmp/x").not_durable().find("tmpfs") != std::string::npos);
    CHECK(mount_facts_of(kMounts, "/srv/disk one").not_durable().find("nobarrier") != std::string::npos);
    CHECK(MountFacts{.type = "overlay"}.not_durable().find("overlayfs") != std::string::npos);
    CHECK(MountFacts{.type = "ext4", .options = "rw,data=writeback"}.not_durable() != "");
}

TEST_CASE("only a volume's name is a volume") {
    const std::string id = "01890000-0000-7000-8000-000000000001";
    CHECK(volume_of_file_name(id + ".qcow2"));
    CHECK(volume_of_file_name(id + ".raw"));
    for (const std::string& name :
         {id, id + ".qcow2.local.new", id + ".iso", std::string("x.qcow2"),
          std::string("01890000-0000-7000-8000-00000000000A.qcow2"), std::string(".qcow2"), std::string()})
        CHECK_FALSE(volume_of_file_name(name));
}

}  // namespace
}  // namespace axle::test
