// All hosts as the scheduler knows them, kept as they change, so that a decision looks closely at a few of many: hosts
// that are alike in everything but room stand in one class, which is asked once; within it those with the most room
// come first. Values in, a decision out; one thread.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {

class HostTable {
  public:
    void put(HostState state);  // new, or as it is now
    void erase(const HostId& id);
    std::size_t size() const { return hosts_.size(); }
    const HostState* find(const HostId& id) const;

    // Up to kCloseMax hosts: as decide() over all of them. More: the best of those looked at closely, which are the
    // hosts that a rule of affinity is about, and the first of each class that passes, until kCloseEach fit; every host
    // is told of, most of them in groups.
    Decision decide(const VmRequest& request) const;

    // Where there are many classes fewer of each are looked at closely, down to one.
    static constexpr std::size_t kCloseMax = 64, kCloseEach = 8;

  private:
    struct Class;
    struct Entry {
        HostState state;
        double room = 0;
        Class* in = nullptr;
    };
    struct MoreRoom {
        bool operator()(const Entry* a, const Entry* b) const {
            return a->room != b->room ? a->room > b->room : a->state.name < b->state.name;
        }
    };
    struct Class {
        std::string signature;
        std::set<const Entry*, MoreRoom> hosts;
    };
    class Search;

    void leave_class(Entry& entry);
    const HostState* find_named(const std::string& name) const;

    std::unordered_map<Uuid, std::unique_ptr<Entry>> hosts_;
    std::map<std::string, Class> classes_;
};

}  // namespace axle
