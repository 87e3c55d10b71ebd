#include "agent/hypervisor/accelerator.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <vector>

#include "common/base/file.hpp"

namespace axle {

AcceleratorFinding find_accelerator(const std::string& sys_module, const std::string& device) {
    const bool intel = file_exists(sys_module + "/kvm_intel"), amd = file_exists(sys_module + "/kvm_amd");
    const Fd kvm(::open(device.c_str(), O_RDWR | O_CLOEXEC));
    if (!intel && !amd)
        return {Accelerator::qemu,
                kvm ? fmt::format("{} opens, but neither kvm_intel nor kvm_amd is loaded: such a KVM can't be trusted "
                                  "with Linux guests, so they are emulated (slow)",
                                  device)
                    : "neither kvm_intel nor kvm_amd is loaded: guests are emulated (slow); is virtualisation switched "
                      "on in the firmware?"};
    const char* module = intel ? "kvm_intel" : "kvm_amd";
    if (!kvm)
        return {Accelerator::qemu,
                fmt::format("{} is loaded, but {} does not open: {}", module, device, std::strerror(errno))};
    const Fd vm(::ioctl(kvm.get(), KVM_CREATE_VM, 0));
    if (!vm)
        return {Accelerator::qemu,
                fmt::format("{} is loaded, but {} makes no VM: {}", module, device, std::strerror(errno))};
    return {Accelerator::kvm, fmt::format("{} is loaded and {} works", module, device)};
}

AcceleratorFinding choose_accelerator(std::optional<Accelerator> configured, AcceleratorFinding found) {
    if (!configured || *configured == found.accelerator) return found;
    return {*configured,
            fmt::format("the configuration says \"accelerator: {}\"; found: {}", text_of(*configured), found.why)};
}

std::string why_shut_to(unsigned user, const std::string& device) {
    struct stat about {};
    const struct passwd* account = ::getpwuid(user);
    if (account == nullptr || user == 0 || ::stat(device.c_str(), &about) != 0) return {};
    std::vector<gid_t> groups(256);
    int count = static_cast<int>(groups.size());
    if (::getgrouplist(account->pw_name, account->pw_gid, groups.data(), &count) < 0) return {};
    groups.resize(static_cast<std::size_t>(count));
    const mode_t both = S_IROTH | S_IWOTH;
    mode_t allowed = about.st_mode & both;
    if (std::ranges::find(groups, about.st_gid) != groups.end()) allowed = about.st_mode >> 3 & both;
    if (about.st_uid == user) allowed = about.st_mode >> 6 & both;
    if (allowed == both) return {};
    const struct group* group = ::getgrgid(about.st_gid);
    return fmt::format("{} belongs to user {}, group {}, with mode {:04o}", device, about.st_uid,
                       group != nullptr ? group->gr_name : std::to_string(about.st_gid), about.st_mode & 07777);
}

}  // namespace axle
