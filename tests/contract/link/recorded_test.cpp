// Messages as this release writes them, kept for later ones: each must be read, and written again the same.
// AXLE_RECORD=1 writes them anew; those of a release that is out are never changed.
#include <cstdlib>
#include <fstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "common/base/file.hpp"
#include "common/channel/messages.hpp"
#include "common/model/codec.hpp"
#include "tests/support/test_file.hpp"

using namespace axle;

namespace {

template <typename I>
I id_of(int number) {
    I id;
    id.bytes = {1, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(number)};
    return id;
}

const Epoch kEpoch{3, 4711};

VmDocument sample_vm() {
    VmDocument vm{.epoch = kEpoch, .rev = 4712, .generation = 2, .name = "default/web1", .cluster = "c1"};
    vm.id = id_of<VmId>(1);
    vm.memory = 1 << 30;
    vm.machine = "pc-q35-7.2";
    vm.cpu_model = "qemu64";
    VmDocumentDisk disk{.name = "root", .slot = 1, .boot_order = 1, .serial = "00000000000000000002"};
    disk.volume = id_of<VolumeId>(2);
    disk.pool = id_of<PoolId>(3);
    vm.disks = {disk};
    VmDocumentNic nic{.name = "eth0", .mac = "52:54:00:00:00:01", .address = "10.90.0.2", .slot = 2};
    nic.network = id_of<NetworkId>(4);
    vm.nics = {nic};
    vm.seed = {
        .instance_id = "i1", .hostname = "web1", .user_data = "#cloud-config\n", .ssh_keys = {"ssh-ed25519 AAAA"}};
    return vm;
}

Hello sample_hello() {
    Hello hello{.features = {"images"},
                .cluster = "c1",
                .boot_id = "boot",
                .instance = "0011",
                .version = "0.1.0",
                .connection = 9,
                .highest_revision = 4711,
                .highest_incarnation = 3,
                .seal = "ab"};
    hello.host = id_of<HostId>(5);
    hello.documents = {{DocumentKind::vm, id_of<Uuid>(1), "hash", kEpoch}};
    hello.facts = {.hostname = "h1",
                   .os = "Debian GNU/Linux 12 (bookworm)",
                   .kernel = "6.1.0",
                   .cpus = 8,
                   .memory = std::int64_t{1} << 35,
                   .accelerator = Accelerator::kvm,
                   .addresses = {"192.0.2.1/24"},
                   .features = {"x"},
                   .conditions = {{"NotDurable", true, "Tmpfs", "a message", "2026-01-01T00:00:00Z"}},
                   .underlay = "192.0.2.1"};
    return hello;
}

std::vector<std::pair<std::string, Message>> samples() {
    const VmReport report{.state = DomainState::running,
                          .generation = 2,
                          .start_serial = 1,
                          .settled = true,
                          .stages = {{"eth0", "dhcp-answered"}},
                          .local = LocalWish{Power::stopped, 2, 1, "2026-01-01T00:00:00Z"}};
    TaskOrder order{.verb = TaskVerb::reset, .epoch = kEpoch, .connection = 9};
    order.id = id_of<TaskId>(6);
    order.vm = id_of<VmId>(1);
    TaskNews news{.state = TaskState::failed, .percent = 50, .code = "outcome-unknown", .message = "why"};
    news.id = id_of<TaskId>(6);
    StreamOpen open{
        .stream = 7, .kind = StreamKind::tcp, .address = "10.90.0.2", .port = 22, .follow = true, .tail = 100};
    open.vm = id_of<VmId>(1);
    UnclaimedThing thing{.kind = DocumentKind::vm,
                         .id = id_of<Uuid>(1),
                         .name = "default/web1",
                         .held = true,
                         .epoch = kEpoch,
                         .since = "2026-01-01T00:00:00Z",
                         .state = DomainState::running,
                         .cpus = 2,
                         .memory = 1 << 30,
                         .volumes = {id_of<Uuid>(2)},
                         .elsewhere = "why",
                         .document = to_json_text(sample_vm())};
    RemoveOrder removal{.kind = DocumentKind::volume,
                        .id = id_of<Uuid>(2),
                        .pool = id_of<Uuid>(3),
                        .seen = kEpoch,
                        .held = true,
                        .epoch = {3, 4713},
                        .connection = 9};
    removal.task = id_of<TaskId>(6);
    return {
        {"hello", sample_hello()},
        {"welcome", Welcome{.features = {"f"}, .version = "0.1.0", .host = "h1"}},
        {"desired", Desired{.cluster = "c1",
                            .incarnation = 3,
                            .run_id = "r3",
                            .revision = 4712,
                            .seal = "cd",
                            .puts = {{DocumentKind::vm, id_of<Uuid>(1), kEpoch, "hash", to_json_text(sample_vm())}},
                            .releases = {{DocumentKind::network, id_of<Uuid>(4), kEpoch}},
                            .destroys = {{DocumentKind::volume, id_of<Uuid>(2), kEpoch}},
                            .confirms = {{DocumentKind::vm, id_of<Uuid>(8), kEpoch}}}},
        {"status", Status{DocumentKind::vm, id_of<Uuid>(1), kEpoch, false, to_json_text(report)}},
        {"status-gone", Status{DocumentKind::volume, id_of<Uuid>(2), kEpoch, true, ""}},
        {"facts", Facts{sample_hello().facts}},
        {"heartbeat", Heartbeat{HostLoad{.cpu = 0.5, .memory_free = 1 << 30}}},
        {"task", order},
        {"progress", news},
        {"stream-open", open},
        {"stream-data", StreamData{7, std::string("\0\xff hello", 8)}},
        {"stream-close", StreamClose{7, "the guest is off"}},
        {"certificate-request", CertificateRequest{"-----BEGIN CERTIFICATE REQUEST-----\n"}},
        {"certificate-grant", CertificateGrant{"-----BEGIN CERTIFICATE-----\n", "or why not"}},
        {"bye", Bye{"a newer connection of this host came"}},
        {"unclaimed", UnclaimedReport{.things = {thing}, .total = 2, .files = {id_of<Uuid>(7)}}},
        {"unknown", UnknownThings{{{DocumentKind::vm, id_of<Uuid>(1)}}}},
        {"remove", removal},
    };
}

std::string recorded(const std::string& name) {
    return test_file("contract/link/recorded/0.1.0/" + name + ".json");
}

}  // namespace

