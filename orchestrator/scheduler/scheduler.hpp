// Where a VM goes (DESIGN 9): filters say no with a reason in numbers, scores rank what is left. Values in, a decision
// out; no clock, no randomness, no I/O. Each rule is a file of its own beside this one.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/model/compute.hpp"

namespace axle {

struct HostPool {
    std::string name;
    bool ready = false;
    std::string why;           // when not ready
    std::int64_t size = 0;     // of the file system, bytes
    std::int64_t free = 0;     // now
    std::int64_t claimed = 0;  // sizes of all volumes there
    bool operator==(const HostPool&) const = default;
};
// What the scheduler knows of a host: computed from records at the instant of the decision.
struct HostState {
    HostId id;
    std::string name;
    bool connected = false;
    bool ready = true;
    std::string not_ready_why;
    bool unschedulable = false;
    std::map<std::string, std::string> labels;
    Uuid zone{};
    std::string zone_name;
    Accelerator accelerator = Accelerator::qemu;
    std::string guest_machine, guest_cpu_model;               // that new guests get there
    std::int64_t cpus_allocatable = 0, cpus_claimed = 0;      // allocatable: after overcommit and foreign domains
    std::int64_t memory_allocatable = 0, memory_claimed = 0;  // bytes, after overcommit, reserve and foreign domains
    double disk_overcommit = 1;
    std::int64_t disk_reserve = 0;
    std::map<PoolId, HostPool> pools;
    std::vector<std::string> bridges;  // existing, not ours
    std::vector<std::string> images;   // digests that disks there are made from
    std::vector<std::string> features;
    bool operator==(const HostState&) const = default;
};
// Whether a VM that found no place on the host before may find one now. No: it has only become fuller.
bool may_take_more(const HostState& before, const HostState& now);

struct VolumeRequest {
    PoolId pool;
    std::string pool_name;
    std::int64_t size = 0;
    HostId pinned;  // zero: anywhere
    std::string pinned_name;
    std::string image_digest;
    std::int64_t image_size = 0;  // bytes that a host without it has to fetch first
    std::int64_t copied = 0;      // bytes that are written there at once: it comes from another host
};
// What a guest that was made once keeps for ever.
struct GuestRequest {
    Accelerator accelerator = Accelerator::qemu;
    std::string machine, cpu_model;
};
// Where one VM stands (also where it moves to) that a rule of another is about.
struct Neighbour {
    Uuid vm{};
    HostId host;
    Uuid zone{};
};
// A rule of affinity of the VM that looks for a place, and where those are that it is about.
struct NeighbourRule {
    std::string name;  // in whose words: "placement group web", "affinity.db"
    Affinity policy = Affinity::apart;
    Domain over = Domain::host;
    bool required = true;
    bool may_be_first = false;  // together: the VM itself is one of them, so that the first goes anywhere
    std::vector<Neighbour> neighbours = {};

    // How many of them there are by host or zone; follows from `neighbours`.
    std::map<Uuid, std::int64_t> counts = {};
    void count();
    std::int64_t count_at(const HostState& host) const;
};
struct VmRequest {
    std::string name;
    std::int64_t cpus = 1;
    std::int64_t memory = 0;  // bytes
    WantedAccelerator accelerator = WantedAccelerator::automatic;
    std::map<std::string, std::string> host_selector;
    std::vector<VolumeRequest> volumes;
    std::vector<std::string> bridges;  // of bridged networks
    std::vector<std::string> features;
    std::optional<GuestRequest> guest = {};  // of a VM that moves
    Uuid id{};
    std::vector<NeighbourRule> rules = {};
    Strategy strategy = Strategy::spread;
};

// A host's own name, as a label that it has by itself: by this key of host_selector a VM asks for one host.
inline constexpr const char* kHostNameLabel = "axle/host";
// Empty: it asks for none by name.
std::string named_host(const VmRequest& request);

// A filter: why this host won't do, in numbers; nullopt: it will.
using Filter = std::optional<std::string> (*)(const VmRequest&, const HostState&);
std::optional<std::string> reject_state(const VmRequest& request, const HostState& host);
std::optional<std::string> reject_labels(const VmRequest& request, const HostState& host);
std::optional<std::string> reject_accelerator(const VmRequest& request, const HostState& host);
std::optional<std::string> reject_guest(const VmRequest& request, const HostState& host);
std::optional<std::string> reject_cpus(const VmRequest& request, const HostState& host);
std::optional<std::string> reject_memory(const VmRequest& request, const HostState& host);
std::optional<std::string> reject_pools(const VmRequest& request, const HostState& host);
std::optional<std::string> reject_networks(const VmRequest& request, const HostState& host);
std::optional<std::string> reject_features(const VmRequest& request, const HostState& host);
std::optional<std::string> reject_affinity(const VmRequest& request, const HostState& host);

// A score, 0 (worst) to 1, of a host that passed all filters; nullopt: it has nothing to say of this VM.
using Score = std::optional<double> (*)(const VmRequest&, const HostState&);
std::optional<double> score_free_memory(const VmRequest& request, const HostState& host);
std::optional<double> score_free_cpus(const VmRequest& request, const HostState& host);
std::optional<double> score_free_space(const VmRequest& request, const HostState& host);
std::optional<double> score_image_at_hand(const VmRequest& request, const HostState& host);
std::optional<double> score_affinity(const VmRequest& request, const HostState& host);

// Looks at every host. The best score wins; of equals the one with the smaller name. No host: decision.host is empty
// and its summary says how many each filter refused, with the nearest miss.
Decision decide(const VmRequest& request, const std::vector<HostState>& hosts);

}  // namespace axle
