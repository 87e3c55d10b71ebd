// Labels that something must have: a pool's hosts, the VMs of a rule of affinity. Pure.
#pragma once
#include <algorithm>
#include <map>
#include <string>

namespace axle {

using Labels = std::map<std::string, std::string>;

// Every one of them must be there; an empty selector takes all.
inline bool selects(const Labels& selector, const Labels& labels) {
    return std::ranges::all_of(selector, [&](const auto& wanted) {
        const auto label = labels.find(wanted.first);
        return label != labels.end() && label->second == wanted.second;
    });
}

}  // namespace axle