TEST_CASE("messages that release 0.1.0 wrote are read, and nothing in them is lost") {
    if (std::getenv("AXLE_RECORD") != nullptr) {
        for (const auto& [name, message] : samples()) std::ofstream(recorded(name)) << encode(message) << "\n";
    }
    for (const auto& [name, message] : samples()) {
        CAPTURE(name);
        auto text = read_file(recorded(name));
        REQUIRE(text.has_value());
        while (!text->empty() && text->back() == '\n') text->pop_back();
        const auto read = decode(*text);
        REQUIRE(read.has_value());
        REQUIRE(read->has_value());
        CHECK((*read)->index() == message.index());
        // A later release may write more than was recorded; it must not write anything else in its place.
        const auto again = parse_json(encode(**read)), was = parse_json(*text);
        REQUIRE(again);
        for (const auto& [key, value] : was->items()) {
            CAPTURE(key);
            REQUIRE(again->contains(key));
            if (!value.is_structured()) CHECK(again->at(key) == value);
        }
    }
}

TEST_CASE("documents and reports inside recorded messages are read") {
    const auto desired = decode(*read_file(recorded("desired")));
    REQUIRE((desired && *desired));
    const auto vm = from_json_text<VmDocument>(std::get<Desired>(**desired).puts.at(0).content);
    REQUIRE(vm);
    CHECK(vm->disks.at(0).serial == "00000000000000000002");
    CHECK(vm->nics.at(0).address == "10.90.0.2");
    const auto status = decode(*read_file(recorded("status")));
    REQUIRE((status && *status));
    const auto report = from_json_text<VmReport>(std::get<Status>(**status).content);
    REQUIRE(report);
    CHECK(report->state == DomainState::running);
    CHECK(report->stages.at("eth0") == "dhcp-answered");
}
