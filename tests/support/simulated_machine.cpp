#include "tests/support/simulated_machine.hpp"

#include <algorithm>

#include "agent/migration/no_migration.hpp"
#include "agent/storage/epoch_file.hpp"
#include "common/model/codec.hpp"
#include "tests/support/simulated_edges.hpp"

namespace axle::test {

SimulatedMachine::SimulatedMachine(VirtualTime& time, SeededRandom& random, const AgentIdentity& identity)
    : time_(time), random_(random), identity_(identity) {
    identity_.boot_id = "boot-1";
    boots_ = 1;
}

void SimulatedMachine::start_agent() {
    kill_agent();
    trace("the agent starts");
    clock_ = std::make_unique<VirtualClock>(time_, booted_ms_, drift_ppm);
    clock_->jump_wall(wall_offset_ms_);
    edges_ = std::make_shared<SimulatedEdges>(*this, *clock_);
    if (lines != nullptr)
        migration_ = std::make_unique<FakeMigration>(identity_.host, static_cast<FakeMoveMachine&>(*this), *lines,
                                                     *clock_, move_options);
    else
        migration_ = std::make_unique<NoMigration>(*clock_);
    agent_ = std::make_unique<AgentCore>(edges_->seams(random_, *migration_), identity_);
    agent_->start([this](Result<> ready) {
        if (!ready) violate("the agent refused to start: " + ready.error().message);
    });
}

void SimulatedMachine::kill_agent() {
    hint_ = {};
    agent_.reset();
    migration_.reset();
    if (edges_) edges_->die();
    edges_.reset();
    clock_.reset();
}

void SimulatedMachine::power_cut() {
    trace("power cut");
    kill_agent();
    for (auto& [id, domain] : domains) {
        if (domain.unsynced_before && random_.chance(50)) {  // virsh define is not durable when it returns
            domain.plan = *domain.unsynced_before;
            domain.defined = !domain.plan.document.name.empty();
        }
        domain.unsynced_before.reset();
        domain.state = domain.defined ? DomainState::shut_off : DomainState::absent;
        domain.ended = RunEnd::unknown;
        domain.incoming = domain.migrated = false;
        ++domain.run;
    }
    taps.clear();
    bridges.clear();
    held_.clear();
    identity_.boot_id = "boot-" + std::to_string(++boots_);
    booted_ms_ = time_.now_ms();
}

void SimulatedMachine::jump_wall(std::int64_t by_ms) {
    trace(fmt::format("the wall clock jumps by {} h", by_ms / 3'600'000));
    wall_offset_ms_ += by_ms;
    if (clock_) clock_->jump_wall(by_ms);
}

// As systemd does it.
void SimulatedMachine::end_of_bad_disk() {
    trace("the agent ends: a sync failed");
    time_.after(milliseconds{0}, [this, ended = agent_.get()] {
        if (agent_ && agent_.get() == ended) start_agent();
    });
}

Result<> SimulatedMachine::room_in(const PoolDocument& pool) const {
    if (unmounted.contains(pool.id)) return fail(Code::unavailable, "the pool is not mounted");
    if (pools_full) return fail(Code::no_space, "no space is left in the pool");
    return {};
}

// ---- guests

void SimulatedMachine::set_state(VmId vm, DomainState state, RunEnd ended) {
    Domain& domain = domains[vm];
    trace(fmt::format("domain {} is {}, ended {}", vm.str().substr(24), text_of(state), text_of(ended)));
    domain.state = state;
    domain.ended = ended;
    domain.incoming = domain.migrated = false;
    if (!is_on(state)) ++domain.run;
    emit_hint(vm, is_on(state) ? RunEnd::none : ended);
}

void SimulatedMachine::emit_hint(VmId vm, RunEnd cause) {
    if (!hint_ || random_.chance(faults.loses_hints)) return;
    const std::int64_t delay = random_.chance(faults.late_hints) ? random_.between(100, 20'000) : 1;
    clock_->after(milliseconds{delay}, [this, vm, cause] {
        if (hint_) hint_({vm, cause});
    });
}

void SimulatedMachine::guest_shuts_down(VmId vm) {
    if (!is_running(vm)) return;
    trace("guest shuts itself down " + vm.str().substr(24));
    // Held only if the agent has written down that this serial runs, so that it can know.
    const auto* run = durable("runs/" + vm.str());
    const auto* desired = durable("desired/vm-" + vm.str());
    const auto* mark = durable("agent/going-down");
    const bool going_down = mark != nullptr && mark->find(identity_.boot_id + '"') != std::string::npos;
    if (run != nullptr && desired != nullptr && !going_down) {
        const auto record = from_json_text<RunRecord>(*run);
        const auto document = from_json_text<VmDocument>(desired->substr(desired->find('\n') + 1));
        if (record && document && record->open() && record->stopping_until_ms == 0 &&
            record->boot_id == identity_.boot_id && record->serial == document->start_serial &&
            document->power == Power::running && document->on_guest_shutdown == OnGuestShutdown::stay_off)
            held_[vm] = record->serial;
    }
    set_state(vm, DomainState::shut_off, RunEnd::guest_shutdown);
}

void SimulatedMachine::guest_crashes(VmId vm) {
    if (is_running(vm)) set_state(vm, DomainState::shut_off, RunEnd::crashed);
}

void SimulatedMachine::virsh_destroy(VmId vm) {
    if (is_running(vm)) set_state(vm, DomainState::shut_off, RunEnd::destroyed);
}

void SimulatedMachine::lose_volume_file(VolumeId volume) {
    volumes.erase(volume);
}

bool SimulatedMachine::is_running(VmId vm) const {
    auto it = domains.find(vm);
    return it != domains.end() && it->second.state == DomainState::running;
}

SimulatedMachine::Volume* SimulatedMachine::file_of(VolumeId volume) {
    for (auto* there : {&volumes, &shared->volumes}) {
        if (auto it = there->find(volume); it != there->end()) return &it->second;
    }
    return nullptr;
}

bool SimulatedMachine::has_nothing_of(VmId vm) const {
    auto it = domains.find(vm);
    const bool domain = it != domains.end() && it->second.state != DomainState::absent;
    return !domain && !seeds.contains(vm) &&
           std::ranges::none_of(taps, [&](const auto& tap) { return tap.second.vm == vm; });
}

// ---- eyes

void SimulatedMachine::violate(std::string what) {
    trace("VIOLATION " + what);
    if (violation_.empty()) violation_ = std::move(what);
}

void SimulatedMachine::trace(std::string what) {
    log.push_back(fmt::format("{:>9} {}", time_.now_ms(), what));
    if (log.size() > 4'000) log.erase(log.begin(), log.begin() + 1'000);
}

const std::string* SimulatedMachine::durable(const std::string& name) const {
    auto it = files.find(name);
    return it == files.end() ? nullptr : &it->second;
}

// A document that becomes durable never has a lower epoch than one before it.
void SimulatedMachine::check_file(const std::string& name, const std::string& content) {
    written_at_[name] = time_.now_ms();
    if (!name.starts_with("desired/")) return;
    const auto record = from_json_text<DocumentRecord>(content.substr(0, content.find('\n')));
    if (!record) return violate("an unreadable document was written: " + name);
    if (!has_epoch(record->kind)) return;
    Epoch& highest = highest_[name];
    if (record->epoch < highest) violate(name + " was stored with a lower epoch than before");
    highest = std::max(highest, record->epoch);
}

// The document with what was asked of the agent itself, as far as both are durable.
std::optional<VmDocument> SimulatedMachine::wished(VmId vm) const {
    const auto* file = durable("desired/vm-" + vm.str());
    if (file == nullptr) return std::nullopt;
    auto document = from_json_text<VmDocument>(file->substr(file->find('\n') + 1));
    if (!document) return std::nullopt;
    const auto* local_file = durable("local/" + vm.str());
    const auto local = local_file != nullptr ? from_json_text<LocalRecord>(*local_file)
                                             : Result<LocalRecord>(fail(Code::not_found, "none"));
    if (local && local->epoch == document->epoch && local->wish.generation == document->generation) {
        document->power = local->wish.power;
        document->start_serial = std::max(document->start_serial, local->wish.start_serial);
    }
    return *document;
}

// A guest is ended only by what is durable: a release, or a wish that says stopped.
void SimulatedMachine::may_touch(VmId vm, bool power_off) {
    const auto* file = durable("desired/vm-" + vm.str());
    if (file == nullptr) return violate("a guest without a durable document was touched");
    const auto record = from_json_text<DocumentRecord>(file->substr(0, file->find('\n')));
    if (!record || !power_off || record->verdict != Verdict::keep) return;
    // What became durable in this very instant has not been told to the agent yet.
    const auto is_new = [&](const std::string& name) {
        const auto at = written_at_.find(name);
        return at != written_at_.end() && at->second == time_.now_ms();
    };
    if (is_new("desired/vm-" + vm.str()) || is_new("local/" + vm.str())) return;
    const auto document = wished(vm);
    const bool crashed = domains[vm].state == DomainState::crashed;
    const auto* move = durable("moves/" + vm.str());
    if (domains[vm].incoming || (move != nullptr && move->find("handed-over") != std::string::npos)) return;
    if (document && document->power != Power::stopped && is_on(domains[vm].state) && !crashed)
        violate("a guest that should run was powered off");
}

// From the host's going down on, an end that nobody wrote down before counts as the host's.
void SimulatedMachine::forget_unrecorded_ends() {
    std::erase_if(held_, [&](const auto& held) {
        const auto* run = durable("runs/" + held.first.str());
        return run == nullptr || run->find("guest-shutdown") == std::string::npos;
    });
}

void SimulatedMachine::may_start(VmId vm) {
    const auto* file = durable("desired/vm-" + vm.str());
    if (file == nullptr) return violate("a guest without a durable document was started");
    const auto record = from_json_text<DocumentRecord>(file->substr(0, file->find('\n')));
    const auto document = wished(vm);
    if (!record || !document) return violate("a guest was started from a document that can't be read");
    if (auto held = held_.find(vm); held != held_.end() && document->start_serial == held->second &&
                                    document->power == Power::running && record->verdict == Verdict::keep)
        violate("a guest that shut itself down was started again for the same serial");
    held_.erase(vm);
}

// A disk on a shared pool is opened only by who has its epoch file (RELIABILITY 5.3).
void SimulatedMachine::may_open(const DomainPlan::Disk& disk) {
    if (!shared->volumes.contains(disk.document.volume)) return;
    const auto* file = durable("desired/volume-" + disk.document.volume.str());
    const auto record = file == nullptr ? Result<DocumentRecord>(fail(Code::not_found, "none"))
                                        : from_json_text<DocumentRecord>(file->substr(0, file->find('\n')));
    const auto there = shared->epoch_files.find(disk.document.volume);
    const auto epoch =
        there == shared->epoch_files.end() ? std::nullopt : parse_epoch_file(there->second, disk.document.volume);
    if (!epoch) return violate("a shared disk was opened before its epoch file was written");
    if (!record || *epoch > record->epoch) violate("a shared disk was opened that a later placement has");
}

std::string SimulatedMachine::opened_by(VolumeId volume, VmId but) const {
    for (const auto& [id, domain] : domains) {
        if (id == but || !is_on(domain.state)) continue;
        const bool open =
            std::ranges::any_of(domain.live.disks, [&](const auto& disk) { return disk.document.volume == volume; });
        if (open) return id.str();
    }
    return {};
}

Result<> SimulatedMachine::start_domain(VmId vm, bool paused, bool by_living) {
    Domain& domain = domains[vm];
    if (!domain.defined) return fail(Code::not_found, "domain {} is not defined", vm.str());
    if (is_on(domain.state)) return {};
    for (const auto& disk : domain.plan.disks) {
        if (file_of(disk.document.volume) == nullptr) return fail(Code::not_found, "disk {} is missing", disk.path);
        if (by_living) may_open(disk);
        const std::string other = opened_by(disk.document.volume, vm);
        if (!other.empty() && by_living) violate("a disk was opened in two guests");
        if (!other.empty()) return fail(Code::conflict, "disk {} is locked by guest {}", disk.path, other);
    }
    for (const auto& nic : domain.plan.nics) {
        if (!taps.contains(nic.tap)) return fail(Code::unavailable, "tap {} is missing", nic.tap);
    }
    domain.live = domain.plan;
    write_disks(vm);
    domain.obeys = !random_.chance(faults.deaf_guests);
    ++domain.starts;
    set_state(vm, paused ? DomainState::paused : DomainState::running, RunEnd::none);
    return {};
}

// ---- moves

// Whoever runs has the newest of its disks.
void SimulatedMachine::write_disks(VmId vm) {
    if (written == nullptr) return;
    for (const auto& disk : domains[vm].live.disks) {
        auto& newest = (*written)[disk.document.volume];
        Volume* file = file_of(disk.document.volume);
        if (file == nullptr) continue;
        auto& here = file->content;
        if (here != newest) violate(fmt::format("a guest runs on an old copy of its disk: {} of {}", here, newest));
        here = ++newest;
    }
}

// A guest that came in goes on here only when it is durable that it is at home here.
void SimulatedMachine::resume_domain(VmId vm) {
    Domain& domain = domains[vm];
    if (domain.state != DomainState::paused) return;
    const auto* move = durable("moves/" + vm.str());
    if (domain.incoming && (move == nullptr || move->find("accepted") == std::string::npos))
        violate("a guest that came in was resumed without its source's word");
    if (domain.incoming) {
        for (const auto& disk : domain.live.disks) may_open(disk);
        write_disks(vm);
    }
    set_state(vm, DomainState::running, RunEnd::none);
}

bool SimulatedMachine::move_is_off(VmId vm) const {
    const auto it = domains.find(vm);
    return it == domains.end() || !is_on(it->second.state);
}

Result<> SimulatedMachine::move_arrives(const DomainPlan& plan) {
    Domain& domain = domains[plan.document.id];
    if (is_on(domain.state) && domain.incoming) return {};
    if (is_on(domain.state)) return fail(Code::conflict, "a guest runs here already");
    if (!domain.defined) return fail(Code::not_found, "the guest is not defined here");
    for (const auto& disk : plan.disks) {
        if (file_of(disk.document.volume) == nullptr) return fail(Code::not_found, "disk {} is missing", disk.path);
    }
    for (const auto& nic : plan.nics) {
        if (!taps.contains(nic.tap)) return fail(Code::unavailable, "tap {} is missing", nic.tap);
    }
    domain.live = plan;
    set_state(plan.document.id, DomainState::paused, RunEnd::none);
    domain.incoming = true;
    return {};
}

void SimulatedMachine::move_fails(VmId vm) {
    if (domains[vm].incoming) set_state(vm, DomainState::shut_off, RunEnd::failed);
}

void SimulatedMachine::move_leaves(VmId vm) {
    set_state(vm, DomainState::shut_off, RunEnd::unknown);
    domains[vm].migrated = true;
}

std::uint64_t SimulatedMachine::move_reads(VolumeId volume) const {
    const auto it = volumes.find(volume);
    return it == volumes.end() ? 0 : it->second.content;
}
void SimulatedMachine::move_writes(VolumeId volume, std::uint64_t content) {
    if (const auto it = volumes.find(volume); it != volumes.end()) it->second.content = content;
}

DomainObservation SimulatedMachine::observation(VmId id, const Domain& domain) const {
    DomainObservation out{.id = id, .name = "axle-" + id.str(), .state = domain.state};
    if (domain.state == DomainState::absent) return out;
    out.title = domain.plan.document.name;
    std::set<VolumeId> named;
    for (const auto& disk : domain.plan.disks) named.insert(disk.document.volume);
    if (is_on(domain.state))
        for (const auto& disk : domain.live.disks) named.insert(disk.document.volume);
    out.volumes.assign(named.begin(), named.end());
    out.epoch = domain.plan.document.epoch;
    out.rev = domain.plan.document.rev;
    out.hardware_hash = domain.plan.hardware_hash();
    if (!is_on(domain.state)) {
        out.ended = domain.ended;
        out.migrated = domain.migrated;
        return out;
    }
    out.incoming = domain.incoming;
    out.live_fixed_hash = domain.live.fixed_hash();
    out.cpus = domain.live.document.cpus;
    out.memory = domain.live.document.memory;
    for (const auto& disk : domain.live.disks) out.live_disks.push_back({disk.document.name, disk.document.volume});
    for (const auto& nic : domain.live.nics) out.live_nics.push_back({nic.document.name, nic.document.mac, nic.mtu});
    return out;
}

}  // namespace axle::test
