// The addresses of one network and who holds them. Finds the lowest free one without walking over those that are held.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <unordered_map>

#include "common/base/id.hpp"

namespace axle {

class AddressBook {
  public:
    void take(std::uint32_t address, const Uuid& holder) {
        held_[address] = holder;
        returned_.erase(address);
    }
    void give_back(std::uint32_t address) {
        if (held_.erase(address) > 0 && address < frontier_) returned_.insert(address);
    }
    Uuid holder(std::uint32_t address) const {
        const auto found = held_.find(address);
        return found == held_.end() ? Uuid{} : found->second;
    }
    // The lowest of [first, last) that nobody holds and that may be given. `first` is the same in every call.
    std::optional<std::uint32_t> lowest_free(std::uint32_t first, std::uint32_t last,
                                             const std::function<bool(std::uint32_t)>& may) const {
        for (const std::uint32_t address : returned_) {
            if (address >= first && address < last && may(address)) return address;
        }
        std::uint32_t from = first;
        if (!held_.empty()) {  // an empty book may stand for any network that has none
            frontier_ = std::max(frontier_, first);
            while (frontier_ < last && held_.contains(frontier_)) ++frontier_;
            from = frontier_;
        }
        for (std::uint32_t address = from; address < last; ++address) {
            if (!held_.contains(address) && may(address)) return address;
        }
        return std::nullopt;
    }
    bool empty() const { return held_.empty(); }
    bool operator==(const AddressBook& other) const { return held_ == other.held_; }

  private:
    std::unordered_map<std::uint32_t, Uuid> held_;
    // Every address from the first up to here is held or was returned: only what lies behind is looked for anew.
    mutable std::uint32_t frontier_ = 0;
    std::set<std::uint32_t> returned_;
};

}  // namespace axle
