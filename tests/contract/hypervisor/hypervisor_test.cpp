// The one suite over the Hypervisor seam: the fake, and libvirt with QEMU on a private host.
#include <algorithm>

#include "tests/contract/hypervisor/rooms.hpp"

using namespace axle;
using namespace axle::test;

#define HYPERVISORS FakeRoom, LibvirtRoom

TEST_CASE_TEMPLATE("a defined guest is shut off and tells what it was defined from", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.plan();
    const VmId id = plan.document.id;
    CHECK(room.state(id) == DomainState::absent);
    REQUIRE(room.define(plan));
    const DomainObservation seen = room.observe(id);
    CHECK(seen.state == DomainState::shut_off);
    CHECK(seen.ended == RunEnd::unknown);
    CHECK(seen.ours);
    CHECK(seen.name == domain_name(id));
    CHECK(seen.epoch == plan.document.epoch);
    CHECK(seen.rev == plan.document.rev);
    CHECK(seen.hardware_hash == plan.hardware_hash());
    CHECK(seen.live_fixed_hash == "");
    CHECK(seen.live_disks.empty());
    CHECK(seen.cpus == 1);
    CHECK(seen.memory == 32 * kMiB);
}

TEST_CASE_TEMPLATE("what was asked for twice succeeds twice", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.plan();
    const VmId id = plan.document.id;
    for (int i = 0; i < 2; ++i) {
        CAPTURE(i);
        CHECK(room.define(plan));
    }
    for (int i = 0; i < 2; ++i) CHECK(room.start(id));
    CHECK(room.state(id) == DomainState::running);
    for (int i = 0; i < 2; ++i) CHECK(room.ask([&](Hypervisor& h, Done done) { h.suspend(id, done); }));
    CHECK(room.state(id) == DomainState::paused);
    for (int i = 0; i < 2; ++i) CHECK(room.ask([&](Hypervisor& h, Done done) { h.resume(id, done); }));
    CHECK(room.state(id) == DomainState::running);
    for (int i = 0; i < 2; ++i) CHECK(room.destroy(id));
    CHECK(room.state(id) == DomainState::shut_off);
    for (int i = 0; i < 2; ++i) CHECK(room.undefine(id));
    CHECK(room.state(id) == DomainState::absent);
}

TEST_CASE_TEMPLATE("what takes away succeeds on an unknown domain, what needs one does not", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const VmId id = room.plan().document.id;
    CHECK(room.destroy(id));
    CHECK(room.undefine(id));
    CHECK(room.ask([&](Hypervisor& h, Done done) { h.ask_shutdown(id, done); }));
    CHECK(room.ask([&](Hypervisor& h, Done done) { h.detach_disk(id, "data", done); }));
    const DomainPlan::Disk disk = room.disk("data", 5);
    const auto needs = [&](auto call) {
        const Result<> answer = room.ask([&](Hypervisor& h, Done done) { call(h, done); });
        REQUIRE_FALSE(answer);
        CHECK(answer.error().code == Code::not_found);
        CHECK(answer.error().message.find(id.str()) != std::string::npos);
    };
    needs([&](Hypervisor& h, Done done) { h.start(id, false, done); });
    needs([&](Hypervisor& h, Done done) { h.ask_reboot(id, done); });
    needs([&](Hypervisor& h, Done done) { h.reset(id, done); });
    needs([&](Hypervisor& h, Done done) { h.suspend(id, done); });
    needs([&](Hypervisor& h, Done done) { h.resume(id, done); });
    needs([&](Hypervisor& h, Done done) { h.attach_disk(id, disk, done); });
}

TEST_CASE_TEMPLATE("what needs a guest that is on is a conflict with one that is off", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.plan();
    const VmId id = plan.document.id;
    REQUIRE(room.define(plan));
    const DomainPlan::Disk disk = room.disk("data", 5);
    const auto refused = [&](auto call) {
        const Result<> answer = room.ask([&](Hypervisor& h, Done done) { call(h, done); });
        REQUIRE_FALSE(answer);
        CHECK_MESSAGE(answer.error().code == Code::conflict, answer.error().message);
    };
    refused([&](Hypervisor& h, Done done) { h.ask_reboot(id, done); });
    refused([&](Hypervisor& h, Done done) { h.reset(id, done); });
    refused([&](Hypervisor& h, Done done) { h.suspend(id, done); });
    refused([&](Hypervisor& h, Done done) { h.resume(id, done); });
    refused([&](Hypervisor& h, Done done) { h.attach_disk(id, disk, done); });
    CHECK(room.ask([&](Hypervisor& h, Done done) { h.ask_shutdown(id, done); }));
    CHECK(room.ask([&](Hypervisor& h, Done done) { h.detach_disk(id, "root", done); }));
    CHECK(room.state(id) == DomainState::shut_off);
}

