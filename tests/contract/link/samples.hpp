// Messages of which recordings are kept: of each kind, with documents and reports of each kind in them.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "common/channel/messages.hpp"
#include "common/model/codec.hpp"

namespace axle::test {

template <typename I>
I id_of(int number) {
    I id;
    id.bytes = {1, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(number)};
    return id;
}

inline const Epoch kEpoch{3, 4711};

inline VmDocument sample_vm() {
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

inline Hello sample_hello() {
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

inline std::vector<std::pair<std::string, Message>> first_samples() {
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

inline Condition sample_condition() {
    return {"Blocked", true, "Firewall", "a message", "2026-01-01T00:00:00Z"};
}

inline HostFacts full_facts() {
    return {.hostname = "h1",
            .machine_id = "0123456789abcdef0123456789abcdef",
            .os = "Debian GNU/Linux 12 (bookworm)",
            .kernel = "6.1.0",
            .libvirt = "9.0.0",
            .qemu = "7.2.0",
            .agent = "0.1.0",
            .cpu_model = "AMD EPYC",
            .cpus = 8,
            .memory = std::int64_t{1} << 35,
            .accelerator = Accelerator::kvm,
            .accelerator_why = "kvm_amd is loaded",
            .guest_machine = "pc-q35-7.2",
            .guest_cpu_model = "EPYC",
            .bridges = {"br0"},
            .addresses = {"192.0.2.1/24"},
            .routes = {"192.0.2.0/24"},
            .route_links = {{"192.0.2.0/24", "eth0"}},
            .foreign_memory = 1 << 30,
            .foreign_cpus = 2,
            .features = {"migrate"},
            .conditions = {sample_condition()},
            .underlay = "192.0.2.1",
            .data_port = 7444,
            .orchestrator = {"https://192.0.2.9:7443"},
            .cpu_flags = "fpu svm",
            .numa = {{1, "0-7", 1 << 30}},
            .hugepages = {{2 << 20, 512}},
            .disks = {{"sda", "a disk", 1 << 30, true}},
            .interfaces = {{"eth0", "52:54:00:00:00:09", "up", 1500, 1000}}};
}

inline std::vector<Put> sample_puts() {
    PoolDocument pool{.name = "main", .path = "/pools/main", .shared = true, .cluster = "c1"};
    pool.id = id_of<PoolId>(3);
    ImageDocument image{.id = id_of<Uuid>(9),
                        .digest = std::string(64, 'a'),
                        .size = 1 << 20,
                        .virtual_size = 1 << 30,
                        .source = "orchestrator:" + std::string(64, 'a')};
    image.pool = pool.id;
    NetworkDocument network{.name = "default/blue",
                            .type = NetworkType::bridged,
                            .bridge = "br0",
                            .cidr = "10.90.0.0/24",
                            .gateway = "10.90.0.1",
                            .gateway_mac = "52:54:00:00:00:02",
                            .dns = {"192.0.2.53"},
                            .domain = "blue.example",
                            .mtu = 1450,
                            .forwards = {{Protocol::udp, 5353, "192.0.2.1", "10.90.0.2", 53}},
                            .vni = 7,
                            .underlay = "192.0.2.1",
                            .peers = {{"52:54:00:00:00:03", "10.90.0.3", "192.0.2.2"}}};
    network.id = id_of<NetworkId>(4);
    VolumeDocument volume{.epoch = kEpoch,
                          .size = 1 << 30,
                          .format = DiskFormat::raw,
                          .image_digest = std::string(64, 'a'),
                          .made = true,
                          .name = "default/web1-root"};
    volume.id = id_of<VolumeId>(2);
    volume.pool = pool.id;
    const auto moving = [](MoveRole role) {
        VmDocument vm = sample_vm();
        vm.accelerator = Accelerator::kvm;
        vm.seed_slot = 3;
        vm.power = Power::paused;
        vm.start_serial = 4;
        vm.force_stop = true;
        vm.stop_timeout_ms = 1000;
        vm.on_guest_shutdown = OnGuestShutdown::restart;
        vm.on_crash = OnCrash::stay_off;
        vm.priority = 5;
        VmMove move{.role = role, .epoch = {3, 4720}, .peer_name = "h2", .ticket = "once"};
        move.task = id_of<TaskId>(6);
        move.peer = id_of<HostId>(10);
        move.copies = {id_of<VolumeId>(2)};
        move.live = false;
        move.bandwidth = 1 << 20;
        const bool leaves = role == MoveRole::outgoing;
        move.address = leaves ? "192.0.2.2:7444" : "";
        move.cancel = leaves;
        move.handed_over = move.run_over = !leaves;
        vm.move = std::move(move);
        return to_json_text(vm);
    };
    return {{DocumentKind::pool, id_of<Uuid>(3), {}, "p", to_json_text(pool)},
            {DocumentKind::image, id_of<Uuid>(9), {}, "i", to_json_text(image)},
            {DocumentKind::network, id_of<Uuid>(4), {}, "n", to_json_text(network)},
            {DocumentKind::volume, id_of<Uuid>(2), kEpoch, "v", to_json_text(volume)},
            {DocumentKind::vm, id_of<Uuid>(1), kEpoch, "out", moving(MoveRole::outgoing)},
            {DocumentKind::vm, id_of<Uuid>(8), {3, 4720}, "in", moving(MoveRole::incoming)}};
}

// What the first ones leave out.
inline std::vector<std::pair<std::string, Message>> further_samples() {
    Hello hello = sample_hello();
    hello.facts = full_facts();
    for (const DocumentKind kind :
         {DocumentKind::pool, DocumentKind::image, DocumentKind::network, DocumentKind::volume})
        hello.documents.push_back({kind, id_of<Uuid>(2), "hash", kEpoch});
    VmReport vm{.state = DomainState::stopping,
                .generation = 2,
                .start_serial = 4,
                .last_end = RunEnd::host_down,
                .settled = true,
                .needs_reboot = true,
                .restarts = 1,
                .stages = {{"eth0", "dhcp-answered"}},
                .local = LocalWish{Power::paused, 2, 4, "2026-01-01T00:00:00Z"},
                .conditions = {sample_condition()}};
    vm.move = MoveReport{.epoch = {3, 4720},
                         .phase = MovePhase::handed_over,
                         .message = "why",
                         .done = 1 << 20,
                         .total = 1 << 21,
                         .downtime_ms = 12};
    const VolumeReport volume{
        .state = VolumeState::lost, .size = 1 << 30, .allocated = 1 << 20, .conditions = {sample_condition()}};
    const SimpleReport simple{
        .ready = true, .size = 1 << 30, .free = 1 << 29, .done = 1 << 20, .conditions = {sample_condition()}};
    const UnclaimedThing stray{.kind = DocumentKind::volume,
                               .id = id_of<Uuid>(11),
                               .since = "2026-01-01T00:00:00Z",
                               .path = "/pools/main/volumes/11.raw",
                               .pool = id_of<Uuid>(3),
                               .size = 1 << 30,
                               .allocated = 1 << 20,
                               .format = DiskFormat::raw,
                               .image_digest = std::string(64, 'a'),
                               .user = "default/web1"};
    Desired all{.cluster = "c1", .incarnation = 3, .run_id = "r3", .revision = 4712, .seal = "cd"};
    all.puts = sample_puts();
    const auto status = [](DocumentKind kind, const std::string& content) {
        return Status{kind, id_of<Uuid>(2), kEpoch, false, content};
    };
    return {{"endpoints", Endpoints{{"https://192.0.2.9:7443", "https://cloud.example:7443"}}},
            {"hello-full", hello},
            {"facts-full", Facts{full_facts()}},
            {"heartbeat-bare", Heartbeat{}},
            {"desired-all", all},
            {"status-pool", status(DocumentKind::pool, to_json_text(simple))},
            {"status-image", status(DocumentKind::image, to_json_text(simple))},
            {"status-network", status(DocumentKind::network, to_json_text(simple))},
            {"status-volume", status(DocumentKind::volume, to_json_text(volume))},
            {"status-vm-moving", status(DocumentKind::vm, to_json_text(vm))},
            {"unclaimed-volume", UnclaimedReport{.things = {stray}, .total = 1}}};
}

inline std::vector<std::pair<std::string, Message>> samples() {
    auto all = first_samples();
    for (auto& sample : further_samples()) all.push_back(std::move(sample));
    return all;
}

}  // namespace axle::test
