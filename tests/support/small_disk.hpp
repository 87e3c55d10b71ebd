// A file system of its own in memory; only root can mount one.
#pragma once
#include <string>
#include <sys/mount.h>

#include "tests/support/temp_dir.hpp"

namespace axle::test {

struct SmallDisk {
    TempDir dir;
    bool mounted = false;
    explicit SmallDisk(const std::string& size) {
        mounted = ::mount("axle-test", dir.path().c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
    }
    ~SmallDisk() {
        if (mounted) ::umount2(dir.path().c_str(), MNT_DETACH);
    }
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;
};

}  // namespace axle::test