TEST_CASE_TEMPLATE("a definition of a later epoch is never overwritten by an earlier one", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    DomainPlan plan = room.plan();
    plan.document.epoch = {2, 5};
    REQUIRE(room.define(plan));
    for (const Epoch earlier : {Epoch{2, 4}, Epoch{1, 99}}) {
        DomainPlan old = plan;
        old.document.epoch = earlier;
        const auto refused = room.define(old);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == Code::conflict);
    }
    CHECK(room.observe(plan.document.id).epoch == Epoch{2, 5});
    plan.document.epoch = {3, 1};
    CHECK(room.define(plan));
    CHECK(room.observe(plan.document.id).epoch == Epoch{3, 1});
}

TEST_CASE_TEMPLATE("a foreign domain with our id stays untouched, whatever is asked", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.plan();
    const VmId id = plan.document.id;
    room.add_foreign(id, "theirs-" + id.str().substr(24), true);
    const DomainPlan::Disk disk = room.disk("data", 5);
    const auto refused = [&](auto call) {
        const Result<> answer = room.ask([&](Hypervisor& h, Done done) { call(h, done); });
        REQUIRE_FALSE(answer);
        CHECK_MESSAGE(answer.error().code == Code::conflict, answer.error().message);
        CHECK(room.foreign_is_there(id, true));
    };
    refused([&](Hypervisor& h, Done done) { h.define(plan, done); });
    refused([&](Hypervisor& h, Done done) { h.undefine(id, done); });
    refused([&](Hypervisor& h, Done done) { h.start(id, false, done); });
    refused([&](Hypervisor& h, Done done) { h.ask_shutdown(id, done); });
    refused([&](Hypervisor& h, Done done) { h.destroy(id, done); });
    refused([&](Hypervisor& h, Done done) { h.ask_reboot(id, done); });
    refused([&](Hypervisor& h, Done done) { h.reset(id, done); });
    refused([&](Hypervisor& h, Done done) { h.suspend(id, done); });
    refused([&](Hypervisor& h, Done done) { h.resume(id, done); });
    refused([&](Hypervisor& h, Done done) { h.attach_disk(id, disk, done); });
    refused([&](Hypervisor& h, Done done) { h.detach_disk(id, "root", done); });
    const auto seen = room.try_observe(id);
    REQUIRE_FALSE(seen);
    CHECK(seen.error().code == Code::conflict);
}

TEST_CASE_TEMPLATE("a foreign domain with our name stays untouched", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.plan();
    const VmId theirs = room.plan().document.id;
    room.add_foreign(theirs, domain_name(plan.document.id), false);
    const auto refused = room.define(plan);
    REQUIRE_FALSE(refused);
    CHECK_MESSAGE(refused.error().code == Code::conflict, refused.error().message);
    CHECK(room.foreign_is_there(theirs, false));
    CHECK(room.state(plan.document.id) == DomainState::absent);
}

TEST_CASE_TEMPLATE("the list tells ours from foreign ones, with what they take", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.running();
    const VmId theirs = room.plan().document.id;
    room.add_foreign(theirs, "theirs", true);
    const auto all =
        room.template wait<std::vector<DomainObservation>>([&](auto done) { room.hypervisor().list(done); });
    REQUIRE(all);
    const auto one = [&](VmId id) {
        const auto found = std::ranges::find_if(*all, [&](const auto& d) { return d.id == id; });
        REQUIRE(found != all->end());
        return *found;
    };
    CHECK(one(plan.document.id).ours);
    CHECK(one(plan.document.id).state == DomainState::running);
    CHECK_FALSE(one(theirs).ours);
    CHECK(one(theirs).name == "theirs");
    CHECK(one(theirs).state == DomainState::running);
    CHECK(one(theirs).memory > 0);
    CHECK(one(theirs).cpus > 0);
}

