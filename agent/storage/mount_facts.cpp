#include "agent/storage/mount_facts.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace axle {
namespace {

std::vector<std::string_view> split(std::string_view text, char by) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const auto end = std::min(text.find(by), text.size());
        parts.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

// Spaces, tabs and backslashes stand as \040 and so on.
std::string unescaped(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

bool lies_in(std::string_view path, std::string_view directory) {
    if (directory == "/") return true;
    return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

}  // namespace

bool MountFacts::network() const {
    static constexpr std::string_view kNetwork[] = {
        "nfs",       "nfs4",           "cifs",      "smb3",       "smbfs",
        "9p",        "virtiofs",       "ceph",      "afs",        "lustre",
        "ocfs2",     "gfs2",           "glusterfs", "fuse.sshfs", "fuse.glusterfs",
        "fuse.ceph", "fuse.ceph-fuse", "fuse.s3fs", "fuse.rclone"};
    return std::ranges::find(kNetwork, type) != std::end(kNetwork);
}

std::string MountFacts::not_durable() const {
    if (type == "overlay") return "it lies on overlayfs (a container's file system), which goes with the container";
    if (type == "tmpfs" || type == "ramfs") return fmt::format("it lies on {}, which is memory", type);
    for (const auto option : split(options, ','))
        if (option == "nobarrier" || option == "barrier=0" || option == "data=writeback")
            return fmt::format("{} is mounted with {}: a power cut loses what was synced", mount_point, option);
    return "";
}

MountFacts mount_facts_of(std::string_view mountinfo, std::string_view path) {
    MountFacts best;
    for (const auto line : split(mountinfo, '\n')) {
        // 36 35 98:0 /root /mount rw,noatime master:1 - ext4 /dev/vda rw,errors=continue
        const auto separator = line.find(" - ");
        const auto before = split(line.substr(0, separator), ' ');
        if (separator == std::string_view::npos || before.size() < 6) continue;
        const auto after = split(line.substr(separator + 3), ' ');
        const std::string mount_point = unescaped(before[4]);
        // Of several on the same point the last one is on top.
        if (after.size() < 2 || !lies_in(path, mount_point) || mount_point.size() < best.mount_point.size()) continue;
        best = {.type = std::string(after[0]),
                .options = std::string(after.size() > 2 ? after[2] : ""),
                .mount_point = mount_point};
    }
    return best;
}

}  // namespace axle
