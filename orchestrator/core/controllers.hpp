// Controllers (DESIGN 6): an item of work is only a key; the controller looks at the world and corrects all of it. An
// event is a hint; a lost one costs latency, because everything is looked at again now and then. Core thread only.
#pragma once
#include <map>
#include <set>

#include "orchestrator/core/importer.hpp"
#include "orchestrator/core/links.hpp"
#include "orchestrator/core/tasks.hpp"
#include "orchestrator/core/work_queue.hpp"
#include "orchestrator/scheduler/host_table.hpp"

namespace axle {

class Controllers {
  public:
    Controllers(Pipeline& pipeline, Executor& core, HostLinks& links, Importer& importer);

    Result<> load();  // what the last run left to do, but for what the world shows
    void start();     // everything once, then timers
    void enqueue(const Key& key);
    void changed(const ChangeEvent& event);  // enqueues what it concerns

    // What hosts tell.
    void host_said_hello(const Hello& hello, const LinkPeer& peer);
    void host_facts(const Uuid& host, const HostFacts& facts);
    void host_lost(const Uuid& host);
    void host_status(const Uuid& host, const Status& status);
    void host_task(const Uuid& host, const TaskNews& news);

    // Of an import that is under way; null: there is none. Soft.
    struct ImportWork {
        ImportProgress progress;
        std::int64_t percent = 0;      // of all steps together; never falls
        std::vector<std::string> log;  // what happened, the newest last
        bool runs = false;             // else it waits for its next try
        int tries = 0;                 // that brought no byte more than one before
        std::int64_t reached = 0;      // bytes that were downloaded at most
        TimerId timer = 0;             // of the next try
    };
    const ImportWork* import_of(const Uuid& image) const;

    // What its source last told of a move's bytes; null: nothing. Soft.
    const MoveReport* move_of(const Uuid& vm) const;

    std::vector<HostState> host_states() const;  // of all: for what looks at every host anyway
    Decision decide_for(const VmRequest& request);
    Result<VmRequest> request_for(const Vm& vm) const;  // unavailable: it can't be placed yet, and why

  private:
    void look_later(const Key& key);
    void run_soon();
    void run_queue();
    void reconcile(const Key& key);
    void look_at_everything();  // resync.cpp
    void look_again_in(milliseconds pause);
    void resync();
    struct Round {  // over all objects of a kind
        Kind kind;
        BootTime began;
        std::size_t bucket = 0;  // where it goes on
        bool goes_on = false;
    };
    void next_slice(Round& round);
    void keep_no_longer(const Key& key);
    void wake_waiting();
    void wake_neighbours(const ChangeEvent& event);
    void waits_no_more(const Uuid& vm);

    void reconcile_vm(const Uuid& id);
    void expunge_vm(Transaction& tx, const Vm& vm);
    void place_vm(Transaction& tx, const Vm& vm);
    // false: nothing deleted of that project would make room for it on these hosts.
    bool make_room(Transaction& tx, const Uuid& project, const VmRequest& request, std::vector<HostState> hosts);
    void bind_vm(Transaction& tx, const Uuid& vm, const Host& host, const Decision& decision);
    void set_phase(Transaction& tx, const Uuid& vm);
    bool is_out_of_sight(const Vm& vm) const;  // sight.cpp: its host has been silent for too long
    void watch_sight(const Uuid& host);
    void send_orders(Transaction& tx, const Vm& vm);
    void give_up_late_stop(Transaction& tx, const Vm& vm);

    void advance_move(Transaction& tx, const Uuid& vm);  // move_controller.cpp
    void end_move(Transaction& tx, const Uuid& vm, TaskError why);
    void complete_move(Transaction& tx, const Uuid& vm, VmReport report);
    void source_says(Transaction& tx, const Uuid& vm, const MoveReport& move);
    void target_status(const Vm& vm, const Status& status);
    template <typename T>
    bool leftover_status(const T& object, const Uuid& host, const Status& status);
    bool copy_status(const Volume& volume, const Uuid& host, const Status& status);

