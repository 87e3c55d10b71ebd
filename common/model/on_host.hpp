// What a host tells of the pools and networks that it has: kept with the host, so that one host's news costs the same
// in a cloud of ten thousand.
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

struct ReportedNetwork {
    Ref network;
    bool ready = false;  // false and no conditions: the host has not said anything of it yet
    std::vector<Condition> conditions;
};
template <class V>
void describe(ReportedNetwork& v, V&& field) {
    field("network", v.network, {.doc = "Which network.", .ref = "network"});
    field("ready", v.ready, {.doc = "It works on the host."});
    field("conditions", v.conditions, {.doc = "What you should know about it."});
}

}  // namespace axle
