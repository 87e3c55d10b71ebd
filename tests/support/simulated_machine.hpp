// A host as the agent's core sees it, for simulations: libvirt, disks, network and the agent's own files, with faults
// from a seed, and with eyes for what must never happen. The machine outlives the agent's process; what hangs in flight
// when the process dies may still happen, as in life.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/core/agent_core.hpp"
#include "agent/migration/fake_migration.hpp"
#include "tests/support/virtual_clock.hpp"

namespace axle::test {

struct MachineFaults {   // each in percent of the calls
    unsigned fails = 0;  // nothing happens, an error is answered
    unsigned lies = 0;   // it happens, an error or time-out is answered
    unsigned hangs = 0;  // never answered; happens much later, or never
    unsigned loses_hints = 0;
    unsigned late_hints = 0;
    unsigned no_space = 0;      // of the agent's own files
    unsigned bad_disk = 0;      // the same, and the process ends: what a failed sync leaves nobody knows
    unsigned deaf_guests = 0;   // of those asked to shut down
    std::int64_t slow_ms = 20;  // greatest time of a call
};
// Of everything some: a host with a bad day.
inline constexpr MachineFaults kSomeFaults{.fails = 5,
                                           .lies = 4,
                                           .hangs = 1,
                                           .loses_hints = 20,
                                           .late_hints = 10,
                                           .no_space = 1,
                                           .bad_disk = 1,
                                           .deaf_guests = 10,
                                           .slow_ms = 300};

// One of the calls, or of the writes of the agent's own files, from here on goes wrong. To walk through all of them.
struct OneFault {
    int call = 0, write = 0;  // the how-manieth; each counts down, at 0 nothing happens
    bool lies = false;        // the call happens and answers that it failed
    bool ends = false;        // what the write leaves nobody knows, and the process ends; else there is no room for it
};

class SimulatedMachine final : private FakeMoveMachine {
  public:
    struct Domain {
        bool defined = false;
        DomainPlan plan;                            // persistent
        std::optional<DomainPlan> unsynced_before;  // what a power cut may bring back
        DomainState state = DomainState::absent;
        RunEnd ended = RunEnd::none;
        DomainPlan live;
        std::int64_t resets = 0;
        std::int64_t starts = 0;
        std::uint64_t run = 0;  // number of this run: a late press does not end the next one
        bool obeys = true;
        bool incoming = false;  // came up paused by a move, and nobody resumed it
        bool migrated = false;  // its last run went on elsewhere
    };
    struct Volume {
        std::int64_t size = 0;
        std::string image;
        PoolId pool;
        std::uint64_t content = 0;  // counts the runs that wrote to it
    };

    // What lies on pools that several machines see.
    struct SharedPools {
        std::map<VolumeId, Volume> volumes;
        std::map<VolumeId, std::string> epoch_files;
    };

    SimulatedMachine(VirtualTime& time, SeededRandom& random, const AgentIdentity& identity);

    // The agent's process.
    void start_agent();
    void kill_agent();
    void power_cut();  // agent and guests at once; a new boot; the agent is not started
    AgentCore* agent() { return agent_.get(); }
    VirtualClock& clock() { return *clock_; }
    const AgentIdentity& identity() const { return identity_; }

    // What happens in guests and around.
    void guest_shuts_down(VmId vm);
    void guest_crashes(VmId vm);
    void virsh_destroy(VmId vm);
    void lose_volume_file(VolumeId volume);
    void fill_state_disk(bool full) { state_full_ = full; }
    void jump_wall(std::int64_t by_ms);

    // The first thing seen that must never happen; empty: none.
    // Other machines to move guests to and from; null: none. Of what disks hold: the newest, wherever it was written.
    FakeLines* lines = nullptr;
    FakeMigrationOptions move_options;
    std::map<VolumeId, std::uint64_t>* written = nullptr;
    std::shared_ptr<SharedPools> shared = std::make_shared<SharedPools>();  // one for all machines of a cloud

