// How a program is shut in that reads what a stranger wrote: another user, no network, no file but those given, limits,
// no new privileges, a system call filter. Needs root (in a container too), not systemd.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace axle {

struct VisibleFile {
    std::string path;  // on this machine; its mode must let the confined user read (and write) it
    std::string as;    // "/work/NAME": where the program sees it
    bool writable = false;
};

// Besides `files` it sees /usr (with /bin, /sbin, /lib, /lib64 into it) and the linker's cache, read-only: no /etc,
// /proc, /dev, no socket. Its root is an empty read-only file system.
struct Confinement {
    unsigned uid = 65534, gid = 65534;  // nobody
    std::vector<VisibleFile> files;
    std::int64_t cpu_seconds = 300;
    std::int64_t address_space = std::int64_t{2} << 30;
    std::int64_t file_size = std::int64_t{1} << 40;  // largest offset that it may write
    std::int64_t open_files = 64;
};

}  // namespace axle
