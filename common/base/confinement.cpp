#include <cerrno>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/confinement_child.hpp"
#include "common/base/file.hpp"

namespace axle {

Result<std::vector<sock_filter>> confinement_filter();  // confinement_filter.cpp

namespace {

// Covered by the new root's file system while it is put together. Exists everywhere, and nothing that we show lies in
// it: what lies in it was opened before it is covered.
constexpr const char* kNewRoot = "/tmp";

Result<> add_file(PreparedConfinement& prepared, const VisibleFile& file) {
    if (!file.as.starts_with("/work/") || file.as.find('/', 6) != std::string::npos)
        return fail(Code::internal, "a confined program can see {} only below /work, not as {}", file.path, file.as);
    struct stat st {};
    if (::stat(file.path.c_str(), &st) != 0) return fail(system_error("look at " + file.path, errno));
    prepared.binds.push_back(
        {.source = file.path, .target = file.as.substr(1), .is_file = !S_ISDIR(st.st_mode), .writable = file.writable});
    return {};
}

const char* bind_one(PreparedConfinement::Bind& bind) {
    if (bind.is_file) {
        const int made = ::open(bind.target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
        if (made < 0) return "make a mount point";
        ::close(made);
    } else if (::mkdir(bind.target.c_str(), 0755) != 0) {
        return "make a mount point";
    }
    char source[32] = "/proc/self/fd/";
    char digits[12];
    int n = 0, i = 14;
    for (int fd = bind.opened; n == 0 || fd > 0; fd /= 10) digits[n++] = static_cast<char>('0' + fd % 10);
    while (n > 0) source[i++] = digits[--n];
    if (::mount(source, bind.target.c_str(), nullptr, MS_BIND, nullptr) != 0) return "show a file";
    const unsigned long flags =
        MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | (bind.writable ? 0UL : static_cast<unsigned long>(MS_RDONLY));
    if (::mount(nullptr, bind.target.c_str(), nullptr, flags, nullptr) != 0) return "protect a file";
    return nullptr;
}

const char* set_limit(__rlimit_resource resource, std::int64_t value) {
    const struct rlimit limit {
        static_cast<rlim_t>(value), static_cast<rlim_t>(value)
    };
    return ::setrlimit(resource, &limit) == 0 ? nullptr : "set a limit";
}

}  // namespace

Result<PreparedConfinement> prepare_confinement(const Confinement& confinement) {
    if (::geteuid() != 0)
        return fail(error(Code::forbidden, "only root can confine a program").with_hint("run the service as root"));
    PreparedConfinement prepared{.limits = confinement};
    prepared.binds.push_back({.source = "/usr", .target = "usr"});
    for (const char* name : {"bin", "sbin", "lib", "lib64"}) {
        const std::string path = std::string("/") + name;
        struct stat st {};
        if (::lstat(path.c_str(), &st) != 0) continue;
        if (S_ISLNK(st.st_mode))
            prepared.links.emplace_back(name, std::string("usr/") + name);
        else
            prepared.binds.push_back({.source = path, .target = name});
    }
    if (file_exists("/etc/ld.so.cache"))
        prepared.binds.push_back({.source = "/etc/ld.so.cache", .target = "etc/ld.so.cache", .is_file = true});
    for (const auto& file : confinement.files) TRY_VOID(add_file(prepared, file));
    TRY(filter, confinement_filter());
    prepared.filter = std::move(filter);
    return prepared;
}

const char* enter_namespaces(PreparedConfinement& prepared) {
    if (::unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) return "leave the namespaces";
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "make mounts private";
    for (auto& bind : prepared.binds) {
        bind.opened = ::open(bind.source.c_str(), O_PATH | O_CLOEXEC);
        if (bind.opened < 0) return "open a file to show";
    }
    if (::mount("axle-confined", kNewRoot, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755") != 0)
        return "make an empty root";
    if (::chdir(kNewRoot) != 0 || ::mkdir("etc", 0755) != 0 || ::mkdir("work", 0755) != 0) return "lay out the root";
    for (auto& bind : prepared.binds)
        if (const char* failed = bind_one(bind)) return failed;
    for (const auto& [name, target] : prepared.links)
        if (::symlink(target.c_str(), name.c_str()) != 0) return "lay out the root";
    // The old root ends up on top of the new one, and is taken off.
    if (::syscall(SYS_pivot_root, ".", ".") != 0) return "change the root";
    if (::umount2(".", MNT_DETACH) != 0) return "let go of the old root";
    if (::chdir("/") != 0) return "enter the new root";
    if (::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, nullptr) != 0)
        return "protect the new root";
    return nullptr;
}

const char* drop_privileges(const PreparedConfinement& prepared) {
    const Confinement& limits = prepared.limits;
    for (const auto& [resource, value] :
         {std::pair{RLIMIT_CORE, std::int64_t{0}}, std::pair{RLIMIT_CPU, limits.cpu_seconds},
          std::pair{RLIMIT_AS, limits.address_space}, std::pair{RLIMIT_FSIZE, limits.file_size},
          std::pair{RLIMIT_NOFILE, limits.open_files}})
        if (const char* failed = set_limit(resource, value)) return failed;
    // Bare system calls: the C library's would look for the parent's threads.
    if (::syscall(SYS_setgroups, 0, nullptr) != 0) return "leave all groups";
    if (::syscall(SYS_setresgid, limits.gid, limits.gid, limits.gid) != 0) return "change the group";
    if (::syscall(SYS_setresuid, limits.uid, limits.uid, limits.uid) != 0) return "change the user";
    return nullptr;
}

const char* install_filter(const PreparedConfinement& prepared) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return "renounce new privileges";
    const sock_fprog program{.len = static_cast<unsigned short>(prepared.filter.size()),
                             .filter = const_cast<sock_filter*>(prepared.filter.data())};
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) return "install the system call filter";
    return nullptr;
}

}  // namespace axle
