// The real thing between two hosts: two libvirts, the data port with TLS between them, our filter before the target's.
#include "agent/migration/peer_migration.hpp"

#include <fstream>

#include "agent/hypervisor/qemu_user.hpp"
#include "agent/migration/data_client.hpp"
#include "common/base/now.hpp"
#include "common/base/process.hpp"
#include "common/http/tls.hpp"
#include "common/link/join_string.hpp"
#include "tests/contract/hypervisor/rooms.hpp"

using namespace axle;
using namespace axle::test;

namespace {

struct People {
    http::KeyPair authority = *http::make_authority("test", wall_now());
    DataIdentity identity(HostId host) const {
        const auto pair = http::issue_certificate(
            authority, {.name = host.str(), .uris = {kHostUriPrefix + host.str()}, .server = true, .client = true},
            wall_now());
        REQUIRE(pair);
        return {.host = host, .authority = authority.certificate, .certificate = pair->certificate, .key = pair->key};
    }
};

void shell(std::string program, std::vector<std::string> words) {
    const auto done = run_checked({.program = std::move(program), .arguments = std::move(words)});
    REQUIRE_MESSAGE(done, done.error().message);
}

struct Side {
    Side(PrivateHost& on, int number) : room(on), host(HostId(uuid(1000 + number))) {}
    LibvirtRoom room;
    HostId host;
    std::unique_ptr<PeerMigration> migration;

    void open(const People& people, WaitingExecutor& core) {
        const auto qemu = find_qemu_user();
        REQUIRE(qemu);
        migration = std::make_unique<PeerMigration>(
            PeerMigrationOptions{.identity = [identity = people.identity(host)] { return identity; },
                                 .folder = room.host / "run/moves",
                                 .libvirt_uri = room.host.uri(),
                                 .address = "127.0.0.1",
                                 .port = 0,
                                 .disks = {.tag = "test", .least_free = 0, .guests = FileOwner{qemu->uid, qemu->gid}}},
            event_loop(), core);
        const auto listening = migration->listen();
        REQUIRE_MESSAGE(listening, listening.error().message);
    }
};

struct Pair {
    People people;
    WaitingExecutor core;
    Side source{PrivateHost::instance(), 1}, target{PrivateHost::other(), 2};
    DomainPlan here, there;
    VmMove move;
    std::optional<std::pair<VmId, Epoch>> told;

    Pair() {
        if (!why_not().empty()) return;
        source.open(people, core);
        target.open(people, core);
        target.migration->on_handed_over([this](VmId vm, Epoch epoch) { told = {vm, epoch}; });
    }
    std::string why_not() const { return source.room.why_not() + target.room.why_not(); }
    VmId id() const { return here.document.id; }

    template <typename Call>
    Result<> ask(Call&& call) {
        std::optional<Result<>> answer;
        call([&](Result<> result) { answer = std::move(result); });
        REQUIRE(core.run_until([&] { return answer.has_value(); }, seconds{90}));
        return std::move(*answer);
    }

    static std::string overlay(LibvirtRoom& room, VolumeId volume, const std::string& base_bytes, bool filled) {
        const std::string base = room.host / ("disks/base-" + volume.str() + ".raw");
        const std::string path = room.host / ("disks/" + volume.str() + ".qcow2");
        REQUIRE(write_file_durably(base, base_bytes, 0644));
        shell("qemu-img", {"create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", path, "16M"});
        if (filled) shell("qemu-io", {"-c", "write -q -P 0x5a 1M 3M", path});
        std::filesystem::permissions(path, std::filesystem::perms(0666));
        std::filesystem::permissions(base, std::filesystem::perms(0644));
        return path;
    }
    // A guest of the source; with a disk of its own on each side, or one that both reach.
    void make_guest(bool copies, bool live = true) {
        here = source.room.plan();
        const VolumeId volume = here.disks[0].document.volume;
        move = {.role = MoveRole::outgoing,
                .task = TaskId(uuid(1)),
                .epoch = {1, 20},
                .peer = target.host,
                .peer_name = "h2",
                .address = fmt::format("127.0.0.1:{}", target.migration->port()),
                .ticket = "the-ticket-of-this-move",
                .live = live};
        there = here;
        there.document.epoch = move.epoch;
        there.serial_log = target.room.host / "run/guest.log";
        there.console_socket = target.room.host / ("run/" + id().str() + ".console");
        there.vnc_socket = target.room.host / ("run/" + id().str() + ".vnc");
        if (copies) {
            const std::string bytes = read_file(here.disks[0].path).value();
            here.disks[0].path = overlay(source.room, volume, bytes, true);
            there.disks[0].path = overlay(target.room, volume, bytes, false);
            here.disks[0].document.format = there.disks[0].document.format = DiskFormat::qcow2;
            move.copies = {volume};
        }
        const auto defined = source.room.define(here);
        REQUIRE_MESSAGE(defined, defined.error().message);
        REQUIRE(target.room.define(there));
        if (live) REQUIRE(source.room.start(id()));
    }
    MoveIn in() const {
        MoveIn in{.plan = there, .move = move};
        in.move.role = MoveRole::incoming;
        in.move.peer = source.host;
        return in;
    }
    Result<> expect() {
        return ask([&](Done done) { target.migration->expect(in(), std::move(done)); });
    }
    Result<> send(const std::function<void(MoveProgress)>& progress = [](MoveProgress) {}) {
        return ask([&](Done done) { source.migration->send({.plan = here, .move = move}, progress, std::move(done)); });
    }
    bool is_filled() const {
        return run_checked(
                   {.program = "qemu-io", .arguments = {"-r", "-c", "read -q -P 0x5a 1M 3M", there.disks[0].path}})
            .has_value();
    }
    // Whatever is left of it.
    ~Pair() {
        if (here.disks.empty()) return;
        for (Side* side : {&source, &target}) {
            side->migration.reset();
            static_cast<void>(side->room.destroy(id()));
            static_cast<void>(side->room.undefine(id()));
        }
    }
};

}  // namespace