TEST_CASE_TEMPLATE("who names a volume is told, whether on or off, ours or foreign", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.plan();
    REQUIRE(room.define(plan));
    const VmId theirs = room.plan().document.id;
    room.add_foreign(theirs, "theirs-with-a-disk", false, plan.disks);
    const auto all =
        room.template wait<std::vector<DomainObservation>>([&](auto done) { room.hypervisor().list(done); });
    REQUIRE(all);
    std::vector<VolumeId> wanted;
    for (const auto& disk : plan.disks) wanted.push_back(disk.document.volume);
    std::ranges::sort(wanted);
    for (const DomainObservation& domain : *all) {
        if (domain.id != theirs && domain.id != plan.document.id) continue;
        CAPTURE(domain.name);
        CHECK(domain.volumes == wanted);
        CHECK(domain.title == (domain.ours ? plan.document.name : ""));
    }
}

TEST_CASE_TEMPLATE("a running guest is never undefined", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.running();
    const auto refused = room.undefine(plan.document.id);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::conflict);
    CHECK(room.state(plan.document.id) == DomainState::running);
}

TEST_CASE_TEMPLATE("a new definition of a running guest holds from its next start", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.running();
    const VmId id = plan.document.id;
    DomainPlan next = plan;
    next.document.memory = 48 * kMiB;
    next.document.rev = 11;
    REQUIRE(next.hardware_hash() != plan.hardware_hash());
    REQUIRE(room.define(next));
    DomainObservation seen = room.observe(id);
    CHECK(seen.state == DomainState::running);
    CHECK(seen.hardware_hash == next.hardware_hash());
    CHECK(seen.live_fixed_hash == plan.fixed_hash());
    CHECK(seen.memory == 32 * kMiB);
    CHECK(seen.rev == 11);
    REQUIRE(room.destroy(id));
    REQUIRE(room.start(id));
    seen = room.observe(id);
    CHECK(seen.live_fixed_hash == next.fixed_hash());
    CHECK(seen.memory == 48 * kMiB);
}

TEST_CASE_TEMPLATE("a guest can be started paused and goes on when resumed", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.plan(Guest::leaves);
    const VmId id = plan.document.id;
    REQUIRE(room.define(plan));
    REQUIRE(room.start(id, true));
    CHECK(room.state(id) == DomainState::paused);
    REQUIRE(room.ask([&](Hypervisor& h, Done done) { h.resume(id, done); }));
    CHECK(room.becomes(id, DomainState::shut_off));
    CHECK(room.observe(id).ended == RunEnd::guest_shutdown);
}

TEST_CASE_TEMPLATE("the end of a run is told with its cause, and stays to be seen", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    SUBCASE("shut down from inside") {
        const VmId id = room.running(Guest::leaves).document.id;
        CHECK(room.was_told(id, RunEnd::guest_shutdown));
        CHECK(room.becomes(id, DomainState::shut_off));
        CHECK(room.observe(id).ended == RunEnd::guest_shutdown);
    }
    SUBCASE("crashed") {
        const VmId id = room.running(Guest::panics).document.id;
        CHECK(room.was_told(id, RunEnd::crashed));
        CHECK(room.becomes(id, DomainState::shut_off));
        CHECK(room.observe(id).ended == RunEnd::crashed);
    }
    SUBCASE("switched off by us") {
        const VmId id = room.running().document.id;
        REQUIRE(room.destroy(id));
        CHECK(room.was_told(id, RunEnd::destroyed));
        CHECK(room.observe(id).ended == RunEnd::destroyed);
    }
    SUBCASE("switched off by virsh") {
        const VmId id = room.running().document.id;
        room.virsh_destroy(id);
        CHECK(room.was_told(id, RunEnd::destroyed));
        CHECK(room.observe(id).ended == RunEnd::destroyed);
    }
    SUBCASE("shut down at the power button") {
        const VmId id = room.running(Guest::obeys).document.id;
        // The guest hears the button once it has booted: pressed until it does, as an agent would. A press that comes
        // while QEMU is ending may be refused.
        CHECK(room.run_until([&] {
            const auto pressed = room.ask([&](Hypervisor& h, Done done) { h.ask_shutdown(id, done); });
            CHECK_MESSAGE((pressed || room.becomes(id, DomainState::shut_off)),
                          (pressed ? "" : pressed.error().message));
            return room.state(id) == DomainState::shut_off;
        }));
        CHECK(room.was_told(id, RunEnd::guest_shutdown));
        CHECK(room.observe(id).ended == RunEnd::guest_shutdown);
    }
}

TEST_CASE_TEMPLATE("pressing the power button of a deaf guest succeeds and ends nothing", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const VmId id = room.running().document.id;
    CHECK(room.ask([&](Hypervisor& h, Done done) { h.ask_shutdown(id, done); }));
    CHECK(room.ask([&](Hypervisor& h, Done done) { h.ask_reboot(id, done); }));
    CHECK(room.state(id) == DomainState::running);
    CHECK(room.destroy(id));
    CHECK(room.state(id) == DomainState::shut_off);
}

