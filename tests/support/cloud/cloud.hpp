// A whole cloud in one process: the real cores of an orchestrator and of N agents, on simulated machines, disks and
// connections, in one queue of events from one seed. Crashes fall between any two events; what must never happen is
// looked for after each (eyes.hpp). The same seed gives the same run.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "orchestrator/core/orchestrator.hpp"
#include "orchestrator/store/memory_store.hpp"
#include "tests/support/cloud/importer.hpp"
#include "tests/support/cloud/wire.hpp"
#include "tests/support/simulated_machine.hpp"

namespace axle::test {

class Eyes;

struct CloudOptions {
    std::uint64_t seed = 1;
    int hosts = 3;
    std::int64_t host_cpus = 4, host_memory = 8 * kGiB;  // 16 cpus to give, 7.5 GiB
    std::int64_t pool_size = 200 * kGiB;
    Retention retention = {};    // of what is over
    std::int64_t drift_ppm = 0;  // each machine's clocks are wrong by so much at most

    // For tests with real disks: another store, what happens to a machine before its agent starts, and after each
    // event.
    std::function<Result<std::unique_ptr<Store>>()> open_store = {};
    std::function<void(SimulatedMachine&)> prepare_host = {};
    std::function<void()> after_event = {};
};

// One answer to a mutation. lost: the orchestrator died first, the outcome is unknown.
struct Reply {
    bool lost = false;
    Result<Mutated> result = fail(Code::timeout, "no answer yet");
};

class Cloud {
  public:
    explicit Cloud(const CloudOptions& options);
    ~Cloud();
    Cloud(const Cloud&) = delete;
    Cloud& operator=(const Cloud&) = delete;

    struct HostMachine {
        std::unique_ptr<SimulatedMachine> machine;
        std::shared_ptr<Wire> wire;
        bool reachable = true;
        bool down = false;
        std::int64_t frozen_until = 0;
        std::set<TaskId> ordered;
        std::size_t network_puts = 0;  // documents of networks that it was sent
    };

    // ---- users. An answer may be lost with the orchestrator; then `told` hears so.
    using Told = std::function<void(const Reply&)>;
    void ask(Mutation mutation, Told told = {});
    Reply ask_and_wait(Mutation mutation, milliseconds limit = std::chrono::minutes{2});
    static Mutation create(Kind kind, const std::string& project, const std::string& document);
    static Mutation patch(Kind kind, const std::string& project, const std::string& name, const std::string& merge);
    static Mutation act(Kind kind, const std::string& project, const std::string& name, const std::string& action,
                        const std::string& arguments = "");
    static Mutation remove(Kind kind, const std::string& project, const std::string& name, bool now = false);
    // Of what nobody claims on a host.
    std::vector<UnclaimedLine> unclaimed(std::optional<DocumentKind> kind = std::nullopt);
    static Mutation adopt(const std::string& host, const Uuid& id, const std::string& name = "");
    static Mutation remove_unclaimed(const std::string& host, const Uuid& id);
    // The store as it was then is put in place of what there is, and a person accepts that.
    void restore_store(const MemoryDisk& copy);
    bool accepts_loss();

    // Content for an image, as the API hands it over; answers when it is acknowledged.
    Reply upload(const std::string& image);

    // ---- what goes wrong
    void crash_orchestrator();
    void start_orchestrator();
    bool orchestrator_runs() const { return process_ != nullptr; }
    void restart_orchestrator_in(milliseconds delay);  // crash now, start then
    void crash_agent(std::size_t host) { hosts[host].machine->start_agent(); }
    void power_cut(std::size_t host, milliseconds off);
    void freeze(std::size_t host, milliseconds span);
    void cut(std::size_t host);                     // the connection breaks; it is made anew
    void silence(std::size_t host, Wire::Side to);  // one way, until it is found out
    void partition(std::size_t host, bool away);    // no connection until it is over
    void jump_wall(std::int64_t by_ms);             // of the orchestrator's machine
    MemoryDisk copy_of_store() const { return disk; }
    void stop_faults();

    // ---- looking
    World const& world() const { return process_->orchestrator->world(); }
    Orchestrator& orchestrator() { return *process_->orchestrator; }
    Store& store() { return *process_->store; }
    SimulatedImporter& importer() { return process_->importer; }
    void unstall();
    VirtualClock& orchestrator_clock() { return process_->clock; }
    const Vm* vm(const std::string& name) const;
    const Volume* volume(const std::string& name) const;
    SimulatedMachine* machine_of(const Vm& vm);
    bool is_running(const std::string& vm);
    const Task* task(const Uuid& id) const { return world().find<Task>(id); }
    std::string violation() const;
    void violate(const std::string& what);
    void trace(const std::string& what);
    bool run_until(const std::function<bool()>& claim, milliseconds limit = std::chrono::minutes{10});
    void run_for(milliseconds span) { time.run_for(span); }
    // The cloud that most tests begin with: hosts joined, pool "main", image "debian", network "blue".
    void furnish();
    static Principal admin() { return {.name = "token:admin", .role = Role::admin, .all_projects = true}; }

    // Of a move: what befalls each of its calls and stretches. Asked by every machine.
    std::function<MigrationFault(const std::string& call, VmId vm)> move_fault;
    // A volume file lies on the host that came from nowhere, if nothing of this id is there.
    void bring_stray(std::size_t host, VolumeId id);
    std::set<VolumeId> strays;  // that were brought

    std::set<std::size_t> deaf;  // hosts that no other host reaches: lines between hosts are silent

    std::shared_ptr<SimulatedMachine::SharedPools> shared = std::make_shared<SimulatedMachine::SharedPools>();
    VirtualTime time;
    SeededRandom random;
    CloudOptions options;
    MemoryDisk disk;
    std::set<std::string> image_files;
    std::set<Uuid> uploads;  // whole and durable, as the API leaves them
    std::vector<HostMachine> hosts;
    WireRules wire_rules;
    std::int64_t sync_slow_ms = 20;
    std::vector<std::string> log;
    std::uint64_t orchestrator_starts = 0;
    std::unique_ptr<Eyes> eyes;

  private:
    void ask_core(std::function<void(Orchestrator&, Answered<Mutated>)> request, Told told);
    struct Process {
        explicit Process(Cloud& cloud)
            : clock(cloud.time, 0, cloud.drift_ppm_), importer(cloud.image_files, cloud.uploads, clock, cloud.random) {}
        VirtualClock clock;
        SimulatedImporter importer;
        std::unique_ptr<Store> store;
        std::unique_ptr<Orchestrator> orchestrator;
    };
    void make_host(std::size_t number, const std::string& cluster);
    void dial(std::size_t host);
    void connect(std::size_t host);
    void check_sent(std::size_t host, const Message& message);
    void check_destroy(std::size_t host, const Destroy& destroy);
    void check_removal(std::size_t host, const RemoveOrder& order);
    std::string durable_object(Kind kind, const Uuid& id) const;
    Result<std::unique_ptr<Store>> open_store();

    VirtualClock world_clock_{time};
    FakeLines lines_{world_clock_, {}};
    std::map<VolumeId, std::uint64_t> written_;
    std::set<std::tuple<std::size_t, Uuid, Epoch>> may_destroy_;  // that a host was told to destroy
    std::unique_ptr<Process> process_;
    std::int64_t wall_offset_ms_ = 0, drift_ppm_ = 0;  // of the orchestrator's machine
    std::map<std::uint64_t, Told> asked_;
    std::uint64_t last_asked_ = 0;
    std::string violation_;
};

}  // namespace axle::test
