#include "agent/hypervisor/apparmor_profile.hpp"

#include <unistd.h>

#include "common/base/file.hpp"

namespace axle {
namespace {

constexpr std::int64_t kTemplateMax = 64 << 10;
constexpr std::string_view kName = "LIBVIRT_TEMPLATE";

std::string path_of(const AppArmor& armor, VmId id) {
    return fmt::format("{}/libvirt-{}", armor.profiles, id.str());
}

}  // namespace

bool AppArmor::is_on() {
    const auto said = read_file("/sys/module/apparmor/parameters/enabled", 16);
    return said && said->starts_with("Y");
}

Result<std::string> profile_text(const std::string& text_of_template, VmId id, const std::string& moves_folder) {
    std::string text = text_of_template;
    const auto name = text.find(kName);
    const auto end = text.rfind('}');
    if (name == std::string::npos || end == std::string::npos || end < name)
        return fail(error(Code::corrupt, "libvirt's template of AppArmor profiles has no {} or no end", kName)
                        .with_hint("install libvirt-daemon-system again"));
    std::string rules = fmt::format("  #include <libvirt/libvirt-{}.files>\n", id.str());
    for (const char* side : {"in", "out"})
        rules += fmt::format("  \"{}/{}.{}/*.sock\" rw,\n", moves_folder, id.str(), side);
    text.insert(end, rules);
    return text.replace(name, kName.size(), "libvirt-" + id.str());
}

Result<> write_profile(const AppArmor& armor, VmId id) {
    const auto source = read_file(armor.profiles + "/TEMPLATE.qemu", kTemplateMax);
    if (!source && source.error().code == Code::not_found) return {};
    if (!source) return fail(source.error());
    TRY(text, profile_text(*source, id, armor.moves_folder));
    const std::string path = path_of(armor, id);
    if (const auto there = read_file(path, kTemplateMax); there && *there == text) return {};
    return write_file_durably(path, text, 0644);
}

void forget_profile(const AppArmor& armor, VmId id) {
    for (const char* kind : {"", ".files"}) ::unlink((path_of(armor, id) + kind).c_str());
}

}  // namespace axle
