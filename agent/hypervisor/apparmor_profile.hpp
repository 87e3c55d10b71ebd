// The AppArmor profile by which libvirt confines a guest. libvirt makes one from its template where there is none,
// takes the one that is there, and leaves it for ever. Ours is the template's, and lets the guest's QEMU at the sockets
// of its own moves between hosts, of which libvirt's profile knows nothing: else it could not listen there.
#pragma once
#include <string>

#include "common/base/id.hpp"
#include "common/base/result.hpp"

namespace axle {

struct AppArmor {
    std::string profiles = "/etc/apparmor.d/libvirt";
    std::string moves_folder;  // each guest's sockets lie in <folder>/<vm>.in and .out
    static bool is_on();       // of this machine's kernel
};

// Pure. Code::corrupt if the template is not of the form that libvirt itself fills in.
Result<std::string> profile_text(const std::string& text_of_template, VmId id, const std::string& moves_folder);

// Blocks. It counts from the guest's next start. Without libvirt's template: success, nothing is written.
Result<> write_profile(const AppArmor& armor, VmId id);
void forget_profile(const AppArmor& armor, VmId id);  // not there: nothing

}  // namespace axle
