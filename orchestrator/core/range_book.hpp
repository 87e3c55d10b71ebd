// Ranges of addresses and who has each. Of two that overlap one lies in the other: so who overlaps is found by asking
// for each larger range around this one, and for the first that begins inside it.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "common/base/id.hpp"
#include "common/model/format.hpp"

namespace axle {

class RangeBook {
  public:
    struct Entry {
        Cidr range;
        Uuid owner{};
    };
    void add(const Cidr& range, const Uuid& owner) { ranges_[key_of(range)].insert(owner); }
    void remove(const Cidr& range, const Uuid& owner) {
        const auto found = ranges_.find(key_of(range));
        if (found == ranges_.end()) return;
        found->second.erase(owner);
        if (found->second.empty()) ranges_.erase(found);
    }
    // One that overlaps, the largest if there are several around it; nullopt: none does.
    std::optional<Entry> overlapping(const Cidr& range) const {
        for (int prefix = 0; prefix <= range.prefix; ++prefix) {
            const Cidr around{range.network & Cidr{0, prefix}.mask(), prefix};
            if (const auto found = ranges_.find(key_of(around)); found != ranges_.end()) return entry(*found);
        }
        const auto inside = ranges_.lower_bound(key_of(range));
        if (inside != ranges_.end() && inside->first.first <= range.last()) return entry(*inside);
        return std::nullopt;
    }
    bool operator==(const RangeBook&) const = default;

  private:
    using Key = std::pair<std::uint32_t, int>;  // a larger range before those that begin with it
    static Key key_of(const Cidr& range) { return {range.network, range.prefix}; }
    static Entry entry(const std::pair<const Key, std::set<Uuid>>& found) {
        return {Cidr{found.first.first, found.first.second}, *found.second.begin()};
    }
    std::map<Key, std::set<Uuid>> ranges_;
};

}  // namespace axle