    const std::string& violation() const { return violation_; }
    void expect_volume_destroy(VolumeId volume) { may_destroy_.insert(volume); }
    void expect_task() { ++tasks_ordered_; }
    bool is_running(VmId vm) const;
    Volume* file_of(VolumeId volume);                        // wherever it lies; null: nowhere
    std::string opened_by(VolumeId volume, VmId but) const;  // a guest that has it open, or empty
    bool has_nothing_of(VmId vm) const;                      // no domain, tap, seed

    // In place of the simulated state files, for tests with real disks; they keep `files` as it is on disk.
    StateFiles* real_files = nullptr;
    MachineFaults faults;
    OneFault one;
    HostFacts facts{.hostname = "simulated", .cpus = 8, .memory = std::int64_t{32} << 30};  // what the machine is
    std::int64_t drift_ppm = 0;                                                             // of its clocks
    std::int64_t pool_size = std::int64_t{1} << 30, pool_free = std::int64_t{1} << 29;
    std::map<VmId, Domain> domains;
    std::map<VolumeId, Volume> volumes;
    std::set<PoolId> unmounted;
    bool pools_full = false;  // nothing more is made, fetched or grown there
    std::set<std::pair<PoolId, std::string>> images;
    std::map<std::string, NicPlan> taps;
    std::map<NetworkId, NetworkDocument> bridges;
    std::set<VmId> seeds;
    std::map<std::string, std::string> files;  // the agent's, durable
    std::map<std::string, Lease> leases;       // by MAC
    std::vector<std::string> log;

  private:
    friend struct SimulatedEdges;
    void violate(std::string what);
    void trace(std::string what);
    void set_state(VmId vm, DomainState state, RunEnd ended);
    void emit_hint(VmId vm, RunEnd cause);
    void check_file(const std::string& name, const std::string& content);
    const std::string* durable(const std::string& name) const;
    void forget_unrecorded_ends();
    void end_of_bad_disk();
    Result<> room_in(const PoolDocument& pool) const;
    void may_start(VmId vm);
    void may_open(const DomainPlan::Disk& disk);
    std::map<VolumeId, Volume>& files_in(const PoolDocument& pool) { return pool.shared ? shared->volumes : volumes; }
    std::optional<VmDocument> wished(VmId vm) const;
    // by_living: asked by the process that lives; a call that outlived its process is stopped by QEMU's lock instead.
    Result<> start_domain(VmId vm, bool paused, bool by_living);
    DomainObservation observation(VmId id, const Domain& domain) const;
    void may_touch(VmId vm, bool power_off);
    void write_disks(VmId vm);  // it runs from now on
    void resume_domain(VmId vm);

    bool move_runs(VmId vm) const override { return is_running(vm); }
    bool move_is_off(VmId vm) const override;
    Result<> move_arrives(const DomainPlan& plan) override;
    void move_fails(VmId vm) override;
    void move_leaves(VmId vm) override;
    std::uint64_t move_reads(VolumeId volume) const override;
    void move_writes(VolumeId volume, std::uint64_t content) override;

    VirtualTime& time_;
    SeededRandom& random_;
    AgentIdentity identity_;
    int boots_ = 0;
    std::int64_t booted_ms_ = 0, wall_offset_ms_ = 0;
    std::unique_ptr<VirtualClock> clock_;
    std::shared_ptr<struct SimulatedEdges> edges_;
    std::unique_ptr<Migration> migration_;
    std::unique_ptr<AgentCore> agent_;
    std::function<void(DomainHint)> hint_;
    std::set<VolumeId> may_destroy_;
    std::map<std::string, Epoch> highest_;            // of durable documents
    std::map<std::string, std::int64_t> written_at_;  // files of the agent, virtual ms
    std::map<VmId, std::int64_t> held_;  // guest -> serial of a clean end that the agent must have seen or can see
    std::int64_t tasks_ordered_ = 0, tasks_done_ = 0;
    bool state_full_ = false;
    std::string violation_;
};

}  // namespace axle::test
