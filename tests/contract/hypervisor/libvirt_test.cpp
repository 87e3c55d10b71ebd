// What only the real thing can show.
#include "tests/contract/hypervisor/rooms.hpp"

using namespace axle;
using namespace axle::test;

namespace {

std::string live_xml(LibvirtRoom& room, VmId id) {
    auto xml = room.host.run({"virsh", "-q", "dumpxml", domain_name(id)});
    REQUIRE_MESSAGE(xml, xml.error().message);
    return *xml;
}
Result<> observed(Result<DomainObservation> seen) {
    if (!seen) return fail(seen.error());
    return {};
}

}  // namespace

TEST_CASE("a disk stands at the root port of its slot, whatever comes and goes beside it") {
    OPEN_ROOM(LibvirtRoom, room);
    DomainPlan plan = room.plan();
    const VmId id = plan.document.id;
    const DomainPlan::Disk data = room.disk("data", 7);
    const auto where = [&] {
        const auto element = disk_element(live_xml(room, id), "data");
        REQUIRE(element);
        CHECK(element->find("bus=\"0x07\" slot=\"0x00\"") != std::string::npos);
        CHECK(element->find(data.document.serial) != std::string::npos);
    };
    REQUIRE(room.define(plan));
    REQUIRE(room.start(id));
    REQUIRE(room.ask([&](Hypervisor& h, Done done) { h.attach_disk(id, data, done); }));
    where();
    plan.disks.push_back(room.disk("other", 3));
    plan.disks.push_back(data);
    plan.disks.push_back(room.disk("last", 30));
    plan.document.seed_slot = 29;
    REQUIRE(room.destroy(id));
    const auto defined = room.define(plan);
    REQUIRE_MESSAGE(defined, defined.error().message);
    const auto started = room.start(id);
    REQUIRE_MESSAGE(started, started.error().message);
    where();
    CHECK(room.observe(id).live_disks.size() == 4);
}

TEST_CASE("a definition that can't be synced is not acknowledged") {
    OPEN_ROOM(LibvirtRoom, room);
    LibvirtOptions options = room.options();
    options.definitions = room.host / "no-such-directory";
    room.restart_agent(options);
    CHECK_FALSE(room.define(room.plan()));
}

TEST_CASE("what a guest says on its serial line is logged, over all its runs") {
    OPEN_ROOM(LibvirtRoom, room);
    const DomainPlan plan = room.running(Guest::leaves);
    const VmId id = plan.document.id;
    CHECK(room.becomes(id, DomainState::shut_off));
    REQUIRE(room.start(id));
    CHECK(room.becomes(id, DomainState::shut_off));
    CHECK(read_file(plan.serial_log).value_or("no log") == "BB");
}

TEST_CASE("a QEMU that dies is told as such, and the guest can be started again") {
    OPEN_ROOM(LibvirtRoom, room);
    const VmId id = room.running().document.id;
    auto pid = room.host.run({"cat", fmt::format("/run/libvirt/qemu/{}.pid", domain_name(id))});
    REQUIRE_MESSAGE(pid, pid.error().message);
    pid->resize(pid->find_last_not_of(" \n") + 1);
    REQUIRE(room.host.run({"kill", "-9", *pid}));
    CHECK(room.becomes(id, DomainState::shut_off));
    const RunEnd ended = room.observe(id).ended;
    CHECK((ended == RunEnd::failed || ended == RunEnd::crashed));
    // libvirt's event and its state use different words for it.
    CHECK(room.run_until([&] {
        return room.hints.contains({id, RunEnd::failed}) || room.hints.contains({id, RunEnd::crashed});
    }));
    CHECK(room.start(id));
    CHECK(room.state(id) == DomainState::running);
}

TEST_CASE("a guest's NIC is the tap that was made for it, and the tap outlives the guest") {
    OPEN_ROOM(LibvirtRoom, room);
    DomainPlan plan = room.plan();
    const VmId id = plan.document.id;
    const std::string tap = "axt" + id.str().substr(24);
    plan.nics.push_back({.document = {.name = "eth0", .mac = "52:54:00:aa:bb:01", .slot = 2}, .tap = tap, .mtu = 1450});
    REQUIRE(room.define(plan));
    const auto early = room.start(id);
    CHECK_FALSE(early);  // nobody has made the tap
    CHECK(room.state(id) == DomainState::shut_off);
    REQUIRE(room.host.run({"ip", "tuntap", "add", "dev", tap, "mode", "tap"}));
    REQUIRE(room.host.run({"ip", "link", "set", tap, "up", "mtu", "1450"}));
    const auto started = room.start(id);
    REQUIRE_MESSAGE(started, started.error().message);
    CHECK(room.host.run({"cat", "/sys/class/net/" + tap + "/carrier"}).value_or("none") == "1\n");
    REQUIRE(room.destroy(id));
    CHECK(room.run_until([&] {  // the kernel tells it a moment after QEMU's end
        return room.host.run({"cat", "/sys/class/net/" + tap + "/operstate"}).value_or("none") == "down\n";
    }));
}

TEST_CASE("a libvirt that came back is listened to without being asked") {
    OPEN_ROOM(LibvirtRoom, room);
    const VmId id = room.running().document.id;
    room.stop_libvirt();
    CHECK_FALSE(room.try_observe(id));
    room.hints.clear();
    room.start_libvirt();
    CHECK(room.was_told(id, RunEnd::none));  // looked at again: something may have been missed
    room.virsh_destroy(id);
    CHECK(room.was_told(id, RunEnd::destroyed));
}

TEST_CASE("a libvirt that hangs costs each call its limit, and what waited is not done later") {
    OPEN_ROOM(LibvirtRoom, room);
    LibvirtOptions options = room.options();
    options.call_limit = seconds{1};
    room.restart_agent(options);
    const DomainPlan plan = room.plan();
    const VmId id = plan.document.id;
    REQUIRE(room.define(plan));
    REQUIRE(room.host.signal_libvirtd(SIGSTOP));
    int unknown = 0;
    const auto count = [&](const Result<>& answer) { unknown += !answer && answer.error().code == Code::timeout; };
    room.hypervisor().observe(id, [&](auto seen) { count(observed(std::move(seen))); });
    room.hypervisor().start(id, false, count);  // behind it
    CHECK(room.run_until([&] { return unknown == 2; }));
    REQUIRE(room.host.signal_libvirtd(SIGCONT));
    CHECK(room.run_until([&] { return room.try_observe(id).has_value(); }));
    CHECK(room.state(id) == DomainState::shut_off);
}
