// What is checked and filled in before an object enters the head: names, references, defaults, allocation of addresses
// and slots, volumes made with a VM, project limits. All mistakes are collected with their pointers. Core thread,
// inside a transaction that is given up when there are any.
#pragma once
#include <vector>

#include "common/model/format.hpp"
#include "orchestrator/core/transaction.hpp"

namespace axle {

using Mistakes = std::vector<FieldError>;

struct Admission {
    Transaction& tx;
    Mistakes mistakes = {};
    bool by_administrator = false;  // of the whole cloud

    void refuse(std::string pointer, const char* code, std::string detail) {
        mistakes.push_back({std::move(pointer), code, std::move(detail)});
    }
};

// Resolves every reference in spec to an id and its canonical name.
void resolve_references(Admission& a, Object& object);
// Checks what depends on the kind, fills in defaults. before: null for a new object. May create volumes (of a VM).
// Fails with a state error (conflict, quota) or leaves mistakes in `a`.
Result<> admit(Admission& a, Object& object, const Object* before);

// The command that detaches a volume from the VM that has it.
std::string how_to_detach(const World& world, const Volume& volume);

// To NICs that have none: new ones, and those of a restored VM whose address was given away meanwhile.
void give_addresses(Admission& a, Vm& vm);
Result<> admit_vm(Admission& a, Vm& vm, const Vm* before);
Result<> admit_volume(Admission& a, Volume& volume, const Volume* before);
Result<> admit_network(Admission& a, NetworkObject& network, const NetworkObject* before);
// The block that no guest and no network of ours can be in (loopback, link-local, multicast, …), or null. Pure.
const char* special_range(const Cidr& range);
Result<> admit_image(Admission& a, Image& image, const Image* before);
Result<> admit_portforward(Admission& a, PortForward& forward, const PortForward* before);
Result<> admit_pool(Admission& a, Pool& pool, const Pool* before);

// The project's limits, after the change: refused is only what goes further beyond one than it was `before`.
Result<> check_limits(Transaction& tx, const Uuid& project, const Usage& before);
Result<> check_usage(const World& world, const Uuid& project, const Usage& used, const Usage& before);

// The pool that a disk without one goes to: the default one, else the only one.
const Pool* default_pool(const World& world);
// Pool, size and image digest of a volume; the reason why not goes to the field at `at`.
void complete_volume(Admission& a, VolumeSpec& spec, const std::string& at, std::optional<std::int64_t> default_size);

}  // namespace axle
