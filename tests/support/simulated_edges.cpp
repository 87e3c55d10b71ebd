#include "tests/support/simulated_edges.hpp"

#include <algorithm>

#include "agent/storage/epoch_file.hpp"
#include "common/model/codec.hpp"
#include "tests/support/simulated_machine.hpp"

namespace axle::test {

Seams SimulatedEdges::seams(Random& random, Migration& migration) {
    return {*clock_,
            random,
            machine_.real_files != nullptr ? *machine_.real_files : *this,
            *this,
            *this,
            *this,
            migration,
            *this,
            *this,
            [this](log::Level level, const std::string& text) {
                machine_.log.push_back(
                    fmt::format("{:>8} {} {}", machine_.time_.now_ms(), level == log::Level::info ? "i" : "W", text));
            }};
}

static bool is_reached(int& countdown) {
    return countdown > 0 && --countdown == 0;
}

template <typename T>
void SimulatedEdges::answer_in(std::int64_t ms, Result<T> result, std::function<void(Result<T>)> answer) {
    if (!alive()) return;
    clock_->after(milliseconds{ms}, [answer = std::move(answer), result = std::move(result)] { answer(result); });
}

template <typename T>
void SimulatedEdges::call(bool late, std::function<Result<T>()> act, std::function<void(Result<T>)> answer) {
    const MachineFaults& faults = machine_.faults;
    SeededRandom& random = machine_.random_;
    const std::int64_t delay = random.between(0, faults.slow_ms), back = random.between(0, faults.slow_ms);
    const bool struck = is_reached(machine_.one.call);
    if (random.chance(faults.fails) || (struck && !machine_.one.lies))
        return answer_in<T>(delay, fail(Code::unavailable, "injected failure"), std::move(answer));
    const bool hangs = random.chance(faults.hangs), lies = random.chance(faults.lies) || struck;
    if (hangs && random.chance(50)) return;
    const std::int64_t when = hangs ? random.between(1'000, 400'000) : delay;
    if (hangs && !late) return answer_in<T>(when, act(), std::move(answer));  // what it tells is old by then
    machine_.time_.after(milliseconds{when}, [weak = weak_from_this(), &machine = machine_, late, lies, back, hangs,
                                              act = std::move(act), answer = std::move(answer)] {
        const auto self = weak.lock();
        if (!self && !late) return;  // it was to happen in the process that died
        Result<T> result = act();
        if (!self || (hangs && machine.random_.chance(50))) return;
        if (lies && result)
            result = machine.random_.chance(50) ? Result<T>(fail(Code::timeout, "injected time-out"))
                                                : Result<T>(fail(Code::unavailable, "injected false failure"));
        self->answer_in<T>(back, std::move(result), answer);
    });
}

// ---- hypervisor

void SimulatedEdges::facts(Answer<HypervisorFacts> answer) {
    call<HypervisorFacts>(
        false,
        [] {
            return Result<HypervisorFacts>(
                {.libvirt = "9.0.0", .qemu = "7.2", .guest_machine = "pc-q35-7.2", .guest_cpu_model = "qemu64"});
        },
        std::move(answer));
}

void SimulatedEdges::list(Answer<std::vector<DomainObservation>> answer) {
    call<std::vector<DomainObservation>>(
        false,
        [&machine = machine_] {
            std::vector<DomainObservation> out;
            for (const auto& [id, domain] : machine.domains) {
                if (domain.state != DomainState::absent) out.push_back(machine.observation(id, domain));
            }
            return Result<std::vector<DomainObservation>>(std::move(out));
        },
        std::move(answer));
}

void SimulatedEdges::observe(VmId id, Answer<DomainObservation> answer) {
    call<DomainObservation>(
        false,
        [&machine = machine_, id] {
            auto it = machine.domains.find(id);
            return Result<DomainObservation>(it == machine.domains.end() ? DomainObservation{.id = id}
                                                                         : machine.observation(id, it->second));
        },
        std::move(answer));
}

void SimulatedEdges::on_hint(std::function<void(DomainHint)> told) {
    machine_.hint_ = std::move(told);
}

void SimulatedEdges::define(DomainPlan plan, Done done) {
    machine_.trace("asked: define " + plan.document.id.str().substr(24));
    const std::string name = "desired/vm-" + plan.document.id.str();
    const auto* file = machine_.durable(name);
    const auto document = file == nullptr ? Result<VmDocument>(fail(Code::not_found, "none"))
                                          : from_json_text<VmDocument>(file->substr(file->find('\n') + 1));
    if (!document || document->rev < plan.document.rev || document->epoch < plan.document.epoch)
        machine_.violate("a guest was defined from a document that is not durable");
    call<void>(
        true,
        [&machine = machine_, plan] {
            auto& domain = machine.domains[plan.document.id];
            if (domain.defined && domain.plan.document.epoch > plan.document.epoch)
                return Result<>(fail(Code::conflict, "the domain is of a later placement"));
            domain.unsynced_before = domain.plan;
            domain.plan = plan;
            domain.defined = true;
            if (domain.state == DomainState::absent) domain.state = DomainState::shut_off;
            machine.time_.after(milliseconds{5'000},
                                [&machine, id = plan.document.id] { machine.domains[id].unsynced_before.reset(); });
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::undefine(VmId id, Done done) {
    machine_.trace("asked: undefine " + id.str().substr(24));
    machine_.may_touch(id, false);
    call<void>(
        true,
        [&machine = machine_, id] {
            auto& domain = machine.domains[id];
            if (is_on(domain.state)) return Result<>(fail(Code::conflict, "the domain runs"));
            domain = {};
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::start(VmId id, bool paused, Done done) {
    machine_.trace("asked: start " + id.str().substr(24));
    machine_.may_start(id);
    call<void>(
        true,
        [weak = weak_from_this(), &machine = machine_, id, paused] {
            return machine.start_domain(id, paused, !weak.expired());
        },
        std::move(done));
}

void SimulatedEdges::ask_shutdown(VmId id, Done done) {
    machine_.trace("asked: ask_shutdown " + id.str().substr(24));
    call<void>(
        true,
        [&machine = machine_, id] {
            auto& domain = machine.domains[id];
            if (domain.state != DomainState::running || !domain.obeys) return Result<>{};
            machine.time_.after(milliseconds{machine.random_.between(500, 8'000)}, [&machine, id, run = domain.run] {
                if (machine.domains[id].run == run && machine.is_running(id))
                    machine.set_state(id, DomainState::shut_off, RunEnd::guest_shutdown);
            });
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::destroy(VmId id, Done done) {
    machine_.trace("asked: destroy " + id.str().substr(24));
    machine_.may_touch(id, true);
    call<void>(
        true,
        [&machine = machine_, id] {
            if (is_on(machine.domains[id].state) || machine.domains[id].state == DomainState::crashed)
                machine.set_state(id, DomainState::shut_off, RunEnd::destroyed);
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::act_task(VmId id, Done done) {
    const bool journalled = std::ranges::any_of(machine_.files, [](const auto& file) {
        return file.first.starts_with("tasks/") && file.second.find("running") != std::string::npos;
    });
    if (!journalled) machine_.violate("a task acted before it was journalled");
    if (++machine_.tasks_done_ > machine_.tasks_ordered_) machine_.violate("a task ran twice");
    call<void>(
        true,
        [&machine = machine_, id] {
            ++machine.domains[id].resets;
            return Result<>{};
        },
        std::move(done));
}
void SimulatedEdges::ask_reboot(VmId id, Done done) {
    act_task(id, std::move(done));
}
void SimulatedEdges::reset(VmId id, Done done) {
    act_task(id, std::move(done));
}

void SimulatedEdges::suspend(VmId id, Done done) {
    machine_.trace("asked: suspend " + id.str().substr(24));
    call<void>(
        true,
        [&machine = machine_, id] {
            if (machine.is_running(id)) machine.set_state(id, DomainState::paused, RunEnd::none);
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::resume(VmId id, Done done) {
    machine_.trace("asked: resume " + id.str().substr(24));
    call<void>(
        true,
        [&machine = machine_, id] {
            machine.resume_domain(id);
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::attach_disk(VmId id, DomainPlan::Disk disk, Done done) {
    call<void>(
        true,
        [weak = weak_from_this(), &machine = machine_, id, disk] {
            auto& domain = machine.domains[id];
            if (!is_on(domain.state)) return Result<>(fail(Code::conflict, "the domain does not run"));
            const auto same = [&](const auto& d) { return d.document.name == disk.document.name; };
            if (std::ranges::any_of(domain.live.disks, same)) return Result<>{};
            const std::string other = machine.opened_by(disk.document.volume, id);
            if (!other.empty() && !weak.expired())
                machine.violate("a disk was hot-plugged that is open in another guest");
            if (!other.empty()) return Result<>(fail(Code::conflict, "locked"));
            if (!weak.expired()) machine.may_open(disk);
            domain.live.disks.push_back(disk);
            domain.live.document.disks.push_back(disk.document);
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::detach_disk(VmId id, std::string disk_name, Done done) {
    call<void>(
        true,
        [&machine = machine_, id, disk_name] {
            auto& live = machine.domains[id].live;
            std::erase_if(live.disks, [&](const auto& d) { return d.document.name == disk_name; });
            std::erase_if(live.document.disks, [&](const auto& d) { return d.name == disk_name; });
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::grow_disk(VmId id, std::string disk_name, std::int64_t bytes, Done done) {
    call<void>(
        true,
        [&machine = machine_, id, disk_name, bytes] {
            auto& domain = machine.domains[id];
            if (!is_on(domain.state)) return Result<>(fail(Code::conflict, "the domain does not run"));
            for (const auto& disk : domain.live.disks) {
                if (disk.document.name != disk_name) continue;
                auto* file = machine.file_of(disk.document.volume);
                if (file != nullptr) file->size = std::max(file->size, bytes);
                return Result<>{};
            }
            return Result<>(fail(Code::not_found, "no such disk"));
        },
        std::move(done));
}

void SimulatedEdges::attach_nic(VmId id, DomainPlan::Nic nic, Done done) {
    call<void>(
        true,
        [&machine = machine_, id, nic] {
            auto& domain = machine.domains[id];
            if (!is_on(domain.state)) return Result<>(fail(Code::conflict, "the domain does not run"));
            if (!machine.taps.contains(nic.tap)) return Result<>(fail(Code::unavailable, "the tap is missing"));
            const auto same = [&](const auto& n) { return n.document.name == nic.document.name; };
            if (std::ranges::any_of(domain.live.nics, same)) return Result<>{};
            domain.live.nics.push_back(nic);
            domain.live.document.nics.push_back(nic.document);
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::detach_nic(VmId id, std::string nic_name, Done done) {
    call<void>(
        true,
        [&machine = machine_, id, nic_name] {
            auto& live = machine.domains[id].live;
            std::erase_if(live.nics, [&](const auto& n) { return n.document.name == nic_name; });
            std::erase_if(live.document.nics, [&](const auto& n) { return n.name == nic_name; });
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::screenshot(VmId, Answer<std::string> png_or_ppm) {
    answer_in<std::string>(1, std::string("P6 1 1 255 abc"), std::move(png_or_ppm));
}

// ---- storage

void SimulatedEdges::open_pool(PoolDocument pool, bool, Answer<PoolObservation> answer) {
    call<PoolObservation>(
        false,
        [&machine = machine_, pool] {
            if (machine.unmounted.contains(pool.id))
                return Result<PoolObservation>({.usable = false, .why = "nothing is mounted on " + pool.path});
            return Result<PoolObservation>({.usable = true, .size = machine.pool_size, .free = machine.pool_free});
        },
        std::move(answer));
}

void SimulatedEdges::list_volumes(PoolDocument pool, Answer<std::vector<VolumeFile>> answer) {
    call<std::vector<VolumeFile>>(
        false,
        [&machine = machine_, pool] {
            std::vector<VolumeFile> out;
            for (const auto& [id, volume] : machine.files_in(pool)) {
                if (volume.pool == pool.id) out.push_back({.id = id});
            }
            return Result<std::vector<VolumeFile>>(std::move(out));
        },
        std::move(answer));
}

void SimulatedEdges::fetch_image(PoolDocument pool, ImageDocument image, std::function<void(std::int64_t)> progress,
                                 Done done) {
    answer_in<void>(1, Result<>{}, [progress, image](Result<>) { progress(image.size / 2); });
    call<void>(
        false,
        [&machine = machine_, pool, image] {
            if (auto room = machine.room_in(pool); !room) return room;
            machine.images.insert({pool.id, image.digest});
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::remove_image(PoolDocument pool, std::string digest, Done done) {
    call<void>(
        false,
        [&machine = machine_, pool, digest] {
            for (const auto& [id, volume] : machine.files_in(pool)) {
                if (volume.pool == pool.id && volume.image == digest)
                    return Result<>(fail(Code::conflict, "a volume overlays the image"));
            }
            machine.images.erase({pool.id, digest});
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::observe_volume(PoolDocument pool, VolumeDocument volume, Answer<VolumeObservation> answer) {
    call<VolumeObservation>(
        false,
        [&machine = machine_, pool, volume] {
            if (machine.unmounted.contains(pool.id))
                return Result<VolumeObservation>(fail(Code::unavailable, "the pool is not mounted"));
            auto it = machine.files_in(pool).find(volume.id);
            if (it == machine.files_in(pool).end()) return Result<VolumeObservation>({.exists = false});
            return Result<VolumeObservation>(
                {.exists = true, .size = it->second.size, .image_digest = it->second.image});
        },
        std::move(answer));
}

void SimulatedEdges::create_volume(PoolDocument pool, VolumeDocument volume, Done done) {
    machine_.trace("asked: create_volume " + volume.id.str().substr(24));
    const auto* file = machine_.durable("desired/volume-" + volume.id.str());
    if (file == nullptr) machine_.violate("a volume was made for a document that is not durable");
    if (volume.made || machine_.durable("made/" + volume.id.str()) != nullptr)
        machine_.violate("a volume that was made once was made anew");
    call<void>(
        false,
        [&machine = machine_, pool, volume] {
            if (auto room = machine.room_in(pool); !room) return room;
            if (!volume.image_digest.empty() && !machine.images.contains({pool.id, volume.image_digest}))
                return Result<>(fail(Code::not_found, "the image is not here"));
            machine.files_in(pool).try_emplace(volume.id,
                                               SimulatedMachine::Volume{volume.size, volume.image_digest, pool.id});
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::grow_volume(PoolDocument pool, VolumeDocument volume, Done done) {
    call<void>(
        false,
        [&machine = machine_, pool, volume] {
            if (auto room = machine.room_in(pool); !room) return room;
            auto it = machine.files_in(pool).find(volume.id);
            if (it == machine.files_in(pool).end()) return Result<>(fail(Code::not_found, "there is no such file"));
            if (!machine.opened_by(volume.id, {}).empty()) return Result<>(fail(Code::busy, "it is open in a guest"));
            it->second.size = std::max(it->second.size, volume.size);
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::destroy_volume(PoolDocument pool, VolumeId volume, Done done) {
    machine_.trace("asked: destroy_volume " + volume.str().substr(24));
    const auto* file = machine_.durable("desired/volume-" + volume.str());
    const auto record = file == nullptr ? Result<DocumentRecord>(fail(Code::not_found, "none"))
                                        : from_json_text<DocumentRecord>(file->substr(0, file->find('\n')));
    if (!record || record->verdict != Verdict::destroy || !machine_.may_destroy_.contains(volume))
        machine_.violate("a volume's file was destroyed without a durable destroy");
    call<void>(
        false,
        [&machine = machine_, pool, volume] {
            auto& files = machine.files_in(pool);
            auto it = files.find(volume);
            if (it == files.end() || it->second.pool != pool.id) return Result<>{};
            if (!machine.opened_by(volume, {}).empty())
                machine.violate("a volume was destroyed while a guest has it open");
            files.erase(it);
            machine.shared->epoch_files.erase(volume);
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::check_volume(PoolDocument, VolumeDocument volume, Done done) {
    machine_.trace("asked: check_volume " + volume.id.str().substr(24));
    call<void>(
        false,
        [&machine = machine_, volume] {
            if (!machine.opened_by(volume.id, {}).empty())
                machine.violate("a volume was mended while a guest has it open");
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::claim_volume(PoolDocument pool, VolumeDocument volume, Done done) {
    machine_.trace("asked: claim_volume " + volume.id.str().substr(24));
    call<void>(
        false,
        [&machine = machine_, pool, volume]() -> Result<> {
            if (machine.unmounted.contains(pool.id)) return fail(Code::unavailable, "the pool is not mounted");
            if (!pool.shared) return {};
            if (!machine.files_in(pool).contains(volume.id)) return fail(Code::not_found, "there is no such file");
            auto& files = machine.shared->epoch_files;
            const auto there = files.find(volume.id);
            TRY(claimed, is_claimed(pool, volume, there == files.end() ? std::nullopt : std::optional(there->second)));
            if (!claimed) files[volume.id] = epoch_file_text(volume.id, volume.epoch);
            return {};
        },
        std::move(done));
}

std::string SimulatedEdges::volume_path(const PoolDocument& pool, const VolumeDocument& volume) const {
    return pool.path + "/volumes/" + volume.id.str() + ".qcow2";
}

void SimulatedEdges::make_seed(VmDocument vm, Answer<std::string> path) {
    call<std::string>(
        false,
        [&machine = machine_, vm] {
            machine.seeds.insert(vm.id);
            return Result<std::string>("/run/seed/" + vm.id.str() + ".iso");
        },
        std::move(path));
}

void SimulatedEdges::remove_guest_files(VmId vm, Done done) {
    call<void>(
        false,
        [&machine = machine_, vm] {
            machine.seeds.erase(vm);
            return Result<>{};
        },
        std::move(done));
}

void SimulatedEdges::sweep(std::vector<PoolDocument>, Done done) {
    call<void>(
        false, [] { return Result<>{}; }, std::move(done));
}

// ---- network

void SimulatedEdges::apply(NetworkPlan plan, std::function<void(Result<NetworkReport>)> answer) {
    call<NetworkReport>(
        false,
        [&machine = machine_, plan] {
            NetworkReport report;
            machine.bridges.clear();
            for (const auto& network : plan.networks) {
                machine.bridges[network.id] = network;
                report.networks[network.id].ready = true;
            }
            std::map<std::string, NicPlan> wanted;
            for (const auto& nic : plan.nics) wanted[nic.tap] = nic;
            for (const auto& [tap, nic] : machine.taps) {
                auto it = machine.domains.find(nic.vm);
                const bool in_use = it != machine.domains.end() && is_on(it->second.state);
                if (in_use) wanted.insert({tap, nic});
            }
            machine.taps = std::move(wanted);
            return Result<NetworkReport>(std::move(report));
        },
        std::move(answer));
}

void SimulatedEdges::leases(NetworkId, std::function<void(Result<std::vector<Lease>>)> answer) {
    std::vector<Lease> out;
    for (const auto& [mac, lease] : machine_.leases) out.push_back(lease);
    answer_in<std::vector<Lease>>(1, std::move(out), std::move(answer));
}

void SimulatedEdges::remove_all(std::function<void(Result<>)> done) {
    answer_in<void>(1, Result<>{}, std::move(done));
}

// ---- the agent's files: in order; what was not answered when the process died may be there or not

void SimulatedEdges::write(std::function<void()> act, std::function<void(Result<>)> done, bool needs_room) {
    const std::int64_t now = machine_.time_.now_ms();
    files_busy_until_ = std::max(files_busy_until_, now) + machine_.random_.between(0, machine_.faults.slow_ms);
    const bool struck = is_reached(machine_.one.write);
    const bool full = needs_room && (machine_.state_full_ || machine_.random_.chance(machine_.faults.no_space) ||
                                     (struck && !machine_.one.ends));
    const bool broken = machine_.random_.chance(machine_.faults.bad_disk) || (struck && machine_.one.ends);
    const bool there = machine_.random_.chance(50);
    clock_->after(milliseconds{files_busy_until_ - now}, [=, this, act = std::move(act), done = std::move(done)] {
        if (!full && (!broken || there)) act();
        if (broken) return machine_.end_of_bad_disk();
        clock_->after(milliseconds{0}, [full, done] {
            done(full ? Result<>(fail(Code::no_space, "the disk of the agent's state is full")) : Result<>{});
        });
    });
}

void SimulatedEdges::load(std::function<void(Result<std::vector<StateFile>>)> answer) {
    std::vector<StateFile> out;
    for (const auto& [name, content] : machine_.files) out.push_back({name, content});
    answer_in<std::vector<StateFile>>(1, std::move(out), std::move(answer));
}

void SimulatedEdges::put(std::string name, std::string content, std::function<void(Result<>)> done) {
    write(
        [&machine = machine_, name, content] {
            machine.trace("durable: " + name + " " + content.substr(0, 230));
            machine.check_file(name, content);
            machine.files[name] = content;
            if (name == "agent/going-down") machine.forget_unrecorded_ends();
        },
        std::move(done));
}

void SimulatedEdges::remove(std::string name, std::function<void(Result<>)> done) {
    write([&machine = machine_, name] { machine.files.erase(name); }, std::move(done), false);
}

// ---- probes

void SimulatedEdges::last_stage(VmId, Answer<std::string> answer) {
    answer_in<std::string>(1, std::string("kernel"), std::move(answer));
}

void SimulatedEdges::facts(Answer<HostFacts> answer) {
    answer_in<HostFacts>(1, machine_.facts, std::move(answer));
}

void SimulatedEdges::load(Answer<HostLoad> answer) {
    answer_in<HostLoad>(1, HostLoad{.cpu = 0.5}, std::move(answer));
}

}  // namespace axle::test
