#include "agent/hypervisor/qemu_user.hpp"

#include <charconv>
#include <pwd.h>
#include <sstream>

#include "common/base/file.hpp"

namespace axle {
namespace {

std::optional<QemuUser> look_up(const std::string& name) {
    const std::string number = name.starts_with('+') ? name.substr(1) : name;
    unsigned uid = 0;
    const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), uid);
    const bool numeric = problem == std::errc{} && end == number.data() + number.size();
    const passwd* user = numeric ? ::getpwuid(uid) : ::getpwnam(name.c_str());
    if (user == nullptr) return std::nullopt;
    return QemuUser{user->pw_uid, user->pw_gid};
}

}  // namespace

std::string qemu_user_in(const std::string& qemu_conf) {
    std::string found;
    std::istringstream lines(qemu_conf);
    for (std::string line; std::getline(lines, line);) {
        const auto key = line.find_first_not_of(" \t");
        if (key == std::string::npos || line.compare(key, 4, "user") != 0) continue;
        const auto equals = line.find_first_not_of(" \t", key + 4);
        if (equals == std::string::npos || line[equals] != '=') continue;
        const auto from = line.find('"', equals);
        const auto to = from == std::string::npos ? from : line.find('"', from + 1);
        if (to != std::string::npos) found = line.substr(from + 1, to - from - 1);
    }
    return found;
}

std::optional<QemuUser> find_qemu_user(const std::string& qemu_conf_path) {
    const std::string configured = qemu_user_in(read_file(qemu_conf_path, 1 << 20).value_or(""));
    if (!configured.empty()) return look_up(configured);
    for (const char* usual : {"libvirt-qemu", "qemu"}) {
        if (const auto found = look_up(usual)) return found;
    }
    return std::nullopt;
}

}  // namespace axle
