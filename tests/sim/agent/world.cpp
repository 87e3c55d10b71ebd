#include "tests/sim/agent/world.hpp"

#include <algorithm>

namespace axle::test {

AgentIdentity identity_for_tests() {
    return {.cluster = "c1",
            .host = HostId{*Uuid::parse("01890000-0000-7000-8000-0000000000aa")},
            .boot_id = "boot-1",
            .version = "0",
            .log_folder = "/log",
            .run_folder = "/run"};
}

World::World(std::uint64_t seed)
    : random(seed), machine(time, random, identity_for_tests()), orchestrator(time, random, machine) {
    pool = {.id = make_id<PoolId>(), .name = "local", .path = "/pool", .cluster = "c1"};
    image = {.id = make_id<Uuid>(), .pool = pool.id, .digest = std::string(64, 'a'), .size = 1000, .source = "/img"};
    network = {.id = make_id<NetworkId>(), .name = "default/blue", .cidr = "10.90.0.0/24", .gateway = "10.90.0.1"};
    orchestrator.put(DocumentKind::pool, pool);
    orchestrator.put(DocumentKind::image, image);
    orchestrator.put(DocumentKind::network, network);
    machine.start_agent();
    orchestrator.keep_connected();
}

VolumeDocument& World::add_volume(const std::string& name) {
    const auto id = make_id<VolumeId>();
    VolumeDocument& volume = volumes[id];
    volume = {.id = id, .epoch = next_epoch(), .pool = pool.id, .size = 1 << 30, .name = name};
    volume.image_digest = name == "root" ? image.digest : "";
    orchestrator.put(DocumentKind::volume, volume);
    return volume;
}

VmId World::create_vm(Power power) {
    const auto id = make_id<VmId>();
    VmDocument& document = vms[id];
    document = {.id = id,
                .epoch = next_epoch(),
                .name = "default/vm" + std::to_string(vms.size()),
                .cluster = "c1",
                .memory = 1 << 30,
                .machine = "pc-q35-7.2",
                .cpu_model = "qemu64",
                .seed_slot = 20,
                .power = power};
    document.start_serial = power == Power::stopped ? 0 : 1;
    document.stop_timeout_ms = 20'000;
    document.disks.push_back(
        {.name = "root", .volume = add_volume("root").id, .pool = pool.id, .slot = 1, .boot_order = 1});
    document.nics.push_back({.name = "eth0", .network = network.id, .mac = "52:54:00:00:00:01", .slot = 2});
    put_vm(id);
    return id;
}

void World::put_vm(VmId id) {
    VmDocument& document = vms.at(id);
    document.rev = ++orchestrator.revision;
    ++document.generation;
    orchestrator.put(DocumentKind::vm, document);
}

void World::start_vm(VmId id) {
    vms.at(id).power = Power::running;
    vms.at(id).force_stop = false;
    ++vms.at(id).start_serial;
    put_vm(id);
}

void World::stop_vm(VmId id, bool force) {
    vms.at(id).power = Power::stopped;
    vms.at(id).force_stop = force;
    put_vm(id);
}

void World::delete_vm(VmId id) {
    const VmDocument document = vms.at(id);
    vms.erase(id);
    deleted.insert(id);
    orchestrator.end(DocumentKind::vm, id, document.epoch, false);
    for (const auto& disk : document.disks) {
        const bool shared = std::ranges::any_of(vms, [&](const auto& other) {
            return std::ranges::any_of(other.second.disks, [&](const auto& d) { return d.volume == disk.volume; });
        });
        auto volume = volumes.find(disk.volume);
        if (shared || volume == volumes.end()) continue;
        orchestrator.end(DocumentKind::volume, disk.volume, volume->second.epoch, true);
        destroyed.insert(disk.volume);
        volumes.erase(volume);
    }
}

VmId World::any_vm() {
    auto it = vms.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random.below(vms.size())));
    return it->first;
}

void World::do_something() {
    if (vms.empty() || (vms.size() < 4 && random.chance(20))) {
        create_vm(random.chance(80) ? Power::running : Power::stopped);
        return;
    }
    const VmId id = any_vm();
    const auto dice = random.below(100);
    if (dice < 55) return user_acts(id);
    if (dice < 75) return guest_acts(id);
    if (dice < 95) return bad_luck();
    order_task(id);
}

