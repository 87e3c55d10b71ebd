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
};
Seen seen_in(const World& world);

// Of an act that was answered ok.
struct Taken {
    Uuid object{};
    bool replayed = false;
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
    struct RefVm {
        Power power = Power::running;
        std::map<std::string, std::string> disks;  // disk -> volume
        std::map<std::string, std::string> nics;   // nic -> network
        bool is_protected = false;
    };
    struct RefVolume {
        std::string vm;  // that it is attached to
    };
    using Answers = std::set<std::string>;

    Answers expect_vm_create(const Act& act) const;
    Answers expect_vm(const Act& act, const RefVm& vm) const;
    Answers expect_attach(const Act& act, const RefVm& vm) const;
    Answers expect_other(const Act& act) const;
    void took_vm(const Act& act, const Taken& taken);
    void took_attach(const Act& act, RefVm& vm);
    void took_other(const Act& act, const Taken& taken);
    void delete_vm(const std::string& name);
    void restore_vm(const std::string& name);
    static std::string compare_vm(const std::string& name, const RefVm& mine, const Seen::SeenVm& theirs);

    std::map<std::string, RefVm> vms_;
    std::map<Uuid, RefVm> deleted_;
    std::map<std::string, Uuid> ids_;
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
