// Whom QEMU runs as under this machine's libvirt.
#pragma once
#include <optional>
#include <string>

namespace axle {

struct QemuUser {
    unsigned uid = 0, gid = 0;
};

// What `user` in qemu.conf says (a name, or a number, perhaps with a plus before it); empty: it says nothing. Pure.
std::string qemu_user_in(const std::string& qemu_conf);

// By libvirt's configuration, else the user that its package makes. Nobody: libvirt isn't installed. Blocks shortly.
std::optional<QemuUser> find_qemu_user(const std::string& qemu_conf_path = "/etc/libvirt/qemu.conf");

}  // namespace axle
