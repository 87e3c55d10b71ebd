// The head: every live object, its indexes, and what they use (DESIGN 5). Core thread only. All indexes follow from the
// objects; put() and erase() keep them so, and check_indexes() (simulator) computes them anew and compares.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/model/compute.hpp"
#include "common/model/fleet.hpp"
#include "common/model/network.hpp"
#include "common/model/storage.hpp"
#include "orchestrator/core/address_book.hpp"
#include "orchestrator/core/range_book.hpp"

namespace axle {

struct Key {
    Kind kind = Kind::vm;
    Uuid id{};
    auto operator<=>(const Key&) const = default;
};

struct Usage {
    std::int64_t vms = 0, cpus = 0, memory = 0, disk = 0;
    bool operator==(const Usage&) const = default;
};

class World {
  public:
    struct NameKey {
        Uuid project{};
        std::string name;
        auto operator<=>(const NameKey&) const = default;
    };
    using Names = std::map<NameKey, Uuid>;

    ObjectPtr get(Kind kind, const Uuid& id) const;
    template <typename T>
    const T* find(const Uuid& id) const {
        const auto& table = objects_[static_cast<std::size_t>(T::kKind)];
        const auto found = table.find(id);
        return found == table.end() ? nullptr : static_cast<const T*>(found->second.get());
    }
    // By name among the living of a project (zero: cluster-wide).
    ObjectPtr named(Kind kind, const Uuid& project, const std::string& name) const;
    const Names& names_of(Kind kind) const { return names_[static_cast<std::size_t>(kind)]; }
    const std::unordered_map<Uuid, ObjectPtr>& all(Kind kind) const { return objects_[static_cast<std::size_t>(kind)]; }

    void put(ObjectPtr object);
    void erase(Kind kind, const Uuid& id);

    // What a host has of a network, or may have; null: nothing.
    const NetworkOnHost* network_on(const Uuid& host, const Uuid& network) const;
    std::vector<Uuid> networks_on(const Uuid& host) const;
    // nullopt: nothing any more.
    void put_network_on(const Uuid& host, const Uuid& network, std::optional<NetworkOnHost> there);

    // Objects whose spec refers to this one (also deleted ones), and VMs and volumes placed on a host.
    const std::set<Key>& referrers(const Uuid& id) const;
    std::vector<const Vm*> vms_on(const Uuid& host) const;  // placed there, deleted ones too
    Usage used_by_project(const Uuid& project) const;       // living objects
    Usage claimed_on_host(const Uuid& host) const;  // cpus and memory of living VMs placed there or moving there
    std::int64_t claimed_in_pool(const Uuid& pool,
                                 const Uuid& host) const;  // sizes of all volumes there, deleted ones too
    // The VM that holds an address of a network, or a MAC; zero: nobody. Held until it is gone for good.
    Uuid address_holder(const Uuid& network, std::uint32_t address) const;
    const AddressBook& addresses_of(const Uuid& network) const;
    Uuid mac_holder(const std::string& mac) const;
    // Ranges of nat networks, and those that hosts reach without us (but for the whole of the world). Numbers of
    // segments.
    const RangeBook& nat_ranges() const { return nat_ranges_; }
    const RangeBook& host_routes() const { return host_routes_; }
    bool is_vni_taken(std::int64_t vni) const { return vnis_.contains(vni); }
    // Hosts that have told of a pool, or may have furniture of a network.
    const std::set<Uuid>& hosts_told(const Uuid& object) const;
    const std::set<Uuid>& hosts_in_trouble(const Uuid& network) const;  // with it: not ready, or with conditions
    // Living VMs of a project with a label, and those that have a rule to be apart from such (by the rule's first
    // label).
    struct Label {
        Uuid project{};
        std::string key, value;
        auto operator<=>(const Label&) const = default;
    };
    const std::set<Uuid>& vms_labelled(const Label& label) const;
    const std::set<Uuid>& vms_apart_from(const Label& label) const;
    // Images that disks on a host are overlays of, each with how many: they are in its cache.
    const std::map<std::string, std::int64_t>& images_on(const Uuid& host) const;
    // Unfinished tasks about an object, oldest first.
    const std::set<Uuid>& tasks_of(const Uuid& target) const;

    // Empty, or what is wrong with the indexes.
    std::string check_indexes() const;

  private:
    void index_names(const Object& object);
    void unindex_names(const Object& object);
    void count_references(const Object& object, std::int64_t sign);
    void count(const Object& object, std::int64_t sign);
    void count_host(const Host& host, std::int64_t sign);
    void count_range(const NetworkObject& network, std::int64_t sign);
    void count_network(const Uuid& host, const Uuid& network, const NetworkOnHost& there, std::int64_t sign);
    void count_vm(const Vm& vm, std::int64_t sign);
    void count_nics(const Vm& vm, std::int64_t sign);
    void count_labels(const Vm& vm, std::int64_t sign);
    void count_volume(const Volume& volume, std::int64_t sign);

    std::array<std::unordered_map<Uuid, ObjectPtr>, kKinds> objects_;
    std::map<std::pair<Uuid, Uuid>, NetworkOnHost> networks_on_;  // (host, network)
    std::array<Names, kKinds> names_;
    std::unordered_map<Uuid, std::set<Key>> referrers_;
    std::unordered_map<Uuid, Usage> by_project_, by_host_;
    std::map<std::pair<Uuid, Uuid>, std::int64_t> by_pool_;  // (pool, host)
    std::unordered_map<Uuid, AddressBook> addresses_;        // by network
    std::unordered_map<std::string, Uuid> macs_;
    RangeBook nat_ranges_, host_routes_;
    std::set<std::int64_t> vnis_;
    std::map<Label, std::set<Uuid>> labelled_, apart_from_;
    std::unordered_map<Uuid, std::map<std::string, std::int64_t>> images_;  // by host
    std::unordered_map<Uuid, std::set<Uuid>> tasks_, told_, troubled_;
};

}  // namespace axle