TEST_CASE("a running guest moves with its disk, stands paused as one that came in, and runs once it is resumed") {
    OPEN_ROOM(Pair, pair);
    pair.make_guest(true);
    REQUIRE(pair.expect());
    MoveProgress last;
    const auto sent = pair.send([&](MoveProgress p) { last = p; });
    REQUIRE_MESSAGE(sent, sent.error().message);
    CHECK(last.total > 0);
    const auto gone = pair.source.room.observe(pair.id());
    CHECK(gone.state == DomainState::shut_off);
    CHECK(gone.migrated);
    const auto come = pair.target.room.observe(pair.id());
    CHECK(come.state == DomainState::paused);
    CHECK(come.incoming);
    CHECK(come.epoch == pair.move.epoch);
    CHECK(come.live_fixed_hash == pair.there.fixed_hash());
    REQUIRE(come.live_disks.size() == 1);
    REQUIRE(pair.ask([&](Done done) {
        pair.source.migration->tell_handed_over({.plan = pair.here, .move = pair.move}, std::move(done));
    }));
    CHECK(pair.core.run_until([&] { return pair.told.has_value(); }, seconds{10}));
    CHECK(pair.told == std::pair(pair.id(), pair.move.epoch));
    const auto resumed = pair.target.room.ask([&](Hypervisor& h, Done done) { h.resume(pair.id(), std::move(done)); });
    REQUIRE_MESSAGE(resumed, resumed.error().message);
    CHECK_FALSE(pair.target.room.observe(pair.id()).incoming);
    REQUIRE(pair.target.room.ask([&](Hypervisor& h, Done done) { h.suspend(pair.id(), std::move(done)); }));
    CHECK_FALSE(pair.target.room.observe(pair.id()).incoming);  // a person's pause is none
    REQUIRE(pair.ask([&](Done done) { pair.target.migration->dismiss(pair.id(), std::move(done)); }));
    CHECK_FALSE(file_exists(pair.target.room.host / ("run/moves/" + pair.id().str() + ".in")));
    CHECK_FALSE(file_exists(pair.source.room.host / ("run/moves/" + pair.id().str() + ".out")));
    CHECK(pair.target.room.state(pair.id()) == DomainState::paused);
    REQUIRE(pair.target.room.destroy(pair.id()));
    CHECK(pair.is_filled());
}

TEST_CASE("a running guest moves whose disk both hosts reach") {
    OPEN_ROOM(Pair, pair);
    pair.make_guest(false);
    REQUIRE(pair.expect());
    const auto sent = pair.send();
    REQUIRE_MESSAGE(sent, sent.error().message);
    CHECK(pair.target.room.observe(pair.id()).incoming);
}

