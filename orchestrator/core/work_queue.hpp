// Keys that wait to be looked at: what has changed first, in its order, and only then what is looked at again to be
// sure. Core thread.
#pragma once
#include <deque>
#include <optional>
#include <set>

#include "orchestrator/core/world.hpp"

namespace axle {

class WorkQueue {
  public:
    // A key that waits already keeps its place.
    void add(const Key& key) {
        if (waiting_.insert(key).second) first_.push_back(key);
    }
    // When nothing else is left to do. As often as it is added.
    void add_later(const Key& key) { later_.push_back(key); }
    bool empty() const { return first_.empty() && later_.empty(); }

    // nullopt: there is none.
    std::optional<Key> take() {
        if (!first_.empty()) {
            const Key key = first_.front();
            first_.pop_front();
            waiting_.erase(key);
            return key;
        }
        if (later_.empty()) return std::nullopt;
        const Key key = later_.front();
        later_.pop_front();
        return key;
    }

  private:
    std::deque<Key> first_, later_;
    std::set<Key> waiting_;  // those in first_
};

}  // namespace axle
