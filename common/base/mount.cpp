#include "common/base/mount.hpp"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "common/base/file.hpp"

namespace axle {
namespace {

// mountinfo writes space, tab, newline and backslash as \ooo.
std::string unescape(const std::string& text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 3 >= text.size()) {
            plain += text[i];
            continue;
        }
        plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
        i += 3;
    }
    return plain;
}

std::optional<Mount> parse_line(const std::string& line) {
    std::istringstream words(line);
    std::string id, parent, device, root, word, source, super_options;
    Mount mount;
    words >> id >> parent >> device >> root >> mount.point >> mount.options;
    while (words >> word && word != "-") {
    }
    words >> mount.type >> source >> super_options;
    if (!words) return std::nullopt;
    mount.point = unescape(mount.point);
    mount.options += "," + super_options;
    return mount;
}

bool lies_under(std::string_view path, std::string_view point) {
    if (point == "/") return true;
    return path.starts_with(point) && (path.size() == point.size() || path[point.size()] == '/');
}

bool has_option(std::string_view options, std::string_view option) {
    const std::string all = fmt::format(",{},", options);
    return all.find(fmt::format(",{},", option)) != std::string::npos;
}

}  // namespace

bool Mount::on_network() const {
    static constexpr std::string_view kNetwork[] = {
        "nfs",       "nfs4",           "cifs",      "smb3",       "smbfs",
        "9p",        "virtiofs",       "ceph",      "afs",        "lustre",
        "ocfs2",     "gfs2",           "glusterfs", "fuse.sshfs", "fuse.glusterfs",
        "fuse.ceph", "fuse.ceph-fuse", "fuse.s3fs", "fuse.rclone"};
    return std::ranges::find(kNetwork, type) != std::end(kNetwork);
}

std::optional<Mount> find_mount(std::string_view mountinfo, std::string_view path) {
    std::optional<Mount> best;
    std::istringstream lines{std::string(mountinfo)};
    for (std::string line; std::getline(lines, line);) {
        auto mount = parse_line(line);
        if (!mount || !lies_under(path, mount->point)) continue;
        if (!best || mount->point.size() >= best->point.size()) best = std::move(mount);  // the later one lies on top
    }
    return best;
}

Result<std::optional<std::string>> judge_mount(const Mount& mount, std::string_view path) {
    if (mount.type == "tmpfs" || mount.type == "ramfs")
        return fail(error(Code::conflict, "{} lies in memory ({} on {}): nothing there outlives a power cut", path,
                          mount.type, mount.point)
                        .with_hint("choose a directory on a disk"));
    for (const char* option : {"nobarrier", "barrier=0", "data=writeback"})
        if (has_option(mount.options, option))
            return fail(error(Code::conflict,
                              "{} lies on {} ({}), which is mounted with {}: synced files can be lost in a "
                              "power cut",
                              path, mount.point, mount.type, option)
                            .with_hint(fmt::format("mount it without {}, or choose another directory", option)));
    if (mount.type == "overlay")
        return fmt::format(
            "{} lies on overlayfs ({}), as in a container: whether synced files outlive a power cut, and "
            "the container, depends on what is below",
            path, mount.point);
    return std::nullopt;
}

Result<std::optional<std::string>> check_keeps_synced(const std::string& directory) {
    std::error_code problem;
    const std::string path = std::filesystem::canonical(directory, problem);
    if (problem) return fail(system_error("look at " + directory, problem.value()));
    const auto mountinfo = read_file("/proc/self/mountinfo");
    const auto mount = mountinfo ? find_mount(*mountinfo, path) : std::nullopt;
    if (!mount) return fmt::format("it can't be found out what file system {} lies on", path);
    return judge_mount(*mount, path);
}

}  // namespace axle
