#include "orchestrator/core/orchestrator.hpp"

#include <algorithm>

#include "common/base/digest.hpp"
#include "common/base/log.hpp"
#include "orchestrator/core/decisions.hpp"
#include "orchestrator/core/on_hosts.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

constexpr std::size_t kEndedTasksInMemory = 1000;
constexpr std::string_view kFounded = "founded";

void make_first_objects(Transaction& tx, const std::string& admin_secret, const std::string& pool_path) {
    auto project = std::make_unique<Project>();
    project->meta.name = "default";
    project->spec.description = "made at first start";
    tx.create(std::move(project));
    auto token = std::make_unique<Token>();
    token->meta.name = "admin";
    token->spec = {.role = Role::admin, .description = "made at first start"};
    token->status.hash = sha256_hex(admin_secret);
    tx.create(std::move(token));
    if (pool_path.empty()) return;
    auto pool = std::make_unique<Pool>();
    pool->meta.name = "main";
    pool->spec = {.path = pool_path, .is_default = true};
    tx.create(std::move(pool));
}

}  // namespace

Orchestrator::Orchestrator(Seams seams)
    : core_(seams.core),
      pipeline_(seams.store, seams.clock, seams.random, std::move(seams.secrets)),
      image_source_(std::move(seams.image_source)),
      commands_(
          pipeline_, [this](const Vm& vm) { return foresee(vm); }, book_),
      links_(pipeline_, seams.core, {seams.store.state().cluster.str(), image_source_, std::move(seams.seal_key)},
             link_events()),
      controllers_(pipeline_, seams.core, links_, seams.importer),
      housekeeper_(pipeline_, seams.retention),
      access_(std::make_shared<const AccessSnapshot>()) {}
Orchestrator::~Orchestrator() = default;

LinkEvents Orchestrator::link_events() {
    return {
        .hello = [this](const Hello& hello, const LinkPeer& peer) -> Result<> {
            TRY_VOID(check_hello(hello));
            if (!peer.local && pipeline_.world().find<Host>(hello.host) == nullptr)
                return fail(unknown_host(hello.host));
            controllers_.host_said_hello(hello, peer);
            return {};
        },
        .twin = [this](const Uuid& host, const std::string& twin) { note_twin(host, twin); },
        .lost =
            [this](const Uuid& host) {
                book_.left(host);
                controllers_.host_lost(host);
                close_streams_of(host);
            },
        .status =
            [this](const Uuid& host, const Status& status) {
                if (status.gone) book_.gone(host, status.kind, status.id);
                controllers_.host_status(host, status);
            },
        .unclaimed = [this](const Uuid& host, UnclaimedReport report) { book_.told(host, std::move(report)); },
        .facts = [this](const Uuid& host, const HostFacts& facts) { controllers_.host_facts(host, facts); },
        .task = [this](const Uuid& host, const TaskNews& news) { controllers_.host_task(host, news); },
        .stream_data =
            [this](const Uuid& host, const StreamData& data) {
                if (const auto s = streams_.find(data.stream); s != streams_.end() && s->second.host == host)
                    s->second.handlers.on_data(data.bytes);
            },
        .stream_closed =
            [this](const Uuid& host, const StreamClose& end) {
                const auto found = streams_.find(end.stream);
                if (found == streams_.end() || found->second.host != host) return;
                const auto closed = std::move(found->second.handlers.on_closed);
                streams_.erase(found);
                closed(end.error);
            },
    };
}

// Each start of an orchestrator has an incarnation of its own, unless two start from copies of one store.
bool Orchestrator::is_of_another_run(const Hello& hello) const {
    const StoreState& state = pipeline_.store_state();
    if (hello.run_id.empty() || hello.highest_incarnation != state.incarnation || hello.run_id == state.run_id)
        return false;
    const std::string seal = links_.run_seal(hello.highest_incarnation, hello.run_id);
    return seal.empty() || equal_in_constant_time(seal, hello.run_seal);
}

