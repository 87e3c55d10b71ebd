// A small model of what users are owed: for each act the answers that are right, and what must be so in the end. It
// knows names, wishes and ties, and nothing of hosts, placement or time; where those decide, several answers are right.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>

#include "tests/support/cloud/acts.hpp"

namespace axle::test {

// What there is in the end, as users see it: read from a world or through the API.
struct Seen {
    struct SeenVm {
        std::string power;                         // of the spec
        std::map<std::string, std::string> disks;  // disk -> volume
        std::set<std::string> nics;
        bool is_protected = false;
    };
    std::map<std::string, SeenVm> vms;
    std::map<std::string, std::string> volumes;  // -> VM that it is attached to
    std::set<std::string> networks, images, forwards;
    std::map<std::string, std::set<std::string>> plain;  // prefix of a plain kind -> names
};
Seen seen_in(const World& world);

// Of an act that was answered ok.
struct Taken {
    Uuid object{};
    bool replayed = false;
    std::map<std::string, std::string> disks = {};  // of a VM: disk -> volume
};

class Reference {
  public:
    // The codes that may be answered ("ok" or the name of an error's code).
    std::set<std::string> expect(const Act& act) const;
    // "" or how it is not what was asked for.
    std::string took(const Act& act, const Taken& taken);
    // "" or where it differs from what users were promised. Of a cloud that has converged.
    std::string compare(const Seen& seen) const;

  private:
    struct RefDisk {
        std::string volume;  // its name
        Uuid id{};           // of one that a user made, who may give it another name; else zero
    };
    struct RefVm {
        Power power = Power::running;
        std::map<std::string, RefDisk> disks;
        std::map<std::string, std::string> nics;  // nic -> network
        std::string group;
        bool is_protected = false;
    };
    struct RefVolume {
        std::string vm;  // that it is attached to
        Uuid id{};
    };
    using Answers = std::set<std::string>;

    Answers expect_vm_create(const Act& act) const;
    Answers expect_vm(const Act& act, const RefVm& vm) const;
    Answers expect_attach(const Act& act, const RefVm& vm) const;
    Answers expect_volume(const Act& act) const;
    Answers expect_network(const Act& act) const;
    Answers expect_plain(const Act& act) const;
    Answers expect_other(const Act& act) const;
    bool has(const std::string& prefix, const std::string& name) const;
    std::string took_vm(const Act& act, const Taken& taken);
    void patched_vm(const Act& act, RefVm& vm);
    void took_plain(const Act& act);
    void took_attach(const Act& act, RefVm& vm);
    void took_other(const Act& act, const Taken& taken);
    void delete_vm(const std::string& name);
    std::string restore_vm(const std::string& name, const Taken& taken);
    // What the volume is called when its VM comes back; "": after the disk and its own id.
    std::string name_of_restored(const std::string& vm, const std::string& disk, const RefDisk& ref) const;
    static std::string compare_vm(const std::string& name, const RefVm& mine, const Seen::SeenVm& theirs);

    std::map<std::string, RefVm> vms_;
    std::map<Uuid, RefVm> deleted_;
    std::map<std::string, Uuid> ids_;
    std::map<std::string, std::set<std::string>> plain_;  // prefix of a plain kind -> names
    std::map<Uuid, std::string> pool_of_;                 // of volumes that name one
    std::set<std::string> zones_given_;                   // to some host, once
    std::map<std::string, RefVolume> volumes_;
    std::set<std::string> networks_{"blue"}, images_{"debian"};
    struct RefForward {
        std::string vm;
        std::int64_t port = 0;
    };
    std::map<std::string, RefForward> forwards_;
    std::map<std::string, std::pair<std::string, Uuid>> keys_;  // idempotency key -> body, object
    std::optional<std::int64_t> vms_max_;
};

}  // namespace axle::test
