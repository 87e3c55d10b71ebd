#include "tests/support/cloud/cloud.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "common/base/ensure.hpp"
#include "tests/support/cloud/eyes.hpp"
#include "tests/support/plain_codec.hpp"

namespace axle::test {

Cloud::Cloud(const CloudOptions& with)
    : random(with.seed), options(with), drift_ppm_(random.between(-with.drift_ppm, with.drift_ppm)) {
    log::set_level(log::Level::error);
    eyes = std::make_unique<Eyes>(*this);
    lines_.stands = [this](HostId from, HostId to) {
        for (const std::size_t i : deaf) {
            const HostId host = hosts[i].machine->identity().host;
            if (host == from || host == to) return false;
        }
        return true;
    };
    start_orchestrator();
    hosts.resize(static_cast<std::size_t>(options.hosts));
    for (std::size_t i = 0; i < hosts.size(); ++i) make_host(i, process_->store->state().cluster.str());
    time.after_each([this] {
        eyes->look();
        if (options.after_event) options.after_event();
    });
}

Cloud::~Cloud() {
    time.after_each({});
    asked_.clear();
    process_.reset();
    for (HostMachine& host : hosts) host.machine->kill_agent();
}

void Cloud::make_host(std::size_t number, const std::string& cluster) {
    HostMachine& host = hosts[number];
    const AgentIdentity identity{
        .cluster = cluster,
        .host = HostId{*Uuid::parse(fmt::format("01890000-0000-7000-8000-{:012x}", number + 1))},
        .version = "0",
        .log_folder = "/log",
        .run_folder = "/run"};
    host.machine = std::make_unique<SimulatedMachine>(time, random, identity);
    host.machine->facts = {.hostname = fmt::format("h{}", number),
                           .cpus = options.host_cpus,
                           .memory = options.host_memory,
                           .underlay = fmt::format("10.200.0.{}", number + 1),
                           .data_port = 7444};
    host.machine->lines = &lines_;
    host.machine->written = &written_;
    host.machine->shared = shared;
    host.machine->move_options.fault = [this](const std::string& call, VmId vm) {
        return move_fault ? move_fault(call, vm) : MigrationFault{};
    };
    host.machine->drift_ppm = random.between(-options.drift_ppm, options.drift_ppm);
    host.machine->pool_size = options.pool_size;
    host.machine->pool_free = options.pool_size / 2;
    if (options.prepare_host) options.prepare_host(*host.machine);
    host.machine->start_agent();
    dial(number);
}

// ---- the orchestrator's process

Result<std::unique_ptr<Store>> Cloud::open_store() {
    MemoryStore::Options with{
        .agents = {},
        .sync_delay = [this] { return milliseconds{random.between(0, sync_slow_ms)}; },
        .kept_by_crash =
            [this](std::size_t n) { return static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(n))); },
        .fatal =
            [this](const Error&) {
                time.after(milliseconds{0}, [this] { restart_orchestrator_in(milliseconds{500}); });
            }};
    TRY(store, MemoryStore::open(disk, process_->clock, process_->clock, random, std::move(with)));
    return std::unique_ptr<Store>(std::move(store));
}

void Cloud::unstall() {
    disk.stalled = false;
    if (auto* memory = process_ ? dynamic_cast<MemoryStore*>(process_->store.get()) : nullptr) memory->unstall();
}

void Cloud::start_orchestrator() {
    if (process_) return;
    ++orchestrator_starts;
    trace("the orchestrator starts");
    process_ = std::make_unique<Process>(*this);
    process_->clock.jump_wall(wall_offset_ms_);
    auto store = options.open_store ? options.open_store() : open_store();
    if (!store) {
        process_.reset();
        return violate("the store does not open: " + store.error().message);
    }
    process_->store = std::move(*store);
    process_->orchestrator = std::make_unique<Orchestrator>(
        Orchestrator::Seams{*process_->store, process_->clock, random, process_->clock, process_->importer, kPlainCodec,
                            [](const std::string& digest) { return "/images/" + digest; }, "", options.retention});
    if (auto loaded = process_->orchestrator->load(); !loaded)
        return violate("the orchestrator does not start: " + loaded.error().message);
    const UnfinishedImports unfinished = process_->orchestrator->unfinished_imports();
    std::erase_if(uploads, [&](const Uuid& image) { return !unfinished.importing.contains(image); });
    process_->orchestrator->bootstrap("secret");
    process_->orchestrator->start();
    eyes->orchestrator_started();
}