TEST_CASE_TEMPLATE("a guest that was reset, or asked to reboot, is the same guest and goes on", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.running(Guest::obeys);
    const VmId id = plan.document.id;
    CHECK(room.ask([&](Hypervisor& h, Done done) { h.reset(id, done); }));
    CHECK(room.state(id) == DomainState::running);
    CHECK(room.ask([&](Hypervisor& h, Done done) { h.ask_reboot(id, done); }));
    CHECK(room.state(id) == DomainState::running);
    CHECK(room.observe(id).live_fixed_hash == plan.fixed_hash());
    CHECK_FALSE(room.hints.contains({id, RunEnd::guest_shutdown}));
}

TEST_CASE_TEMPLATE("the disks that a guest has open are named, plugged-in ones too", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.running();
    const VmId id = plan.document.id;
    const DomainPlan::Disk data = room.disk("data", 7);
    const auto open = [&] {
        std::set<std::pair<std::string, VolumeId>> disks;
        for (const auto& disk : room.observe(id).live_disks) disks.emplace(disk.name, disk.volume);
        return disks;
    };
    const std::pair root{std::string("root"), plan.disks[0].document.volume};
    const std::pair plugged{std::string("data"), data.document.volume};
    CHECK(open() == std::set{root});
    for (int i = 0; i < 2; ++i) {
        const auto attached = room.ask([&](Hypervisor& h, Done done) { h.attach_disk(id, data, done); });
        CHECK_MESSAGE(attached, attached.error().message);
    }
    CHECK(open() == std::set{root, plugged});
    CHECK(room.observe(id).hardware_hash == plan.hardware_hash());
    CHECK(room.observe(id).live_fixed_hash == plan.fixed_hash());

    // A guest that does not let go of a disk keeps it, and that shows; asking again is no error.
    for (int i = 0; i < 2; ++i) {
        const auto asked = room.ask([&](Hypervisor& h, Done done) { h.detach_disk(id, "data", done); });
        CHECK_MESSAGE(asked, asked.error().message);
    }
    CHECK(room.ask([&](Hypervisor& h, Done done) { h.detach_disk(id, "no-such-disk", done); }));
    CHECK(open() == std::set{root, plugged});
    REQUIRE(room.destroy(id));
    CHECK(open().empty());
    REQUIRE(room.start(id));
    CHECK(open() == std::set{root});
}

TEST_CASE_TEMPLATE("NICs come to a running guest, are named, and stay until it lets go", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    DomainPlan plan = room.plan();
    const VmId id = plan.document.id;
    const DomainPlan::Nic first = room.nic("eth0", 2), second = room.nic("eth1", 3);
    plan.nics.push_back(first);
    using LiveNic = DomainObservation::LiveNic;
    const LiveNic eth0{"eth0", first.document.mac, 1450}, eth1{"eth1", second.document.mac, 1450};
    const auto attach = [&] { return room.ask([&](Hypervisor& h, Done done) { h.attach_nic(id, second, done); }); };
    CHECK_FALSE(attach());
    REQUIRE(room.define(plan));
    CHECK_FALSE(attach());
    CHECK(room.observe(id).live_nics.empty());
    const auto started = room.start(id);
    REQUIRE_MESSAGE(started, started.error().message);
    CHECK(room.observe(id).live_nics == std::vector{eth0});
    for (int i = 0; i < 2; ++i) {
        const auto attached = attach();
        CHECK_MESSAGE(attached, attached.error().message);
    }
    CHECK(room.observe(id).live_nics == std::vector{eth0, eth1});
    CHECK(room.observe(id).live_fixed_hash == plan.fixed_hash());
    for (int i = 0; i < 2; ++i) {
        const auto asked = room.ask([&](Hypervisor& h, Done done) { h.detach_nic(id, "eth1", done); });
        CHECK_MESSAGE(asked, asked.error().message);
    }
    CHECK(room.ask([&](Hypervisor& h, Done done) { h.detach_nic(id, "no-such-nic", done); }));
    CHECK(room.observe(id).live_nics == std::vector{eth0, eth1});  // this guest does not let go
    REQUIRE(room.destroy(id));
    REQUIRE(room.start(id));
    CHECK(room.observe(id).live_nics == std::vector{eth0});
}