// A host of another cluster gets nothing; one that has seen more than this store turns it read-only (RELIABILITY 5.5).
Result<> Orchestrator::check_hello(const Hello& hello) {
    const StoreState& state = pipeline_.store_state();
    if (!hello.cluster.empty() && hello.cluster != state.cluster.str())
        return fail(Code::conflict, "host {} belongs to cluster {}, this is {}", hello.facts.hostname, hello.cluster,
                    state.cluster.str());
    const std::string seal = links_.seal(hello.highest_incarnation, hello.highest_revision);
    const bool seen_more = hello.highest_revision > pipeline_.head() || hello.highest_incarnation > state.incarnation;
    const bool sealed = seal.empty() || equal_in_constant_time(seal, hello.seal);
    // Nobody's word but our own makes this store doubtful.
    if (!sealed && seen_more)
        return fail(error(Code::forbidden,
                          "host {} claims to have seen revision {} of incarnation {}, and can't show that this cluster "
                          "told it so",
                          hello.facts.hostname, hello.highest_revision, hello.highest_incarnation)
                        .with_hint("its state was damaged or made up: set the host up anew"));
    if (sealed) {
        seen_by_hosts_.revision = std::max(seen_by_hosts_.revision, hello.highest_revision);
        seen_by_hosts_.incarnation = std::max(seen_by_hosts_.incarnation, hello.highest_incarnation);
    }
    if (state.read_only) return fail(Code::unavailable, "the store is read-only: {}", state.read_only->why);
    if (is_of_another_run(hello)) {
        pipeline_.turn_read_only(
            "other-run",
            fmt::format("host {} has seen incarnation {} of this cluster under run {}, this one is "
                        "run {}: a second copy of the orchestrator's store is or was in use",
                        hello.facts.hostname, hello.highest_incarnation, hello.run_id, state.run_id),
            {hello.highest_revision, hello.highest_incarnation});
        return fail(Code::unavailable, "host {} has seen another run of this incarnation", hello.facts.hostname);
    }
    if (seen_more) {
        pipeline_.turn_read_only("lost-tail",
                                 fmt::format("host {} has seen revision {} of incarnation {}, the store is at {} of {}",
                                             hello.facts.hostname, hello.highest_revision, hello.highest_incarnation,
                                             pipeline_.head(), state.incarnation),
                                 {hello.highest_revision, hello.highest_incarnation});
        return fail(Code::unavailable, "host {} has seen more than the store holds", hello.facts.hostname);
    }
    return {};
}

void Orchestrator::note_twin(const Uuid& id, const std::string& twin) {
    const Host* host = pipeline_.world().find<Host>(id);
    if (host == nullptr || pipeline_.store_state().read_only) return;
    if (twin.empty() && find_condition(host->status.conditions, "ConnectedTwice") == nullptr) return;
    Transaction tx = pipeline_.begin();
    tx.update_status<Host>(id, [&](Host& h) {
        if (twin.empty()) {
            drop_condition(h.status.conditions, "ConnectedTwice");
            return;
        }
        set_condition(h.status.conditions,
                      {.type = "ConnectedTwice",
                       .reason = "SameHostId",
                       .message = fmt::format("two agents connect as this host, from {}: a disk was copied or restored "
                                              "beside its original. Stop one, and give it a new life: remove "
                                              "/var/lib/axle/agent there and join it anew",
                                              twin),
                       .since = pipeline_.now_text()});
    });
    pipeline_.commit(tx);
}

Result<> Orchestrator::load(const Spread& spread) {
    TRY_VOID(pipeline_.load(spread));
    TRY_VOID(commands_.load());
    TRY_VOID(housekeeper_.load());
    TRY_VOID(controllers_.load());
    TRY(founded, pipeline_.store().get(Table::meta, kFounded));
    founded_ = founded.has_value();
    publish_access();
    pipeline_.on_committed([this](const ChangeEvent& event) { changed(event); });
    return {};
}