    void forget_lost_host(const Uuid& host);  // lost_host.cpp
    bool lose_move(Transaction& tx, const Uuid& vm, const Uuid& host);
    bool lose_vm(Transaction& tx, const Uuid& vm, const Uuid& host);  // false: it waits for another host
    void lose_volume(Transaction& tx, const Uuid& volume, const Uuid& host);
    void reconcile_removals(const Uuid& host);  // unclaimed_controller.cpp
    void order_removal(Transaction& tx, const Task& task, const Host& host, bool again);
    void settle_removal(const Uuid& host, const Status& gone);
    void reconcile_drain(const Uuid& host);  // drain_controller.cpp
    void drain_again(const Uuid& host, milliseconds from_now);
    struct Leaving {
        int moving = 0, left = 0;
        std::string stuck;  // which can't go, and why
    };
    Leaving move_some(const Host& host, const std::vector<Uuid>& vms, const std::string& target);
    void tell_drain(const Uuid& host, TaskGoal goal, const Leaving& leaving);
    void note_away(Transaction& tx, const Vm& vm, const Uuid& from);
    void enqueue_hosts_that_change(const ChangeEvent& event);

    void reconcile_volume(const Uuid& id);
    void complete_from_image(Transaction& tx, const Volume& volume);
    void place_volume(Transaction& tx, const Volume& volume);
    void place_beside(Transaction& tx, const Volume& volume, const Vm& vm);
    void reconcile_image(const Uuid& id);
    void start_import(const Image& image);
    void stop_import(const Uuid& image);
    void progressed(const Image& image, const ImportProgress& progress);
    void imported(const Uuid& image, Result<Imported> result);
    bool try_import_later(const Image& image, const Error& why);
    void end_import_tasks(Transaction& tx, const Uuid& image, const Result<Imported>& result,
                          const std::vector<std::string>& log);
    void forget_image_file(Transaction& tx, const std::string& digest);
    bool image_file_is_needed(const std::string& digest) const;
    void remove_image_file(const std::string& digest);
    void reconcile_farewell(const Key& key);  // networks and pools that are being removed

    void vm_status(const Uuid& host, const Status& status);
    void volume_status(const Uuid& host, const Status& status);
    void pool_status(const Host& host, const Status& status);
    void network_status(const Host& host, const Status& status);
    void sum_up_network(const Uuid& network);
    HostState state_of(const Host& host) const;
    void note_hosts_of(const ChangeEvent& event);
    void refresh_in_table(const Uuid& host);

    Pipeline& pipeline_;
    Executor& core_;
    HostLinks& links_;
    Importer& importer_;
    WorkQueue queue_;
    bool running_ = false;
    std::vector<Round> rounds_;
    TimerId resync_timer_ = 0;
    std::set<Uuid> waiting_;       // VMs without a place
    std::set<Uuid> waiting_near_;  // of these, those with rules about where others are
    std::set<Uuid> untold_hosts_;  // that have connected anew, with what is to be removed there
    std::set<Uuid> untold_;        // VMs whose host has connected anew: it may not have heard of orders that were sent
    struct Sight {                 // of a host
        bool heard = false;        // it has been connected to this run of ours
        std::optional<BootTime> silent_since;
        bool lost = false;  // for too long: its VMs are unknown
    };
    std::map<Uuid, Sight> sights_;
    std::map<Uuid, ImportWork> importing_;
    std::vector<std::string> image_files_left_;  // digests that were to go when the last run ended
    HostTable table_;
    std::set<Uuid> stale_;  // hosts whose state in the table is not as the world is
    bool all_stale_ = true;
    std::map<Uuid, MoveReport> moving_;  // by VM
    struct DrainTry {
        BootTime next;
        milliseconds pause{};  // until the next; longer after each
        std::string why_not;
    };
    std::map<Uuid, DrainTry> drain_tries_;  // by VM
    std::map<Uuid, TimerId> drain_timers_;  // by host: when the first of its VMs is tried again
};

}  // namespace axle