void Cloud::crash_orchestrator() {
    if (!process_) return;
    trace("the orchestrator crashes");
    eyes->orchestrator_gone();
    process_->orchestrator.reset();
    process_->store.reset();
    process_.reset();
    for (auto& [id, told] : std::exchange(asked_, {})) {
        if (told) told({.lost = true});
    }
}

void Cloud::restart_orchestrator_in(milliseconds delay) {
    crash_orchestrator();
    time.after(delay, [this] { start_orchestrator(); });
}

void Cloud::jump_wall(std::int64_t by_ms) {
    trace(fmt::format("the orchestrator's wall clock jumps by {} h", by_ms / 3'600'000));
    wall_offset_ms_ += by_ms;
    if (process_) process_->clock.jump_wall(by_ms);
}

// ---- hosts and connections

void Cloud::dial(std::size_t number) {
    HostMachine& host = hosts[number];
    const bool up = host.machine->agent() != nullptr && host.reachable && host.frozen_until <= time.now_ms();
    if (up && process_ && !host.machine->agent()->is_connected()) connect(number);
    time.after(milliseconds{random.between(500, 3'000)}, [this, number] { dial(number); });
}

void Cloud::connect(std::size_t number) {
    HostMachine& host = hosts[number];
    host.wire = std::make_shared<Wire>(time, random, wire_rules);
    host.wire->on_delivery(Wire::agent, [this, number] { return hosts[number].frozen_until; });
    host.wire->on_sent(Wire::orchestrator, [this, number](const Message& message) { check_sent(number, message); });
    process_->orchestrator->attach(host.wire->end(Wire::orchestrator));
    host.machine->agent()->connected(host.wire->end(Wire::agent));
}

void Cloud::power_cut(std::size_t number, milliseconds off) {
    trace(fmt::format("host h{} loses its power for {} ms", number, off.count()));
    HostMachine& host = hosts[number];
    if (host.wire) host.wire->cut();
    host.machine->power_cut();
    host.down = true;
    time.after(off, [this, number] {
        if (!std::exchange(hosts[number].down, false)) return;
        hosts[number].machine->start_agent();
    });
}

void Cloud::freeze(std::size_t number, milliseconds span) {
    HostMachine& host = hosts[number];
    if (host.machine->agent() == nullptr) return;
    trace(fmt::format("host h{} stands still for {} ms", number, span.count()));
    host.frozen_until = time.now_ms() + span.count();
    host.machine->clock().freeze_until(host.frozen_until);
    if (span > seconds{30} && host.wire) {  // the orchestrator hears nothing for too long
        time.after(seconds{30}, [weak = std::weak_ptr(host.wire)] {
            if (const auto wire = weak.lock()) wire->cut();
        });
    }
}

void Cloud::cut(std::size_t number) {
    trace(fmt::format("the connection of h{} is cut", number));
    if (hosts[number].wire) hosts[number].wire->cut();
}

void Cloud::silence(std::size_t number, Wire::Side to) {
    HostMachine& host = hosts[number];
    if (!host.wire) return;
    trace(fmt::format("h{} and the orchestrator: nothing comes {} any more", number,
                      to == Wire::agent ? "to the agent" : "to the orchestrator"));
    host.wire->silence(to);
    time.after(milliseconds{random.between(5'000, 60'000)}, [weak = std::weak_ptr(host.wire)] {
        if (const auto wire = weak.lock()) wire->cut();
    });
}

void Cloud::partition(std::size_t number, bool away) {
    hosts[number].reachable = !away;
    if (away) cut(number);
}

void Cloud::stop_faults() {
    for (HostMachine& host : hosts) {
        host.reachable = true;
        host.machine->faults = {};
        host.machine->one = {};
        host.machine->fill_state_disk(false);
        host.machine->unmounted.clear();
        host.machine->pools_full = false;
        if (host.down || host.machine->agent() == nullptr) {
            host.down = false;
            host.machine->start_agent();
        }
    }
    disk.space.below_reserve = false;
    disk.syncs_left = 0;
    unstall();
    wire_rules = {};
    move_fault = {};
    deaf.clear();
    start_orchestrator();
}

// ---- what the orchestrator sends must follow from what is durable

std::string Cloud::durable_object(Kind kind, const Uuid& id) const {
    const Table table = kind == Kind::task ? Table::tasks : Table::objects;
    const auto row = process_->store->get(table, object_key(kind, id));
    return row ? row->value_or("") : "";
}

void Cloud::check_destroy(std::size_t number, const Destroy& destroy) {
    if (destroy.kind != DocumentKind::volume) return violate("a destroy of something that is no volume was sent");
    const auto stored = from_store_form(Kind::volume, durable_object(Kind::volume, destroy.id), kPlainCodec);
    const auto its_copy = [&](const VmPlacement& left) {
        return left.host.id == Uuid{hosts[number].machine->identity().host} && left.epoch == destroy.epoch;
    };
    // Told again, it may be of a moment before its copy was gone, though that is durable by now.
    const bool repeated = !may_destroy_.insert({number, destroy.id, destroy.epoch}).second;
    if (repeated || (stored && std::ranges::any_of(static_cast<const Volume&>(**stored).status.leftovers, its_copy)))
        return hosts[number].machine->expect_volume_destroy(VolumeId{destroy.id});
    if (!stored || !(*stored)->meta.deletion || !(*stored)->meta.deletion->final)
        return violate("a destroy was sent that follows from no durable expunge");
    const auto& volume = static_cast<const Volume&>(**stored);
    for (const auto& [id, object] : world().all(Kind::vm)) {
        const Vm& vm = static_cast<const Vm&>(*object);
        for (const auto& [name, d] : vm.spec.disks) {
            if (d.volume.id != volume.meta.id) continue;
            if (!vm.is_deleted()) return violate("a destroy was sent for a disk of the living VM " + vm.meta.name);
            const bool its_own = volume.status.attached_to.id == vm.meta.id;
            if (its_own && vm.status.placement && !vm.status.gone)
                return violate("a disk was destroyed before its VM was released");
        }
    }
    hosts[number].machine->expect_volume_destroy(VolumeId{destroy.id});
}

void Cloud::check_removal(std::size_t number, const RemoveOrder& order) {
    const auto stored = from_store_form(Kind::task, durable_object(Kind::task, order.task), kPlainCodec);
    const auto* task = stored ? static_cast<const Task*>(stored->get()) : nullptr;
    if (task == nullptr || !task->spec.removal || task->spec.target.id != order.id ||
        task->spec.removal->host.id != Uuid{hosts[number].machine->identity().host})
        return violate("a removal was ordered that follows from no durable word");
    if (order.kind == DocumentKind::volume) hosts[number].machine->expect_volume_destroy(VolumeId{order.id});
}

void Cloud::check_sent(std::size_t number, const Message& message) {
    if (const auto* desired = std::get_if<Desired>(&message)) {
        if (desired->revision > store().durable()) violate("a host was told what is not durable");
        for (const Destroy& destroy : desired->destroys) check_destroy(number, destroy);
        hosts[number].network_puts += static_cast<std::size_t>(
            std::ranges::count(desired->puts, DocumentKind::network, [](const Put& put) { return put.kind; }));
    }
    if (const auto* order = std::get_if<RemoveOrder>(&message)) check_removal(number, *order);
    if (const auto* order = std::get_if<TaskOrder>(&message)) {
        if (durable_object(Kind::task, order->id).empty()) violate("an order was sent that is not durable");
        for (std::size_t i = 0; i < hosts.size(); ++i) {
            if (i != number && hosts[i].ordered.contains(order->id)) violate("an order was given to two hosts");
        }
        if (hosts[number].ordered.insert(order->id).second) hosts[number].machine->expect_task();
    }
}

// ---- users

void Cloud::ask_core(std::function<void(Orchestrator&, Answered<Mutated>)> request, Told told) {
    if (!process_) {
        if (told) told({.result = fail(Code::unavailable, "the orchestrator is not there")});
        return;
    }
    const std::uint64_t id = ++last_asked_;
    asked_[id] = std::move(told);
    process_->clock.post([this, id, request = std::move(request)] {
        request(orchestrator(), [this, id](Result<Mutated> result) {
            auto mine = asked_.extract(id);
            if (!mine) return violate("a request was answered twice");
            eyes->answered(result);
            if (mine.mapped()) mine.mapped()({.result = std::move(result)});
        });
    });
}

namespace {
// That a success is about what was asked for, by kind and name. What an action makes may be of another kind.
bool is_about(const Mutation& asked, const Object& object) {
    if (object.kind() != asked.target.kind) return asked.verb == Verb::action;
    const std::string& name = asked.target.name;
    if (asked.verb != Verb::create) return object.meta.name == name || object.meta.id.str() == name;
    return !asked.body->contains("name") || object.meta.name == asked.body->at("name");
}
}  // namespace

void Cloud::ask(Mutation mutation, Told told) {
    const auto request = std::make_shared<const Mutation>(std::move(mutation));
    ask_core([request](Orchestrator& core, Answered<Mutated> answer) { core.mutate(*request, std::move(answer)); },
             [this, request, told = std::move(told)](const Reply& reply) {
                 if (reply.result && reply.result->object && !is_about(*request, *reply.result->object))
                     violate(fmt::format("who asked for {} {} was told of {} {}", text_of(request->target.kind),
                                         request->body ? request->body->dump() : request->target.name,
                                         text_of(reply.result->object->kind()), reply.result->object->meta.name));
                 if (told) told(reply);
             });
}

Reply Cloud::upload(const std::string& image) {
    const Principal who = admin();
    auto reply = std::make_shared<std::optional<Reply>>();
    ask_core(
        [this, who, image](Orchestrator& core, Answered<Mutated> answer) {
            const Locator name{Kind::image, "default", image};
            core.check_upload(who, name, [this, who, answer](Result<Viewed> found) {
                if (!found) return answer(fail(found.error()));
                const Uuid id = (*found).object->meta.id;
                if (!uploads.insert(id).second) return answer(fail(Code::busy, "another upload came first"));
                orchestrator().image_uploaded(who, {Kind::image, "default", id.str()},
                                              [this, id, answer](Result<Mutated> taken) {
                                                  if (!taken) uploads.erase(id);
                                                  answer(std::move(taken));
                                              });
            });
        },
        [reply](const Reply& r) { *reply = r; });
    time.run_until([&] { return reply->has_value() || !violation().empty(); }, std::chrono::minutes{2});
    return reply->value_or(Reply{});
}

Reply Cloud::ask_and_wait(Mutation mutation, milliseconds limit) {
    auto reply = std::make_shared<std::optional<Reply>>();
    ask(std::move(mutation), [reply](const Reply& r) { *reply = r; });
    time.run_until([&] { return reply->has_value() || !violation().empty(); }, limit);
    return reply->value_or(Reply{});
}

namespace {
Mutation mutation_of(Verb verb, Kind kind, const std::string& project, const std::string& name) {
    return {.who = Cloud::admin(), .verb = verb, .target = {kind, info_of(kind).cluster_wide ? "" : project, name}};
}
std::shared_ptr<const nlohmann::json> json_of(const std::string& text) {
    auto parsed = parse_json(text);
    ENSURE(parsed.has_value(), "documents of tests are JSON");
    return std::make_shared<const nlohmann::json>(std::move(*parsed));
}
}  // namespace

Mutation Cloud::create(Kind kind, const std::string& project, const std::string& document) {
    Mutation m = mutation_of(Verb::create, kind, project, "");
    m.body = json_of(document);
    return m;
}
Mutation Cloud::patch(Kind kind, const std::string& project, const std::string& name, const std::string& merge) {
    Mutation m = mutation_of(Verb::patch, kind, project, name);
    m.body = json_of(merge);
    return m;
}
Mutation Cloud::act(Kind kind, const std::string& project, const std::string& name, const std::string& action,
                    const std::string& arguments) {
    Mutation m = mutation_of(Verb::action, kind, project, name);
    m.action = action;
    if (!arguments.empty()) m.body = json_of(arguments);
    return m;
}
Mutation Cloud::remove(Kind kind, const std::string& project, const std::string& name, bool now) {
    Mutation m = mutation_of(Verb::remove, kind, project, name);
    m.now = now;
    return m;
}

std::vector<UnclaimedLine> Cloud::unclaimed(std::optional<DocumentKind> kind) {
    auto lines = std::make_shared<std::optional<std::vector<UnclaimedLine>>>();
    orchestrator().unclaimed({.who = admin(), .kind = kind}, [lines](Result<UnclaimedAnswer> answer) {
        *lines = answer ? answer->lines : std::vector<UnclaimedLine>{};
    });
    time.run_until([&] { return lines->has_value(); }, std::chrono::minutes{1});
    return lines->value_or(std::vector<UnclaimedLine>{});
}
Mutation Cloud::adopt(const std::string& host, const Uuid& id, const std::string& name) {
    return act(Kind::host, "", host, "adopt", fmt::format(R"({{"id":"{}","name":"{}"}})", id.str(), name));
}
Mutation Cloud::remove_unclaimed(const std::string& host, const Uuid& id) {
    return act(Kind::host, "", host, "remove-unclaimed", fmt::format(R"({{"id":"{}"}})", id.str()));
}

void Cloud::restore_store(const MemoryDisk& copy) {
    crash_orchestrator();
    disk.tables = copy.tables;
    eyes->forget_history();
    start_orchestrator();
}

void Cloud::bring_stray(std::size_t number, VolumeId id) {
    if (!process_ || world().find<Volume>(id) != nullptr) return;
    SimulatedMachine& machine = *hosts[number].machine;
    const auto pool = world().named(Kind::pool, {}, "main");
    if (!pool || !strays.insert(id).second) return;
    trace(fmt::format("a file {} comes to h{} from nowhere", id.str(), number));
    machine.volumes[id] = {.size = kGiB, .image = "", .pool = PoolId{pool->meta.id}};
}

// Not before a host has said what it saw.
bool Cloud::accepts_loss() {
    run_until([this] { return store().state().read_only.has_value(); });
    run_for(std::chrono::minutes{1});
    auto accepted = std::make_shared<bool>(false);
    orchestrator().accept_loss(admin(), [accepted](Result<StoreState> state) { *accepted = state.has_value(); });
    return run_until([accepted] { return *accepted; });
}

// ---- looking

std::string Cloud::violation() const {
    if (!violation_.empty()) return violation_;
    for (std::size_t i = 0; i < hosts.size(); ++i) {
        if (hosts[i].machine && !hosts[i].machine->violation().empty())
            return fmt::format("h{}: {}", i, hosts[i].machine->violation());
    }
    return "";
}

void Cloud::violate(const std::string& what) {
    trace("VIOLATION " + what);
    if (violation_.empty()) violation_ = what;
}

void Cloud::trace(const std::string& what) {
    log.push_back(fmt::format("{:>9} {}", time.now_ms(), what));
    if (log.size() > 20'000) log.erase(log.begin(), log.begin() + 5'000);
}

const Vm* Cloud::vm(const std::string& name) const {
    const auto project = world().named(Kind::project, {}, "default");
    const auto found = world().named(Kind::vm, project->meta.id, name);
    return static_cast<const Vm*>(found.get());
}
const Volume* Cloud::volume(const std::string& name) const {
    const auto project = world().named(Kind::project, {}, "default");
    const auto found = world().named(Kind::volume, project->meta.id, name);
    return static_cast<const Volume*>(found.get());
}
SimulatedMachine* Cloud::machine_of(const Vm& vm) {
    if (!vm.status.placement) return nullptr;
    for (HostMachine& host : hosts) {
        if (Uuid{host.machine->identity().host} == vm.status.placement->host.id) return host.machine.get();
    }
    return nullptr;
}
bool Cloud::is_running(const std::string& name) {
    const Vm* found = vm(name);
    SimulatedMachine* machine = found != nullptr ? machine_of(*found) : nullptr;
    return machine != nullptr && machine->is_running(VmId{found->meta.id});
}

bool Cloud::run_until(const std::function<bool()>& claim, milliseconds limit) {
    return time.run_until([&] { return !violation().empty() || (process_ && claim()); }, limit) && violation().empty();
}

void Cloud::furnish() {
    const auto must = [&](Mutation m) {
        const Reply reply = ask_and_wait(std::move(m));
        if (!reply.result) violate("furnishing: " + reply.result.error().message);
    };
    must(create(Kind::pool, "", R"({"name":"main","spec":{"path":"/pools/main","default":true}})"));
    must(create(Kind::image, "default", R"({"name":"debian","spec":{"url":"http://images/debian"}})"));
    must(create(Kind::network, "default", R"({"name":"blue","spec":{"cidr":"10.90.1.0/24"}})"));
    must(create(Kind::placementgroup, "default", R"({"name":"apart"})"));
    run_until(
        [&] {
            const auto& pools = world().all(Kind::pool);
            const auto& images = world().all(Kind::image);
            return pools.size() == 1 && images.size() == 1 &&
                   static_cast<const Image&>(*images.begin()->second).status.phase == ImagePhase::ready &&
                   world().hosts_told(pools.begin()->first).size() == hosts.size() &&
                   store().durable() >= orchestrator().pipeline().head();
        },
        std::chrono::minutes{5});
}

}  // namespace axle::test
