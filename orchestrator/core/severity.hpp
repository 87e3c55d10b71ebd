// How much a condition matters to who looks after the cloud. Decided here alone: for the history, for `axle status` and
// its exit status, for what a task is said to wait for. Pure.
#pragma once
#include "common/channel/reports.hpp"

namespace axle {

enum class Severity {
    well,     // as it should be
    step,     // on its way, and goes on by itself
    note,     // a lasting property of a machine: worth knowing, nothing to mend from here
    trouble,  // somebody must know
};
Severity severity_of(const Condition& condition);
bool is_trouble(const Condition& condition);

// The word for it: the type where that names what is so ("NoAddress"), else the reason ("NoCapacity"). CamelCase.
std::string name_of(const Condition& condition);

}  // namespace axle
