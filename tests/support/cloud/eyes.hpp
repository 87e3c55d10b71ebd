// What must never be, looked for while a simulated cloud runs; and what must be when faults have stopped.
//
// A watch over everything keeps a shadow of the world from its events alone, over restarts by way of the stored change
// log: so a gap, a repeat, a loss of what was told, or a head that ran ahead of the disk shows as a difference.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>

#include "tests/support/cloud/cloud.hpp"

namespace axle::test {

class Eyes {
  public:
    explicit Eyes(Cloud& cloud) : cloud_(cloud) {}
    ~Eyes();

    void look();  // after every event: what is cheap each time, what is dear now and then
    void look_closely();
    void answered(const Result<Mutated>& result);
    void orchestrator_started();
    void orchestrator_gone();
    // The store was replaced on purpose: what it lost isn't missed.
    void forget_history();

    // "" when everything is as its spec says, every task has ended, nothing is left over; else what isn't.
    std::string unsettled();
    // "" when hosts hold nothing that has no owner.
    std::string left_over();
    std::string left_in_store();
    std::uint64_t events_seen() const { return events_seen_; }
    // (phase, goal) pairs of tasks that ended, for coverage.
    std::map<std::string, int> ended_tasks;

  private:
    struct Watcher;
    struct Shadow {
        Revision revision = 0;
        bool ended = false;  // a task that is over
    };
    void changed(const ChangeEvent& event);
    void changed_task(const ChangeEvent& event);
    void check_capacity(const Uuid& at);
    void check_apart(const Vm& told, const Ref& host);
    const Vm* too_near(const Vm& vm, const Uuid& host) const;
    void read_change_log(Revision until);
    void compare_with_world();
    void check_unique_addresses();
    void check_one_writer();
    void check_queues();
    std::string unsettled_vm(const Vm& vm);
    std::string unsettled_image(const Image& image);
    bool waits_rightly(const Vm& vm);
    bool has_room(const Host& host, const Vm& vm) const;
    bool could_move(const Vm& vm, const Host& to) const;
    bool is_stuck_rightly(const Task& task) const;
    std::string left_on(std::size_t host);

    Cloud& cloud_;
    std::map<Key, Shadow> shadow_;
    Revision told_ = 0, acked_ = 0;
    std::shared_ptr<Watcher> watcher_;
    std::uint64_t looks_ = 0, events_seen_ = 0;
    std::set<Epoch> epochs_;   // that placements of VMs were given
    std::set<Uuid> restored_;  // VMs that are where their disks were
    std::set<Uuid> grown_;     // VMs whose spec was raised by hand: they may overcommit their host
};

}  // namespace axle::test