TEST_CASE_TEMPLATE("a disk of a running guest grows and never shrinks", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.plan();
    const VmId id = plan.document.id;
    const auto grow = [&](const char* disk, std::int64_t bytes) {
        return room.ask([&](Hypervisor& h, Done done) { h.grow_disk(id, disk, bytes, done); });
    };
    CHECK(grow("root", 8 * kMiB).error().code == Code::not_found);
    REQUIRE(room.define(plan));
    CHECK(grow("root", 8 * kMiB).error().code == Code::conflict);
    REQUIRE(room.start(id));
    CHECK(grow("other", 8 * kMiB).error().code == Code::not_found);
    for (const std::int64_t size : {8 * kMiB, 8 * kMiB, kMiB}) {
        const auto grown = grow("root", size);
        CHECK_MESSAGE(grown, grown.error().message);
    }
    if constexpr (std::is_same_v<R, LibvirtRoom>) CHECK(std::filesystem::file_size(plan.disks[0].path) == 8 * kMiB);
}

TEST_CASE_TEMPLATE("the screen of a guest is a PNG, also while it is paused", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.plan();
    const VmId id = plan.document.id;
    const auto shoot = [&] {
        return room.template wait<std::string>([&](auto done) { room.hypervisor().screenshot(id, done); });
    };
    auto picture = shoot();
    REQUIRE_FALSE(picture);
    CHECK(picture.error().code == Code::not_found);
    REQUIRE(room.define(plan));
    picture = shoot();
    REQUIRE_FALSE(picture);
    CHECK(picture.error().code == Code::conflict);
    REQUIRE(room.start(id));
    picture = shoot();
    REQUIRE_MESSAGE(picture, picture.error().message);
    CHECK(picture->starts_with("\x89PNG\r\n"));
    REQUIRE(room.ask([&](Hypervisor& h, Done done) { h.suspend(id, done); }));
    CHECK(shoot());
}

TEST_CASE_TEMPLATE("a new agent finds the guests of the one before it", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.running();
    room.restart_agent();
    CHECK(room.state(plan.document.id) == DomainState::running);
    CHECK(room.observe(plan.document.id).live_fixed_hash == plan.fixed_hash());
    CHECK(room.destroy(plan.document.id));
    CHECK(room.was_told(plan.document.id, RunEnd::destroyed));
}

TEST_CASE_TEMPLATE("while libvirt is away calls say so, and guests are found running when it is back", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.running();
    const VmId id = plan.document.id;
    room.stop_libvirt();
    for (int i = 0; i < 3; ++i) {
        const auto seen = room.try_observe(id);
        REQUIRE_FALSE(seen);
        CHECK_MESSAGE(seen.error().code == Code::unavailable, seen.error().message);
    }
    const auto started = room.start(id);
    REQUIRE_FALSE(started);
    CHECK((started.error().code == Code::unavailable || started.error().code == Code::timeout));
    room.start_libvirt();
    CHECK(room.run_until([&] { return room.try_observe(id).has_value(); }));
    CHECK(room.state(id) == DomainState::running);
    CHECK(room.observe(id).live_fixed_hash == plan.fixed_hash());
    room.virsh_destroy(id);
    CHECK(room.was_told(id, RunEnd::destroyed));
}

TEST_CASE_TEMPLATE("what new guests get here is told", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const auto facts = room.template wait<HypervisorFacts>([&](auto done) { room.hypervisor().facts(done); });
    REQUIRE_MESSAGE(facts, facts.error().message);
    CHECK(facts->guest_machine.starts_with("pc-q35-"));
    CHECK(facts->guest_cpu_model != "");
    CHECK(facts->accelerator_why != "");
    CHECK(facts->libvirt.find('.') != std::string::npos);
    CHECK(facts->qemu.find('.') != std::string::npos);
}

TEST_CASE_TEMPLATE("calls about one guest happen in the order in which they were made", R, HYPERVISORS) {
    OPEN_ROOM(R, room);
    const DomainPlan plan = room.plan();
    const VmId id = plan.document.id;
    int answered = 0;
    const auto count = [&](Result<> result) {
        CHECK_MESSAGE(result, result.error().message);
        ++answered;
    };
    room.hypervisor().define(plan, count);
    room.hypervisor().start(id, false, count);
    room.hypervisor().destroy(id, count);
    room.hypervisor().undefine(id, count);
    CHECK(room.run_until([&] { return answered == 4; }));
    CHECK(room.state(id) == DomainState::absent);
}
