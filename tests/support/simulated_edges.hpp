// The seams of one process of the agent on a SimulatedMachine: each call takes its time, fails, lies or hangs by the
// machine's faults. What the agent may ask for is judged when it asks.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/core/seams.hpp"
#include "tests/support/virtual_clock.hpp"

namespace axle::test {

class SimulatedMachine;

struct SimulatedEdges final : public Hypervisor,
                              public Storage,
                              public Network,
                              public StateFiles,
                              public GuestProbe,
                              public HostProbe,
                              public std::enable_shared_from_this<SimulatedEdges> {
    SimulatedEdges(SimulatedMachine& machine, VirtualClock& clock) : machine_(machine), clock_(&clock) {}
    Seams seams(Random& random, Migration& migration);
    void die() { clock_ = nullptr; }  // calls in flight may still happen, their answers reach nobody

    // Hypervisor
    void facts(Answer<HypervisorFacts> answer) override;
    void list(Answer<std::vector<DomainObservation>> answer) override;
    void observe(VmId id, Answer<DomainObservation> answer) override;
    void on_hint(std::function<void(DomainHint)> told) override;
    void define(DomainPlan plan, Done done) override;
    void undefine(VmId id, Done done) override;
    void start(VmId id, bool paused, Done done) override;
    void ask_shutdown(VmId id, Done done) override;
    void destroy(VmId id, Done done) override;
    void ask_reboot(VmId id, Done done) override;
    void reset(VmId id, Done done) override;
    void suspend(VmId id, Done done) override;
    void resume(VmId id, Done done) override;
    void attach_disk(VmId id, DomainPlan::Disk disk, Done done) override;
    void detach_disk(VmId id, std::string disk_name, Done done) override;
    void grow_disk(VmId id, std::string disk_name, std::int64_t bytes, Done done) override;
    void attach_nic(VmId id, DomainPlan::Nic nic, Done done) override;
    void detach_nic(VmId id, std::string nic_name, Done done) override;
    void screenshot(VmId id, Answer<std::string> png_or_ppm) override;

    // Storage
    void open_pool(PoolDocument pool, bool known, Answer<PoolObservation> answer) override;
    void list_volumes(PoolDocument pool, Answer<std::vector<VolumeFile>> answer) override;
    void fetch_image(PoolDocument pool, ImageDocument image, std::function<void(std::int64_t)> progress,
                     Done done) override;
    void remove_image(PoolDocument pool, std::string digest, Done done) override;
    void observe_volume(PoolDocument pool, VolumeDocument volume, Answer<VolumeObservation> answer) override;
    void create_volume(PoolDocument pool, VolumeDocument volume, Done done) override;
    void grow_volume(PoolDocument pool, VolumeDocument volume, Done done) override;
    void destroy_volume(PoolDocument pool, VolumeId volume, Done done) override;
    void check_volume(PoolDocument pool, VolumeDocument volume, Done done) override;
    void claim_volume(PoolDocument pool, VolumeDocument volume, Done done) override;
    std::string volume_path(const PoolDocument& pool, const VolumeDocument& volume) const override;
    void make_seed(VmDocument vm, Answer<std::string> path) override;
    void remove_guest_files(VmId vm, Done done) override;
    void sweep(std::vector<PoolDocument> pools, Done done) override;

    // Network
    void apply(NetworkPlan plan, std::function<void(Result<NetworkReport>)> answer) override;
    void on_hint(std::function<void(NetworkHint)>) override {}
    void leases(NetworkId network, std::function<void(Result<std::vector<Lease>>)> answer) override;
    void remove_all(std::function<void(Result<>)> done) override;

    // StateFiles
    void load(std::function<void(Result<std::vector<StateFile>>)> answer) override;
    void put(std::string name, std::string content, std::function<void(Result<>)> done) override;
    void remove(std::string name, std::function<void(Result<>)> done) override;

    // GuestProbe, HostProbe
    void last_stage(VmId vm, Answer<std::string> answer) override;
    void facts(Answer<HostFacts> answer) override;
    void load(Answer<HostLoad> answer) override;

  private:
    // late: a call that hangs happens minutes later (libvirtd), or never; others have happened, and are answered late,
    // or never.
    template <typename T>
    void call(bool late, std::function<Result<T>()> act, std::function<void(Result<T>)> answer);
    template <typename T>
    void answer_in(std::int64_t ms, Result<T> result, std::function<void(Result<T>)> answer);
    void write(std::function<void()> act, std::function<void(Result<>)> done, bool needs_room = true);
    bool alive() const { return clock_ != nullptr; }
    void act_task(VmId vm, Done done);

    SimulatedMachine& machine_;
    VirtualClock* clock_;
    std::int64_t files_busy_until_ = 0;
};

}  // namespace axle::test
