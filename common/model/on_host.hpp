// What a host tells of the pools and networks that it has: kept by host, so that one host's news costs the same in a
// cloud of ten thousand.
#pragma once
#include <string>
#include <vector>

#include "common/model/object.hpp"

namespace axle {

struct PoolOnHost {
    bool ready = false;
    std::int64_t size = 0;
    std::int64_t free = 0;
    std::vector<Condition> conditions;
};
template <class V>
void describe(PoolOnHost& v, V&& field) {
    field("ready", v.ready, {.doc = "The host can use it."});
    field("size", v.size, {.doc = "Bytes of its file system.", .unit = Unit::bytes});
    field("free", v.free, {.doc = "Bytes left.", .unit = Unit::bytes});
    field("conditions", v.conditions, {.doc = "What you should know about it."});
}

struct ReportedPool : PoolOnHost {
    Ref pool;
};
template <class V>
void describe(ReportedPool& v, V&& field) {
    field("pool", v.pool, {.doc = "Which pool.", .ref = "pool"});
    describe(static_cast<PoolOnHost&>(v), field);
}

// A host may have furniture of hundreds of networks: no part of the host, so that neither grows with the other.
struct NetworkOnHost {
    bool ready = false;  // false and no conditions: the host has not said anything of it yet
    std::vector<Condition> conditions;
    bool operator==(const NetworkOnHost&) const = default;
};
template <class V>
void describe(NetworkOnHost& v, V&& field) {
    field("ready", v.ready, {.doc = "It works on the host."});
    field("conditions", v.conditions, {.doc = "What you should know about it."});
}

}  // namespace axle
