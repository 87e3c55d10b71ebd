// The system call filter of a confined program, made by libseccomp: what a converter of disk images has no business
// with kills it; what a C library may try and can do without fails.
#include <cerrno>
#include <memory>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <seccomp.h>

#include "common/base/confinement_child.hpp"
#include "common/base/file.hpp"

namespace axle {

Result<std::vector<sock_filter>> confinement_filter();

namespace {

constexpr int kFatal[] = {SCMP_SYS(ptrace),
                          SCMP_SYS(process_vm_readv),
                          SCMP_SYS(process_vm_writev),
                          SCMP_SYS(kcmp),
                          SCMP_SYS(mount),
                          SCMP_SYS(umount2),
                          SCMP_SYS(pivot_root),
                          SCMP_SYS(move_mount),
                          SCMP_SYS(open_tree),
                          SCMP_SYS(fsopen),
                          SCMP_SYS(fsconfig),
                          SCMP_SYS(fsmount),
                          SCMP_SYS(fspick),
                          SCMP_SYS(setns),
                          SCMP_SYS(unshare),
                          SCMP_SYS(chroot),
                          SCMP_SYS(keyctl),
                          SCMP_SYS(add_key),
                          SCMP_SYS(request_key),
                          SCMP_SYS(bpf),
                          SCMP_SYS(perf_event_open),
                          SCMP_SYS(init_module),
                          SCMP_SYS(finit_module),
                          SCMP_SYS(delete_module),
                          SCMP_SYS(kexec_load),
                          SCMP_SYS(kexec_file_load),
                          SCMP_SYS(reboot),
                          SCMP_SYS(swapon),
                          SCMP_SYS(swapoff),
                          SCMP_SYS(acct),
                          SCMP_SYS(quotactl),
                          SCMP_SYS(settimeofday),
                          SCMP_SYS(clock_settime),
                          SCMP_SYS(clock_adjtime),
                          SCMP_SYS(adjtimex),
                          SCMP_SYS(iopl),
                          SCMP_SYS(ioperm),
                          SCMP_SYS(userfaultfd),
                          SCMP_SYS(open_by_handle_at),
                          SCMP_SYS(name_to_handle_at),
                          SCMP_SYS(pidfd_getfd),
                          SCMP_SYS(fanotify_init),
                          SCMP_SYS(syslog),
                          SCMP_SYS(vhangup),
                          SCMP_SYS(lookup_dcookie),
                          SCMP_SYS(sethostname),
                          SCMP_SYS(setdomainname),
                          SCMP_SYS(modify_ldt)};

constexpr int kRefused[] = {SCMP_SYS(kill),
                            SCMP_SYS(tkill),
                            SCMP_SYS(tgkill),
                            SCMP_SYS(rt_sigqueueinfo),
                            SCMP_SYS(rt_tgsigqueueinfo),
                            SCMP_SYS(pidfd_send_signal),
                            SCMP_SYS(prlimit64),
                            SCMP_SYS(migrate_pages),
                            SCMP_SYS(move_pages)};

// Newer doors that libraries knock at and have another way for.
constexpr int kUnknown[] = {SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
                            SCMP_SYS(clone3)};

constexpr std::uint64_t kNamespaceFlags[] = {CLONE_NEWNS,  CLONE_NEWUTS, CLONE_NEWIPC,   CLONE_NEWUSER,
                                             CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP};

bool add_rules(scmp_filter_ctx context) {
    bool fine = true;
    // A call that this architecture or this libseccomp doesn't know is no hole: -EDOM is not an error.
    const auto add = [&](std::uint32_t action, int call) {
        const int result = ::seccomp_rule_add_array(context, action, call, 0, nullptr);
        fine = fine && (result == 0 || result == -EDOM);
    };
    const auto add_if = [&](std::uint32_t action, int call, scmp_arg_cmp compared) {
        fine = fine && ::seccomp_rule_add_array(context, action, call, 1, &compared) == 0;
    };
    for (const int call : kFatal) add(SCMP_ACT_KILL_PROCESS, call);
    for (const int call : kRefused) add(SCMP_ACT_ERRNO(EPERM), call);
    for (const int call : kUnknown) add(SCMP_ACT_ERRNO(ENOSYS), call);
    add_if(SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), {0, SCMP_CMP_NE, AF_UNIX, 0});
    add_if(SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), {0, SCMP_CMP_EQ, AF_UNIX, 0});
    for (const std::uint64_t flag : kNamespaceFlags)
        add_if(SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, flag, flag});
    return fine;
}

}  // namespace

Result<std::vector<sock_filter>> confinement_filter() {
    const std::unique_ptr<void, void (*)(void*)> context(::seccomp_init(SCMP_ACT_ALLOW),
                                                         [](void* c) { ::seccomp_release(c); });
    if (!context || !add_rules(context.get()))
        return fail(Code::internal, "libseccomp refused a rule of the system call filter");
    const Fd memory(::memfd_create("axle-filter", MFD_CLOEXEC));
    if (!memory) return fail(system_error("make room for the system call filter", errno));
    if (const int result = ::seccomp_export_bpf(context.get(), memory.get()); result != 0)
        return fail(system_error("write the system call filter", -result));
    const off_t size = ::lseek(memory.get(), 0, SEEK_END);
    std::vector<sock_filter> filter(static_cast<std::size_t>(size) / sizeof(sock_filter));
    const std::size_t bytes = filter.size() * sizeof(sock_filter);
    if (::pread(memory.get(), filter.data(), bytes, 0) != static_cast<ssize_t>(bytes))
        return fail(Code::internal, "the system call filter of {} bytes could not be read back", bytes);
    return filter;
}

}  // namespace axle