TEST_CASE("a move that is cancelled leaves the guest running where it was, and none where it was to go") {
    OPEN_ROOM(Pair, pair);
    pair.make_guest(true);
    pair.move.bandwidth = 1 << 20;
    REQUIRE(pair.expect());
    bool cancelled = false;
    const auto sent = pair.send([&](MoveProgress) {
        if (!std::exchange(cancelled, true)) pair.source.migration->cancel(pair.id(), [](Result<>) {});
    });
    REQUIRE_FALSE(sent);
    CHECK(sent.error().code == Code::conflict);
    CHECK(pair.source.room.state(pair.id()) == DomainState::running);
    CHECK(pair.target.room.becomes(pair.id(), DomainState::shut_off));
    // And it can be moved after that.
    pair.move.bandwidth = 0;
    REQUIRE(pair.ask([&](Done done) { pair.target.migration->dismiss(pair.id(), std::move(done)); }));
    REQUIRE(pair.expect());
    const auto again = pair.send();
    REQUIRE_MESSAGE(again, again.error().message);
    CHECK(pair.target.room.observe(pair.id()).incoming);
}

TEST_CASE("when the line is cut or the target's agent ends, the guest runs on where it was") {
    OPEN_ROOM(Pair, pair);
    pair.make_guest(true);
    pair.move.bandwidth = 1 << 20;
    REQUIRE(pair.expect());
    bool over = false;
    bool agent_ends = false;
    SUBCASE("it is dismissed there") {}
    SUBCASE("the agent there ends") {
        agent_ends = true;
    }
    const auto sent = pair.send([&](MoveProgress) {
        if (std::exchange(over, true)) return;
        if (agent_ends)
            pair.target.migration.reset();
        else
            pair.target.migration->dismiss(pair.id(), [](Result<>) {});
    });
    REQUIRE_FALSE(sent);
    CAPTURE(sent.error().message);
    CHECK(pair.source.room.state(pair.id()) == DomainState::running);
    CHECK_FALSE(pair.source.room.observe(pair.id()).incoming);
}

TEST_CASE("the disk of a guest that is off arrives whole, or not at all") {
    OPEN_ROOM(Pair, pair);
    pair.make_guest(true, false);
    REQUIRE(pair.expect());
    MoveProgress last;
    const auto sent = pair.send([&](MoveProgress p) { last = p; });
    REQUIRE_MESSAGE(sent, sent.error().message);
    CHECK(last.done == last.total);
    CHECK(read_file(pair.here.disks[0].path).value() == read_file(pair.there.disks[0].path).value());
}

TEST_CASE("nobody gets in who is not expected, and who gets in gets no further than a migration") {
    OPEN_ROOM(Pair, pair);
    pair.make_guest(true);
    const DataClient client(event_loop(), [identity = pair.people.identity(pair.source.host)] { return identity; });
    const DataTarget right = target_of(pair.id(), pair.move);
    const auto code_of = [&](const DataClient& from, const DataTarget& target, const std::string& stream) {
        const auto opened = from.open(target, stream);
        return opened ? std::optional<Code>() : opened.error().code;
    };
    CHECK(code_of(client, right, "libvirt") == Code::not_found);
    REQUIRE(pair.expect());
    DataTarget wrong = right;
    wrong.ticket = "another-ticket";
    CHECK(code_of(client, wrong, "libvirt") == Code::forbidden);
    wrong.ticket.clear();
    CHECK(code_of(client, wrong, "libvirt").has_value());
    const DataClient stranger(event_loop(), [identity = pair.people.identity(HostId(uuid(77)))] { return identity; });
    CHECK(code_of(stranger, right, "libvirt") == Code::forbidden);
    const DataClient forger(event_loop(), [identity = People().identity(pair.source.host)] { return identity; });
    CHECK(code_of(forger, right, "libvirt").has_value());
    // An open line to libvirt, by the rightful host, with a call that defines a domain.
    auto line = client.open(right, "libvirt");
    REQUIRE_MESSAGE(line, line.error().message);
    std::mutex mutex;
    std::optional<std::string> why;
    std::string answered;
    line->start({.bytes =
                     [&](const std::string& bytes) {
                         const std::lock_guard lock(mutex);
                         answered += bytes;
                     },
                 .ended =
                     [&](const std::string& text) {
                         const std::lock_guard lock(mutex);
                         why = text;
                     }});
    CHECK(code_of(client, right, "libvirt") == Code::conflict);  // one at a time
    const char define[] =
        "\x00\x00\x00\x1c\x20\x00\x80\x86\x00\x00\x00\x01\x00\x00\x00\x0b"
        "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00";
    CHECK(line->send(std::string(define, 28)));
    CHECK(PrivateHost::wait_for(
        [&] {
            const std::lock_guard lock(mutex);
            return why.has_value();
        },
        seconds{10}));
    CHECK(answered.empty());
    CHECK(pair.source.room.state(pair.id()) == DomainState::running);
    CHECK(pair.target.room.state(pair.id()) == DomainState::shut_off);
}
