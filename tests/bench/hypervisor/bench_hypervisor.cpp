// What a guest's start costs over libvirt's own: the seam's calls of a first start (define, start, observe), beside one
// bare virDomainCreateXML of the same XML; and how long each takes to the guest's first instruction. In turns, so that
// both have the same weather.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include <libvirt/libvirt.h>

#include "tests/contract/hypervisor/rooms.hpp"

using namespace axle;
using namespace axle::test;

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kRounds = 9;

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}
double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}
// The guest says one byte on its serial line when it runs.
void first_instruction(const DomainPlan& plan, std::size_t bytes) {
    REQUIRE(
        PrivateHost::wait_for([&] { return read_file(plan.serial_log).value_or("").size() >= bytes; }, seconds{30}));
}

struct Times {
    std::vector<double> answered, runs;
};

void through_axle(LibvirtRoom& room, const DomainPlan& plan, Times& times) {
    const auto start = Clock::now();
    REQUIRE(room.define(plan));
    REQUIRE(room.start(plan.document.id));
    REQUIRE(room.state(plan.document.id) == DomainState::running);
    times.answered.push_back(ms_since(start));
    first_instruction(plan, 1);
    times.runs.push_back(ms_since(start));
    REQUIRE(room.destroy(plan.document.id));
    REQUIRE(room.undefine(plan.document.id));
}

void through_libvirt(virConnectPtr connect, const DomainPlan& plan, Times& times) {
    const std::string xml = domain_xml(plan);
    const auto start = Clock::now();
    const virDomainPtr domain = virDomainCreateXML(connect, xml.c_str(), 0);
    REQUIRE(domain != nullptr);
    times.answered.push_back(ms_since(start));
    first_instruction(plan, 1);
    times.runs.push_back(ms_since(start));
    REQUIRE(virDomainDestroy(domain) == 0);
    virDomainFree(domain);
}

}  // namespace

TEST_CASE("a guest's start beside libvirt's own") {
    OPEN_ROOM(LibvirtRoom, room);
    const virConnectPtr connect = virConnectOpen(room.host.uri().c_str());
    REQUIRE(connect != nullptr);
    Times axle, bare;
    for (int round = 0; round <= kRounds; ++round) {  // the first is practice
        through_libvirt(connect, room.plan(), bare);
        through_axle(room, room.plan(), axle);
        if (round == 0) axle = bare = {};
    }
    virConnectClose(connect);
    std::printf("median of %d starts, ms     answered   first instruction\n", kRounds);
    std::printf("  virDomainCreateXML      %10.1f   %10.1f\n", median(bare.answered), median(bare.runs));
    std::printf("  define, start, observe  %10.1f   %10.1f\n", median(axle.answered), median(axle.runs));
    std::printf("figure: hypervisor_start_over_libvirt %.1f ms\n", median(axle.answered) - median(bare.answered));
    std::printf("figure: hypervisor_first_instruction_over_libvirt %.1f ms\n", median(axle.runs) - median(bare.runs));
}
