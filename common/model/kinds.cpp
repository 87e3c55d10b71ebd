// The table of kinds: the one place that lists them.
#include "common/model/compute.hpp"
#include "common/model/fleet.hpp"
#include "common/model/network.hpp"
#include "common/model/storage.hpp"

namespace axle {
namespace {

struct Traits {
    const char* plural;
    const char* doc;
    bool cluster_wide = false, soft_delete = false, dotted_names = false;
};

template <typename T>
KindInfo make_info(const Traits& t) {
    return {T::kKind,
            text_of(T::kKind),
            t.plural,
            t.doc,
            t.cluster_wide,
            t.soft_delete,
            t.dotted_names,
            &type_of<typename T::SpecType>(),
            &type_of<typename T::StatusType>(),
            []() -> std::unique_ptr<Object> { return std::make_unique<T>(); }};
}

}  // namespace

const std::vector<KindInfo>& all_kinds() {
    static const std::vector<KindInfo> kinds = {
        // in the order of enum Kind, which is an order of dependence
        make_info<Project>({.plural = "projects",
                            .doc = "A group of resources with its own names, limits and access.",
                            .cluster_wide = true}),
        make_info<Flavor>(
            {.plural = "flavors", .doc = "A size that VMs come in.", .cluster_wide = true, .dotted_names = true}),
        make_info<SshKey>({.plural = "sshkeys", .doc = "A public key that may log in to guests."}),
        make_info<Image>(
            {.plural = "images", .doc = "A disk that VMs start from.", .soft_delete = true, .dotted_names = true}),
        make_info<Pool>({.plural = "pools", .doc = "A place for disks on the hosts.", .cluster_wide = true}),
        make_info<NetworkObject>({.plural = "networks", .doc = "A network that guests are on."}),
        make_info<Volume>({.plural = "volumes", .doc = "A disk.", .soft_delete = true}),
        make_info<PlacementGroup>(
            {.plural = "placementgroups", .doc = "VMs that are kept apart, or together, by hosts or zones."}),
        make_info<Vm>({.plural = "vms", .doc = "A virtual machine.", .soft_delete = true}),
        make_info<PortForward>({.plural = "portforwards", .doc = "A port of a host that leads to a guest."}),
        make_info<Zone>(
            {.plural = "zones", .doc = "Hosts that share a fate: a room, a rack, a power line.", .cluster_wide = true}),
        make_info<Host>(
            {.plural = "hosts", .doc = "A machine that runs guests.", .cluster_wide = true, .dotted_names = true}),
        make_info<Token>({.plural = "tokens", .doc = "A secret that gives access to the API.", .cluster_wide = true}),
        make_info<JoinToken>({.plural = "jointokens",
                              .doc = "A secret with which a machine may join as a host.",
                              .cluster_wide = true,
                              .dotted_names = true}),
        make_info<Task>(
            {.plural = "tasks", .doc = "Work that somebody asked for.", .cluster_wide = true, .dotted_names = true}),
    };
    return kinds;
}

const KindInfo& info_of(Kind kind) {
    return all_kinds()[static_cast<std::size_t>(kind)];
}

const KindInfo* find_kind(std::string_view name) {
    for (const KindInfo& k : all_kinds()) {
        if (name == k.name || name == k.plural) return &k;
    }
    return nullptr;
}

}  // namespace axle