void Orchestrator::bootstrap(const std::string& admin_secret, const std::string& pool_path) {
    if (founded_ || pipeline_.store_state().read_only) return;
    Transaction tx = pipeline_.begin();
    if (pipeline_.world().names_of(Kind::project).empty() && pipeline_.world().names_of(Kind::token).empty())
        make_first_objects(tx, admin_secret, pool_path);
    tx.write({Table::meta, std::string(kFounded), "1"});
    pipeline_.commit(tx);
    founded_ = true;
}

void Orchestrator::start() {
    // Nobody is connected yet, whatever was so when the last run ended.
    if (!pipeline_.store_state().read_only) {
        Transaction tx = pipeline_.begin();
        std::vector<Uuid> hosts;
        for (const auto& [id, host] : pipeline_.world().all(Kind::host)) hosts.push_back(id);
        for (const Uuid& id : hosts) {
            if (pipeline_.world().find<Host>(id)->status.connected)
                tx.update_status<Host>(id, [](Host& h) { h.status.connected = false; });
        }
        pipeline_.commit(tx);
    }
    controllers_.start();
    housekeeper_.start();
}

void Orchestrator::changed(const ChangeEvent& event) {
    links_.changed(event);
    controllers_.changed(event);
    if (event.kind == Kind::token) publish_access();
    if (event.kind != Kind::task || !event.object) return;
    const auto& task = static_cast<const Task&>(*event.object);
    if (!is_terminal(task.status.phase)) return;
    ended_tasks_.push_back(event.object);
    ended_by_id_[task.meta.id] = event.object;
    if (ended_tasks_.size() > kEndedTasksInMemory) {
        ended_by_id_.erase(ended_tasks_.front()->meta.id);
        ended_tasks_.pop_front();
    }
    // Out of the world, not out of the store: after this turn, for whoever still looks at it.
    core_.post([this, id = task.meta.id] { pipeline_.mutable_world().erase(Kind::task, id); });
    answer_waiters(task.meta.id, event.object);
}

std::shared_ptr<const AccessSnapshot> Orchestrator::access() const {
    return access_.load();
}
void Orchestrator::publish_access() {
    access_.store(make_access_snapshot(pipeline_.world()));
}

// With what is shown and never stored: progress of an import, and of a move; what hosts tell of a pool; a host's load.
ObjectPtr Orchestrator::shown(const ObjectPtr& object) const {
    if (object->kind() == Kind::host) {
        const auto load = links_.load_of(object->meta.id);
        if (!load) return object;
        auto view = std::make_shared<Host>(static_cast<const Host&>(*object));
        view->status.load = load;
        return view;
    }
    if (object->kind() == Kind::pool) return pool_as_told(pipeline_.world(), static_cast<const Pool&>(*object));
    if (object->kind() != Kind::task) return object;
    const auto& task = static_cast<const Task&>(*object);
    if (is_terminal(task.status.phase)) return object;
    if (task.spec.goal == TaskGoal::vm_migrate) {
        const MoveReport* move = controllers_.move_of(task.spec.target.id);
        if (move == nullptr) return object;
        auto view = std::make_shared<Task>(task);
        view->status.bytes = move->done;
        if (move->total > 0) view->status.percent = std::min<std::int64_t>(99, move->done * 100 / move->total);
        return view;
    }
    if (task.spec.goal != TaskGoal::image_import) return object;
    const auto* work = controllers_.import_of(task.spec.target.id);
    if (work == nullptr) return object;
    auto view = std::make_shared<Task>(task);
    view->status.percent = work->percent;
    view->status.log = work->log;
    if (work->runs) {
        view->status.bytes = work->progress.done;
        view->status.step = text_of(work->progress.step);
    }
    return view;
}

// From memory, else from the store: a client that waits over a restart of ours must learn how its task ended.
ObjectPtr Orchestrator::ended_task(const Uuid& id) const {
    if (const auto ended = ended_by_id_.find(id); ended != ended_by_id_.end()) return ended->second;
    const auto stored = pipeline_.stored(Table::tasks, object_key(Kind::task, id));
    if (!stored || !*stored) return nullptr;
    auto task = from_store_form(Kind::task, **stored, pipeline_.secrets());
    if (task) return ObjectPtr(std::move(*task));
    log::error(task.error().message, {{"TASK", id.str()}});
    return nullptr;
}

