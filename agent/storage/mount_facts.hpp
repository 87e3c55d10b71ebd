// What the file system under a pool promises, from /proc/self/mountinfo. Pure.
#pragma once
#include <string>
#include <string_view>

namespace axle {

struct MountFacts {
    std::string type;     // "ext4", "nfs4", "overlay"
    std::string options;  // of the file system
    std::string mount_point;
    bool network() const;  // other machines may have it, too
    // Empty, or why what is synced on it may be lost all the same.
    std::string not_durable() const;
};

// The mount with the longest mount point that `path` (absolute, no links) lies in. Type empty if none is found.
MountFacts mount_facts_of(std::string_view mountinfo, std::string_view path);

}  // namespace axle