// A task, sent up to three times, and sometimes once more long after its end.
void World::order_task(VmId id) {
    if (last_task.id && random.chance(50)) return orchestrator.repeat(last_task, 2);
    if (!orchestrator.is_connected() || !machine.is_running(id)) return;
    last_task = {.id = make_id<TaskId>(), .verb = TaskVerb::reset, .vm = id, .epoch = vms.at(id).epoch};
    machine.expect_task();
    orchestrator.repeat(last_task, static_cast<int>(1 + random.below(3)));
}

void World::user_acts(VmId id) {
    VmDocument& document = vms.at(id);
    switch (random.below(10)) {
        case 0:
        case 1:
            return start_vm(id);
        case 2:
            return stop_vm(id, false);
        case 3:
            return stop_vm(id, true);
        case 4:
            document.power = document.power == Power::paused ? Power::running : Power::paused;
            if (document.power == Power::running || document.start_serial == 0) ++document.start_serial;
            return put_vm(id);
        case 5:
            document.cpus = random.between(1, 8);
            return put_vm(id);
        case 6:
            return delete_vm(id);
        case 7:
            return change_disks(id);
        case 8:
            document.epoch = next_epoch();  // bound anew, to the same host
            return put_vm(id);
        default:
            return send_stale(id);
    }
}

void World::change_disks(VmId id) {
    VmDocument& document = vms.at(id);
    if (document.disks.size() > 1 && random.chance(60)) {
        const VolumeId gone = document.disks.back().volume;
        document.disks.pop_back();
        put_vm(id);
        const bool shared = std::ranges::any_of(vms, [&](const auto& other) {
            return std::ranges::any_of(other.second.disks, [&](const auto& d) { return d.volume == gone; });
        });
        if (shared || !volumes.contains(gone)) return;
        const bool destroys = random.chance(50);
        orchestrator.end(DocumentKind::volume, gone, volumes.at(gone).epoch, destroys);
        if (destroys) {
            destroyed.insert(gone);
        } else if (machine.volumes.contains(gone) && !lost.contains(gone)) {
            released.insert(gone);
        }
        volumes.erase(gone);
        return;
    }
    if (document.disks.size() > 2) return;
    VolumeId volume;
    for (const auto& [other, theirs] : vms) {  // sometimes a disk that another guest has: it must wait
        if (other != id && theirs.disks.size() > 1 && random.chance(30)) volume = theirs.disks.back().volume;
    }
    if (!volume) volume = add_volume("data").id;
    const bool twice = std::ranges::any_of(document.disks, [&](const auto& d) { return d.volume == volume; });
    if (twice) return;
    const auto slot = static_cast<std::int64_t>(document.disks.size()) + 3;
    document.disks.push_back(
        {.name = "d" + std::to_string(document.rev), .volume = volume, .pool = pool.id, .slot = slot});
    put_vm(id);
}

// Messages as an old copy of the orchestrator would send them: all must be refused.
void World::send_stale(VmId id) {
    if (!orchestrator.is_connected()) return;
    VmDocument old = vms.at(id);
    old.epoch.revision = old.epoch.revision > 1 ? old.epoch.revision - 1 : 0;
    old.cpus = 99;
    const Put put{DocumentKind::vm, id, old.epoch, "stale", to_json_text(old)};
    switch (random.below(4)) {
        case 0:
            return orchestrator.send(Desired{.puts = {put}});
        case 1:
            return orchestrator.send(Desired{.releases = {{DocumentKind::vm, id, old.epoch}}});
        case 2: {
            const VolumeId root = vms.at(id).disks.front().volume;
            return orchestrator.send(Desired{.destroys = {{DocumentKind::volume, root, {0, 1}}}});
        }
        default: {
            Desired behind{.revision = 1, .puts = {put}};
            return orchestrator.send(std::move(behind));
        }
    }
}

void World::guest_acts(VmId id) {
    switch (random.below(4)) {
        case 0:
            return machine.guest_crashes(id);
        case 1:
            return machine.virsh_destroy(id);
        default:
            return machine.guest_shuts_down(id);
    }
}

// The file of a disk of a guest that is off vanishes: it is lost, and stays lost.
void World::lose_a_disk() {
    for (const auto& [id, document] : vms) {
        const auto domain = machine.domains.find(id);
        const VolumeId volume = document.disks.back().volume;
        const bool open = !machine.opened_by(volume, {}).empty();
        const bool made = machine.files.contains("made/" + volume.str());
        if (domain == machine.domains.end() || open || !made || !machine.volumes.contains(volume)) continue;
        machine.lose_volume_file(volume);
        lost.insert(volume);
        return;
    }
}

