// What of a host can be given to guests.
#include "orchestrator/core/capacity.hpp"

#include <doctest/doctest.h>

#include "common/base/units.hpp"

using namespace axle;

namespace {

struct Row {
    const char* name;
    double cpu_overcommit, memory_overcommit;
    std::int64_t memory_reserve, foreign_cpus, foreign_memory;
    std::int64_t cpus, memory;  // allocatable
};

// 8 CPUs, 64 GiB.
Host host(const Row& row) {
    Host out;
    out.status.facts.cpus = 8;
    out.status.facts.memory = 64 * kGiB;
    out.status.facts.foreign_cpus = row.foreign_cpus;
    out.status.facts.foreign_memory = row.foreign_memory;
    out.spec.cpu_overcommit = row.cpu_overcommit;
    out.spec.memory_overcommit = row.memory_overcommit;
    out.spec.memory_reserve = row.memory_reserve;
    return out;
}

}  // namespace

TEST_CASE("allocatable is what a host has, less what is not ours and the reserve, times its overcommit") {
    for (const Row& row : {
             Row{"all of it", 1, 1, 0, 0, 0, 8, 64 * kGiB},
             Row{"CPUs are shared", 4, 1, 0, 0, 0, 32, 64 * kGiB},
             Row{"some CPUs are kept", 0.5, 1, 0, 0, 0, 4, 64 * kGiB},
             Row{"a part of a CPU is none", 0.3, 1, 0, 0, 0, 2, 64 * kGiB},
             Row{"memory is shared", 1, 1.5, 0, 0, 0, 8, 96 * kGiB},
             Row{"some memory is kept", 1, 0.25, 0, 0, 0, 8, 16 * kGiB},
             Row{"a reserve", 1, 1, 4 * kGiB, 0, 0, 8, 60 * kGiB},
             Row{"the reserve is real memory, whatever the ratio", 1, 2, 4 * kGiB, 0, 0, 8, 120 * kGiB},
             Row{"foreign domains", 1, 1, 0, 3, 10 * kGiB, 5, 54 * kGiB},
             // Their CPUs are virtual ones, of which there are as many as the ratio says; their memory is in use.
             Row{"foreign domains, with overcommit", 4, 2, 0, 3, 10 * kGiB, 29, 108 * kGiB},
             Row{"all of these", 2, 1.5, 4 * kGiB, 2, 20 * kGiB, 14, 60 * kGiB},
             Row{"others have more than there is", 1, 1, 0, 9, 65 * kGiB, -1, -kGiB},
         }) {
        CAPTURE(row.name);
        const Capacity capacity = allocatable_of(host(row));
        CHECK(capacity.cpus == row.cpus);
        CHECK(capacity.memory == row.memory);
    }
}