Result<ObjectPtr> Orchestrator::find(const Principal& who, const Locator& what) const {
    const World& world = pipeline_.world();
    Ref project;
    if (!info_of(what.kind).cluster_wide) {
        TRY(found, find_project(world, who, what.project.empty() ? "default" : what.project));
        project = found;
    }
    const auto id = Uuid::parse(what.name);
    ObjectPtr object = id ? world.get(what.kind, *id) : world.named(what.kind, project.id, what.name);
    if (!object && what.kind == Kind::task && id) object = ended_task(*id);
    const bool elsewhere = object && what.kind != Kind::task && object->meta.project.id != project.id;
    const Uuid scope = object ? (what.kind == Kind::project ? object->meta.id : object->meta.project.id) : Uuid{};
    if (!object || elsewhere || !may_read(who, what.kind, scope))
        return fail(error(Code::not_found, "no {} \"{}\"{}", text_of(what.kind), what.name,
                          project ? fmt::format(" in project \"{}\"", project.name) : "")
                        .with_hint(fmt::format("axle {} list shows what is there", text_of(what.kind))));
    return shown(object);
}

void Orchestrator::get(Principal who, Locator what, Answered<Viewed> answer) {
    auto found = find(who, what);
    if (!found) return answer_durably<Viewed>(std::move(answer), fail(std::move(found.error())));
    answer_durably<Viewed>(std::move(answer), Viewed{std::move(*found), pipeline_.head()});
}

void Orchestrator::list(ListQuery query, Answered<Listing> answer) {
    const World& world = pipeline_.world();
    Listing page{.revision = pipeline_.head()};
    Uuid project{};
    if (!query.project.empty() && !info_of(query.kind).cluster_wide) {
        const auto found = find_project(world, query.who, query.project);
        if (!found) return answer_durably<Listing>(std::move(answer), fail(found.error()));
        project = found->id;
    }
    // In the order of ids: stable while things come and go, and names may repeat among the deleted.
    std::vector<ObjectPtr> all;
    const auto take = [&](const ObjectPtr& object) {
        if (!object || (object->is_deleted() && !query.with_deleted)) return;
        if (project && object->meta.project.id != project) return;
        const Uuid scope = query.kind == Kind::project ? object->meta.id : object->meta.project.id;
        if (!may_read(query.who, query.kind, scope)) return;
        all.push_back(object);
    };
    if (query.with_deleted || query.kind == Kind::task) {
        for (const auto& [id, object] : world.all(query.kind)) take(object);
        if (query.kind == Kind::task) {
            for (const ObjectPtr& object : ended_tasks_) {
                if (!world.get(Kind::task, object->meta.id)) take(object);
            }
        }
        std::ranges::sort(all, {}, [](const ObjectPtr& o) { return std::pair(o->meta.name, o->meta.id); });
        std::erase_if(all, [&](const ObjectPtr& o) {
            return !query.after.empty() && o->meta.name + "/" + o->meta.id.str() <= query.after;
        });
        for (const ObjectPtr& object : all) {
            const ObjectPtr view = shown(object);
            if (query.matches && !query.matches(*view)) continue;
            if (page.objects.size() == query.limit) {
                page.next = page.objects.back()->meta.name + "/" + page.objects.back()->meta.id.str();
                break;
            }
            page.objects.push_back(view);
        }
        return answer_durably<Listing>(std::move(answer), std::move(page));
    }
    const auto& names = world.names_of(query.kind);
    const auto slash = query.after.find('/');
    World::NameKey from{project, ""};
    if (slash != std::string::npos)
        from = {Uuid::parse(query.after.substr(0, slash)).value_or(Uuid{}), query.after.substr(slash + 1)};
    for (auto at = slash == std::string::npos ? names.lower_bound(from) : names.upper_bound(from); at != names.end();
         ++at) {
        if (project && at->first.project != project) break;
        const ObjectPtr object = world.get(query.kind, at->second);
        const Uuid scope = query.kind == Kind::project ? object->meta.id : object->meta.project.id;
        if (!may_read(query.who, query.kind, scope)) continue;
        const ObjectPtr view = shown(object);
        if (query.matches && !query.matches(*view)) continue;
        if (page.objects.size() == query.limit) {
            page.next = page.objects.back()->meta.project.id.str() + "/" + page.objects.back()->meta.name;
            break;
        }
        page.objects.push_back(view);
    }
    answer_durably<Listing>(std::move(answer), std::move(page));
}