void World::bad_luck() {
    switch (random.below(16)) {
        case 0:
        case 1:
        case 2:
        case 3:
            return machine.start_agent();  // killed at this instant, and restarted
        case 4:
        case 5: {
            machine.power_cut();
            return machine.start_agent();
        }
        case 6:
        case 7:
        case 8:
            return orchestrator.disconnect();
        case 9:
        case 10:
            return lose_a_disk();
        case 11:
        case 12:
            if (!machine.unmounted.insert(pool.id).second) machine.unmounted.clear();
            return;
        case 13:
            machine.fill_state_disk(random.chance(30));
            return;
        default:
            if (machine.agent() == nullptr) return;
            machine.agent()->host_going_down(milliseconds{3'000}, [](Result<>) {});
            time.after(milliseconds{random.between(10, 20'000)}, [this] {
                if (machine.agent() != nullptr) machine.agent()->host_stays_up([](Result<>) {});
            });
    }
}

void World::repair() {
    machine.faults = {};
    machine.unmounted.clear();
    machine.fill_state_disk(false);
    std::set<VolumeId> taken;
    for (auto& [id, document] : vms) {
        const auto before = document.disks.size();
        std::erase_if(document.disks, [&](const auto& disk) { return !taken.insert(disk.volume).second; });
        const bool stops = document.power == Power::stopped && !document.force_stop;
        if (stops) document.force_stop = true;  // a deaf guest obeys nothing else
        if (stops || document.disks.size() != before) put_vm(id);
    }
    if (machine.agent() == nullptr) machine.start_agent();
    machine.agent()->host_stays_up([](Result<>) {});
}

bool World::waits_for_lost(const VmDocument& document) const {
    return std::ranges::any_of(document.disks, [&](const auto& disk) { return lost.contains(disk.volume); });
}

std::string World::unsettled(const VmDocument& document) const {
    const auto report = orchestrator.vm_report(document.id);
    const auto it = machine.domains.find(document.id);
    const DomainState state = it == machine.domains.end() ? DomainState::absent : it->second.state;
    if (!report) return "no report of " + document.name;
    if (report->generation != document.generation) return "an old report of " + document.name;
    if (waits_for_lost(document)) return {};  // it can't run, or ran before
    if (!report->settled)
        return document.name + " is not settled: " + orchestrator.status({DocumentKind::vm, document.id})->content;
    const bool stays_off = report->last_end == RunEnd::guest_shutdown && report->start_serial == document.start_serial;
    if (document.power == Power::stopped && is_on(state)) return document.name + " should be off";
    if (document.power == Power::running && state != DomainState::running && !stays_off)
        return document.name + " should run: " + orchestrator.status({DocumentKind::vm, document.id})->content;
    if (document.power == Power::paused && state != DomainState::paused && !stays_off)
        return document.name + " should be paused";
    return {};
}

std::string World::unsettled() const {
    if (!orchestrator.is_connected()) return "not connected";
    if (orchestrator.ending() > 0) return std::to_string(orchestrator.ending()) + " documents are not gone yet";
    for (const auto& [id, document] : vms) {
        if (auto why = unsettled(document); !why.empty()) return why;
    }
    for (const VmId id : deleted) {
        if (!machine.has_nothing_of(id)) return "something is left of deleted guest " + id.str();
    }
    for (const VolumeId id : destroyed) {
        if (machine.volumes.contains(id)) return "the file of a destroyed volume is left";
    }
    for (const VolumeId id : released) {
        if (!machine.volumes.contains(id)) return "the file of a released volume is gone";
    }
    for (const auto& [id, volume] : volumes) {
        if (!machine.volumes.contains(id) && !lost.contains(id)) return "a volume is missing";
    }
    for (const auto& [tap, nic] : machine.taps) {
        const auto it = machine.domains.find(nic.vm);
        const auto wish = vms.find(nic.vm);
        if (wish != vms.end() && waits_for_lost(wish->second)) continue;
        if (it == machine.domains.end() || !is_on(it->second.state)) return "a tap of a guest that is off is left";
    }
    return {};
}

std::string World::converge(milliseconds limit) {
    repair();
    const bool well = time.run_until([&] { return !violation().empty() || unsettled().empty(); }, limit);
    if (!violation().empty()) return violation();
    return well ? "" : unsettled();
}

}  // namespace axle::test
