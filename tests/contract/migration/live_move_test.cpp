// libvirt's part of a move, between two real hosts, with nothing of ours in between.
#include "agent/hypervisor/live_move.hpp"

#include <atomic>
#include <sys/stat.h>
#include <thread>

#include "tests/contract/hypervisor/rooms.hpp"

using namespace axle;
using namespace axle::test;

namespace {

struct Two {
    LibvirtRoom source, target{PrivateHost::other()};
    std::string why_not() const { return source.why_not() + target.why_not(); }

    // The same guest as the other host would start it.
    DomainPlan over_there(DomainPlan plan) const {
        plan.document.epoch.revision += 10;
        for (std::string* path : {&plan.serial_log, &plan.console_socket, &plan.vnc_socket}) *path += "-2";
        return plan;
    }
    LiveMoveWish wish(const DomainPlan& plan) const {
        return {.libvirt_uri = source.host.uri(),
                .plan = plan,
                .libvirt_socket = libvirt_socket_of(target.host.uri()),
                .memory_socket = source.host / "run/memory.sock",
                .disk_socket = source.host / "run/disk.sock"};
    }
};

}  // namespace

TEST_CASE("a running guest goes to another host, stands paused there, and is off here; its disk keeps its owner") {
    OPEN_ROOM(Two, two);
    const DomainPlan plan = two.source.running();
    const VmId id = plan.document.id;
    constexpr unsigned kSomebody = 4711;
    REQUIRE(::chown(plan.disks[0].path.c_str(), kSomebody, kSomebody) == 0);
    LiveMove move(two.wish(plan));
    LiveMoveProgress last;
    const auto moved = move.run([&](LiveMoveProgress p) { last = p; });
    REQUIRE_MESSAGE(moved, moved.error().message);
    CHECK(last.total > 0);
    const auto gone = two.source.observe(id);
    CHECK(gone.state == DomainState::shut_off);
    CHECK(gone.migrated);
    CHECK_FALSE(gone.incoming);
    CHECK(two.target.state(id) == DomainState::paused);
    // libvirt would give a shared file back to root while the target runs on it.
    struct stat now {};
    CHECK(::stat(plan.disks[0].path.c_str(), &now) == 0);
    CHECK(now.st_uid == kSomebody);
    CHECK(now.st_gid == kSomebody);
    CHECK(two.target.destroy(id));
    CHECK(two.source.start(id));  // its definition stayed
    CHECK_FALSE(two.source.observe(id).migrated);
}

TEST_CASE("the QEMU of a guest that moves slows it down where its memory would not get over otherwise") {
    OPEN_ROOM(Two, two);
    const DomainPlan plan = two.source.running();
    LiveMoveWish wish = two.wish(plan);
    wish.bandwidth = 1;  // of the least that libvirt knows: there is time to ask
    LiveMove move(wish);
    const auto converges = [&] {
        const auto all = two.source.host.run({"virsh", "-q", "qemu-monitor-command", domain_name(plan.document.id),
                                              R"({"execute":"query-migrate-capabilities"})"});
        const auto at = all ? all->find("\"auto-converge\"") : std::string::npos;
        if (at == std::string::npos) return false;
        const auto begin = all->rfind('{', at);
        return all->substr(begin, all->find('}', at) - begin).find("true") != std::string::npos;
    };
    CHECK_FALSE(converges());
    std::atomic<bool> over = false, seen = false;
    std::jthread looks([&] {
        while (!over && !seen) seen = converges();
        move.cancel();
    });
    (void)move.run([](LiveMoveProgress) {});
    over = true;
    looks.join();
    CHECK(seen);
}

TEST_CASE("a move that is given up before it begins leaves the guest running where it was") {
    OPEN_ROOM(Two, two);
    const DomainPlan plan = two.source.running();
    const VmId id = plan.document.id;
    LiveMove move(two.wish(plan));
    move.cancel();
    const auto moved = move.run([](LiveMoveProgress) {});
    REQUIRE_FALSE(moved);
    CHECK(moved.error().code == Code::conflict);
    CHECK(two.source.state(id) == DomainState::running);
    CHECK(two.target.state(id) == DomainState::absent);
}

TEST_CASE("a guest that is not as its plan says is not moved") {
    OPEN_ROOM(Two, two);
    DomainPlan plan = two.source.running();
    const VmId id = plan.document.id;
    SUBCASE("other hardware") {
        plan.document.cpus = 2;
    }
    SUBCASE("a disk more") {
        plan.disks.push_back(two.source.disk("data", 7));
    }
    SUBCASE("it is off") {
        REQUIRE(two.source.destroy(id));
    }
    LiveMove move(two.wish(plan));
    const auto moved = move.run([](LiveMoveProgress) {});
    REQUIRE_FALSE(moved);
    CHECK(moved.error().code == Code::conflict);
    CHECK(two.target.state(id) == DomainState::absent);
}

TEST_CASE("nobody on the line: the guest runs on") {
    OPEN_ROOM(Two, two);
    const DomainPlan plan = two.source.running();
    LiveMoveWish wish = two.wish(plan);
    wish.libvirt_socket = two.source.host / "run/nobody.sock";
    LiveMove move(wish);
    const auto moved = move.run([](LiveMoveProgress) {});
    REQUIRE_FALSE(moved);
    CHECK(moved.error().code == Code::unavailable);
    CHECK(two.source.state(plan.document.id) == DomainState::running);
}
