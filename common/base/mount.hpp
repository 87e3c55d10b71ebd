// What file system a directory lies on, and whether it keeps what it says is synced (RELIABILITY 4.10).
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace axle {

struct Mount {
    std::string point, type;
    std::string options;      // of the mount and of the file system, with commas
    bool on_network() const;  // other machines may have it, too
};

// The mount that `path` (absolute, canonical) lies on, by the text of /proc/self/mountinfo. Pure.
std::optional<Mount> find_mount(std::string_view mountinfo, std::string_view path);

// Code::conflict where a synced file can be lost: memory, no write barriers, data=writeback. A text where it works but
// a person should know (overlayfs). Pure.
Result<std::optional<std::string>> judge_mount(const Mount& mount, std::string_view path);

// Both, for a directory that is there. Blocks. What can't be found out is a text, not an error.
Result<std::optional<std::string>> check_keeps_synced(const std::string& directory);

}  // namespace axle
