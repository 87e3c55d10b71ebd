// A user, an orchestrator, a host and its agent in one queue of events from one seed, with all that can go wrong
// between any two of them.
#pragma once
#include <map>
#include <set>
#include <string>

#include "tests/support/simulated_machine.hpp"
#include "tests/support/simulated_orchestrator.hpp"

namespace axle::test {

AgentIdentity identity_for_tests();

class World {
  public:
    explicit World(std::uint64_t seed);
    ~World() { time.after_each({}); }

    void user_acts(VmId id);
    VmId any_vm();
    void do_something();  // one random act of the user, the guests, or bad luck
    // Faults end, all is up and connected. "" if everything is as wished within `limit`, else what is not.
    std::string converge(milliseconds limit);
    std::string violation() const { return machine.violation(); }

    VmId create_vm(Power power = Power::running);
    VmDocument& vm(VmId id) { return vms.at(id); }
    void put_vm(VmId id);  // a changed document: its rev and generation rise
    void start_vm(VmId id);
    void stop_vm(VmId id, bool force);
    void delete_vm(VmId id);
    VolumeDocument& add_volume(const std::string& name);
    std::string unsettled() const;  // what is not as wished; empty: all is

    VirtualTime time;
    SeededRandom random;
    SimulatedMachine machine;
    SimulatedOrchestrator orchestrator;
    PoolDocument pool;
    ImageDocument image;
    NetworkDocument network;
    std::map<VmId, VmDocument> vms;
    std::map<VolumeId, VolumeDocument> volumes;
    std::set<VmId> deleted;
    std::set<VolumeId> destroyed, released, lost;
    TaskOrder last_task;
    MachineFaults faults;

  private:
    template <typename IdType>
    IdType make_id() {
        return IdType{Uuid::make_v7({1'800'000'000'000 + time.now_ms()}, random)};
    }
    Epoch next_epoch() { return {orchestrator.incarnation, ++orchestrator.revision}; }
    void change_disks(VmId id);
    void order_task(VmId id);
    void bad_luck();
    void lose_a_disk();
    void guest_acts(VmId id);
    void send_stale(VmId id);
    void repair();
    bool waits_for_lost(const VmDocument& document) const;
    std::string unsettled(const VmDocument& document) const;
};

}  // namespace axle::test
