// What there is in the end, held against what users were promised.
#include "tests/support/cloud/plain_kinds.hpp"
#include "tests/support/cloud/reference.hpp"

namespace axle::test {
namespace {

template <typename Map>
std::set<std::string> keys_of(const Map& map) {
    std::set<std::string> keys;
    for (const auto& [key, value] : map) keys.insert(key);
    return keys;
}

}  // namespace

Seen seen_in(const World& world) {
    Seen seen;
    for (const auto& [key, id] : world.names_of(Kind::vm)) {
        const Vm& vm = *world.find<Vm>(id);
        Seen::SeenVm& as = seen.vms[key.name];
        as = {.power = text_of(vm.spec.power),
              .nics = keys_of(vm.spec.nics),
              .is_protected = vm.spec.deletion_protection};
        for (const auto& [disk, d] : vm.spec.disks) {
            const Volume* volume = world.find<Volume>(d.volume.id);
            as.disks[disk] = volume == nullptr || volume->is_deleted() ? "" : volume->meta.name;
        }
    }
    for (const auto& [key, id] : world.names_of(Kind::volume))
        seen.volumes[key.name] = world.find<Volume>(id)->status.attached_to.name;
    for (const auto& [key, id] : world.names_of(Kind::network)) seen.networks.insert(key.name);
    for (const auto& [key, id] : world.names_of(Kind::image)) seen.images.insert(key.name);
    for (const auto& [key, id] : world.names_of(Kind::portforward)) seen.forwards.insert(key.name);
    for (const PlainKind& plain : plain_kinds()) {
        for (const auto& [key, id] : world.names_of(plain.kind)) {
            if (is_plain_name(plain.prefix, key.name)) seen.plain[plain.prefix].insert(key.name);
        }
    }
    return seen;
}

namespace {

std::string names_differ(const char* kind, const std::set<std::string>& mine, const std::set<std::string>& theirs) {
    for (const std::string& name : mine) {
        if (!theirs.contains(name)) return fmt::format("{} {} was promised and is not there", kind, name);
    }
    for (const std::string& name : theirs) {
        if (!mine.contains(name)) return fmt::format("{} {} is there and should not be", kind, name);
    }
    return "";
}

}  // namespace

std::string Reference::compare_vm(const std::string& name, const RefVm& mine, const Seen::SeenVm& theirs) {
    if (theirs.power != text_of(mine.power))
        return fmt::format("vm {} has power {}, its user said {}", name, theirs.power, text_of(mine.power));
    if (keys_of(theirs.disks) != keys_of(mine.disks)) return "vm " + name + " has other disks";
    if (theirs.nics != keys_of(mine.nics)) return "vm " + name + " has other NICs";
    if (theirs.is_protected != mine.is_protected) return "vm " + name + " has another protection";
    for (const auto& [disk, volume] : theirs.disks) {
        if (volume.empty()) return fmt::format("disk {} of vm {} is gone", disk, name);
        if (volume != mine.disks.at(disk).volume) return fmt::format("disk {} of vm {} is another one", disk, name);
    }
    return "";
}

std::string Reference::compare(const Seen& seen) const {
    const std::string differences[] = {names_differ("vm", keys_of(vms_), keys_of(seen.vms)),
                                       names_differ("volume", keys_of(volumes_), keys_of(seen.volumes)),
                                       names_differ("network", networks_, seen.networks),
                                       names_differ("image", images_, seen.images),
                                       names_differ("portforward", keys_of(forwards_), seen.forwards)};
    for (const std::string& d : differences) {
        if (!d.empty()) return d;
    }
    for (const PlainKind& plain : plain_kinds()) {
        const auto names_in = [&](const auto& all) {
            const auto names = all.find(plain.prefix);
            return names == all.end() ? std::set<std::string>{} : names->second;
        };
        if (auto d = names_differ(plain.prefix, names_in(plain_), names_in(seen.plain)); !d.empty()) return d;
    }
    for (const auto& [name, vm] : seen.vms) {
        if (auto d = compare_vm(name, vms_.at(name), vm); !d.empty()) return d;
    }
    for (const auto& [name, at] : seen.volumes) {
        if (at != volumes_.at(name).vm)
            return fmt::format("volume {} is attached to \"{}\", it should be to \"{}\"", name, at,
                               volumes_.at(name).vm);
    }
    return "";
}

}  // namespace axle::test