void Orchestrator::wait_task(Principal who, Uuid task, milliseconds at_most, Answered<ObjectPtr> answer) {
    auto found = find(who, {Kind::task, "", task.str()});
    if (!found) return answer_durably<ObjectPtr>(std::move(answer), fail(std::move(found.error())));
    if (is_terminal(static_cast<const Task&>(**found).status.phase))
        return answer_durably<ObjectPtr>(std::move(answer), std::move(*found));
    const std::uint64_t id = ++last_waiter_;
    const TimerId timer = pipeline_.clock().after(at_most, [this, id] {
        auto waiter = waiters_.extract(id);
        if (!waiter) return;
        auto now = pipeline_.world().get(Kind::task, waiter.mapped().task);
        if (!now) now = ended_task(waiter.mapped().task);
        answer_durably<ObjectPtr>(std::move(waiter.mapped().answer),
                                  now ? Result<ObjectPtr>(shown(now)) : fail(Code::not_found, "the task is gone"));
    });
    waiters_[id] = {task, timer, std::move(answer)};
}

void Orchestrator::answer_waiters(const Uuid& task, const ObjectPtr& object) {
    for (auto w = waiters_.begin(); w != waiters_.end();) {
        if (w->second.task != task) {
            ++w;
            continue;
        }
        pipeline_.clock().cancel(w->second.timer);
        // The commit that ended it is being made: its revision is in the head when this runs.
        core_.post([this, answer = std::move(w->second.answer), object]() mutable {
            answer_durably<ObjectPtr>(std::move(answer), object);
        });
        w = waiters_.erase(w);
    }
}

void Orchestrator::explain(Principal who, Locator what, Answered<Decision> answer) {
    auto found = find(who, what);
    if (!found) return answer_durably<Decision>(std::move(answer), fail(std::move(found.error())));
    const Vm& vm = static_cast<const Vm&>(**found);
    if (!vm.status.placement) return answer_durably<Decision>(std::move(answer), foresee(vm));
    pipeline_.when_durable([this, id = vm.meta.id, at = *vm.status.placement, answer = std::move(answer)] {
        const auto kept = decision_of(pipeline_.store(), id, at.epoch);
        answer(kept ? *kept : Decision{.host = at.host.name, .summary = "it is on host " + at.host.name});
    });
}

Decision Orchestrator::foresee(const Vm& vm) {
    const auto request = controllers_.request_for(vm);
    Decision now = request ? controllers_.decide_for(*request) : Decision{.summary = request.error().message};
    now.at = pipeline_.now_text();
    return now;
}

Result<SubscriptionId> Orchestrator::subscribe(Principal who, Revision since, std::shared_ptr<ChangeSink> sink) {
    struct Sieve final : ChangeSink {
        Principal who;
        std::shared_ptr<ChangeSink> next;
        Sieve(Principal w, std::shared_ptr<ChangeSink> n) : who(std::move(w)), next(std::move(n)) {}
        void changed(const ChangeEvent& event) override {
            const Object& subject = event.object ? *event.object : *event.before;
            if (may_read(who, event.kind, event.kind == Kind::project ? subject.meta.id : event.project))
                next->changed(event);
        }
        void reached(Revision revision) override { next->reached(revision); }
    };
    return pipeline_.subscribe(since, std::make_shared<Sieve>(std::move(who), std::move(sink)));
}

}  // namespace axle
