#include "orchestrator/core/commands.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "common/base/digest.hpp"
#include "orchestrator/core/actions.hpp"
#include "orchestrator/core/changes.hpp"
#include "orchestrator/core/ownership.hpp"
#include "orchestrator/core/planted.hpp"
#include "orchestrator/core/tasks.hpp"

namespace axle {
namespace {

constexpr std::size_t kRememberedMax = 100'000;
constexpr std::int64_t kRememberFor = INT64_C(24) * 3'600'000;

const char* verb_text(const Mutation& m) {
    switch (m.verb) {
        case Verb::create:
            return "create";
        case Verb::replace:
            return "replace";
        case Verb::patch:
            return "change";
        case Verb::remove:
            return "delete";
        case Verb::action:
            return m.action.c_str();
        case Verb::apply:
            return "apply";
    }
    return "change";
}

// Who, method and path, and the key (DESIGN 5). The name of what is made comes from the body: it is no part of it.
std::string idempotency_id(const Mutation& m) {
    const bool in_body = m.verb == Verb::create || m.verb == Verb::apply;
    return sha256_hex(fmt::format(
        "{}\n{}\n{}\n{}\n{}\n{}", m.who.name, verb_text(m), m.verb == Verb::apply ? "" : text_of(m.target.kind),
        m.verb == Verb::apply ? "" : m.target.project, in_body ? "" : m.target.name, m.idempotency_key));
}

Error name_taken(const Object& other) {
    Error e = error(Code::conflict, "{} \"{}\" is there already", text_of(other.kind()), other.meta.name)
                  .with_reason("already-exists");
    e.fields.push_back({"/name", "conflict", "is taken"});
    return e;
}

// Fields that a PUT doesn't repeat although they can't change or are never shown: they stay.
void keep_unrepeated(const Type& type, const nlohmann::json* document, void* now, const void* before) {
    for (const Field& f : type.fields) {
        const bool named = document != nullptr && document->is_object() && document->contains(f.name);
        const bool keeps = f.options.change == Change::never || f.options.sensitive || f.options.internal;
        if (!named && keeps) f.type->assign(field_of(now, f), field_of(before, f));
    }
}

bool same_spec(const Object& a, const Object& b) {
    const auto form = [](const Object& o) {
        std::string text;
        const SecretCodec plain{[](std::string_view s, std::string_view) { return std::string(s); }, {}};
        write_value(*info_of(o.kind()).spec, o.spec_data(), Audience::store, &plain, text);
        return text;
    };
    return form(a) == form(b);
}

std::vector<FieldChange> plan_of(const Object* before, const Object& after) {
    const KindInfo& info = info_of(after.kind());
    auto plan = meta_changes(before, after);
    for (auto& c : diff_values(*info.spec, before != nullptr ? before->spec_data() : info.spec->defaults(),
                               after.spec_data(), "/spec"))
        plan.push_back(std::move(c));
    return plan;
}

}  // namespace

Result<> Commands::load() {
    const std::int64_t oldest = pipeline_.cluster_time() - kRememberFor;
    const auto scanned =
        pipeline_.store().scan(Table::idempotency, "", "", false, [&](std::string_view key, std::string_view value) {
            const auto record = parse_json(value);
            const std::int64_t at = record && record->is_object() ? record->value("at", INT64_C(0)) : 0;
            by_age_.emplace_back(at, key);
            if (at < oldest || !record || !record->is_object()) return true;
            const KindInfo* kind = find_kind(record->value("kind", ""));
            if (kind == nullptr) return true;
            Remembered r{.body_hash = record->value("hash", ""),
                         .target = {kind->kind, "", record->value("id", "")},
                         .at = at,
                         .had_secret = record->value("secret", false),
                         .created = record->value("created", false)};
            r.task = Uuid::parse(record->value("task", "")).value_or(Uuid{});
            remembered_.emplace(key, std::move(r));
            return true;
        });
    std::ranges::sort(by_age_);
    return scanned;
}

// Each new one makes room for itself, and a little more: so what is kept is bounded by age and by number.
void Commands::forget_old(Transaction& tx) {
    const std::int64_t oldest = pipeline_.cluster_time() - kRememberFor;
    for (int i = 0; i < 4 && !by_age_.empty(); ++i) {
        const auto [at, key] = by_age_.front();
        if (at >= oldest && by_age_.size() < kRememberedMax) return;
        by_age_.pop_front();
        const auto found = remembered_.find(key);
        if (found != remembered_.end() && found->second.at != at) continue;  // it was used again since
        tx.write({Table::idempotency, key, std::nullopt});
        if (found != remembered_.end()) remembered_.erase(found);
    }
}

Result<> Commands::check_writable(const Mutation& m) const {
    TRY_VOID(pipeline_.check_writable());
    const bool frees =
        m.verb == Verb::remove || (m.verb == Verb::action && (m.action == "stop" || m.action == "cancel"));
    if (!frees && pipeline_.store().space().below_reserve)
        return fail(error(Code::no_space,
                          "the orchestrator's disk is full ({} free): only delete, stop and cancel are taken",
                          format_bytes(pipeline_.store().space().free_bytes))
                        .with_hint("free some space under /var/lib/axle"));
    return {};
}

void Commands::mutate(Mutation m, Answered<Mutated> answer) {
    // Answered when the transaction is over: whoever is told at once may ask the next thing at once.
    Result<Mutated> result = perform(m);
    pipeline_.when_durable(
        [answer = std::move(answer), result = std::move(result)]() mutable { answer(std::move(result)); });
}

Result<Mutated> Commands::perform(const Mutation& m) {
    TRY(again, replay(m));  // first: what was done is answered, also where nothing can be done any more
    if (again) return std::move(*again);
    TRY_VOID(check_writable(m));
    Transaction tx = pipeline_.begin();
    TRY(done, run(tx, m));
    Result<Mutated> result = std::move(done);
    if (tx.changes() > Transaction::kOperationsMax)
        return fail(error(Code::conflict, "to {} {} {} would change {} objects at once, at most {} are possible",
                          verb_text(m), text_of(m.target.kind), m.target.name, tx.changes(),
                          Transaction::kOperationsMax)
                        .with_hint("delete some of what belongs to it first")
                        .with_reason("too-many-changes"));
    if (!m.dry_run && result->changed) {
        audit(tx, m, *result);
        remember(tx, m, *result);
        const Key key{result->object->kind(), result->object->meta.id};
        pipeline_.commit(tx);
        if (const ObjectPtr now = pipeline_.world().get(key.kind, key.id)) result->object = now;
    }
    return result;
}

Result<Ref> Commands::project_of(const Mutation& m) const {
    if (info_of(m.target.kind).cluster_wide) return Ref{};
    return find_project(pipeline_.world(), m.who, m.target.project.empty() ? "default" : m.target.project);
}

Result<ObjectPtr> Commands::target_of(const Mutation& m, const Ref& project) const {
    const World& world = pipeline_.world();
    const auto id = Uuid::parse(m.target.name);
    ObjectPtr found = id ? world.get(m.target.kind, *id) : world.named(m.target.kind, project.id, m.target.name);
    if (found && found->meta.project.id != project.id && m.target.kind != Kind::task) found = nullptr;
    if (found) return found;
    if (m.target.kind == Kind::task && id) {
        TRY(ended, still_known(Kind::task, *id));
        if (ended && may_read(m.who, Kind::task, ended->meta.project.id))
            return fail(ended_already(static_cast<const Task&>(*ended)));
    }
    return fail(error(Code::not_found, "no {} \"{}\"{}", text_of(m.target.kind), m.target.name,
                      project ? fmt::format(" in project \"{}\"", project.name) : "")
                    .with_hint(fmt::format("axle {0} list shows what is there{1}", text_of(m.target.kind),
                                           info_of(m.target.kind).soft_delete
                                               ? fmt::format(", axle {} list --deleted -o wide what was deleted: that "
                                                             "is named by its id",
                                                             text_of(m.target.kind))
                                               : "")));
}

Result<Mutated> Commands::run(Transaction& tx, const Mutation& m) {
    TRY(project, project_of(m));
    if (m.verb == Verb::create || m.verb == Verb::apply) {
        if (!may_change(m.who, m.target.kind, project.id)) return fail(forbidden(m.who, verb_text(m), m.target.kind));
        if (m.target.kind == Kind::task || (m.target.kind == Kind::host && m.verb == Verb::create))
            return fail(Code::invalid, "a {} is not created by hand", text_of(m.target.kind));
        return m.verb == Verb::create ? create(tx, m, project) : apply(tx, m, project);
    }
    TRY(object, target_of(m, project));
    const Uuid scope = m.target.kind == Kind::task ? object->meta.project.id : project.id;
    if (!may_change(m.who, m.target.kind, scope)) return fail(forbidden(m.who, verb_text(m), m.target.kind));
    if (m.if_match && *m.if_match != object->meta.revision)
        return fail(error(Code::precondition, "{} {} is at revision {}, not {}", text_of(m.target.kind),
                          object->meta.name, object->meta.revision, *m.if_match)
                        .with_hint("read it again and repeat the change"));
    if (m.verb == Verb::remove) return remove_object(tx, m, object);
    if (m.verb == Verb::action && m.target.kind == Kind::host && m.action == "adopt")
        return adopt_unclaimed(tx, m, static_cast<const Host&>(*object), book_);
    if (m.verb == Verb::action && m.target.kind == Kind::host && m.action == "remove-unclaimed")
        return remove_unclaimed(tx, m, static_cast<const Host&>(*object), book_);
    if (m.verb == Verb::action) return act_on(tx, m, object);
    if (object->is_deleted())
        return fail(error(Code::conflict, "{} {} is deleted", text_of(m.target.kind), object->meta.name)
                        .with_hint("restore it first"));
    return change(tx, m, object);
}

Result<Mutated> Commands::create(Transaction& tx, const Mutation& m, const Ref& project) {
    const Usage used = tx.world().used_by_project(project.id);
    auto object = info_of(m.target.kind).make();
    object->meta.id = Uuid::make_v7(pipeline_.wall(), pipeline_.random());
    object->meta.project = project;
    TRY_VOID(read_document(m, *object, false));
    if (const auto other = tx.world().named(m.target.kind, project.id, object->meta.name))
        return fail(name_taken(*other));
    if (m.verb == Verb::apply) {
        object->meta.applied[m.apply_set] = owned_fields(*m.body, *object, nullptr, {});
        object->meta.created_by_set = m.apply_set;
    }
    Mutated done{.created = true};
    give_secret(*object, done);
    Admission admission{.tx = tx, .by_administrator = m.who.is_administrator()};
    TRY_VOID(admit(admission, *object, nullptr));
    if (!admission.mistakes.empty()) return fail(fields_error(std::move(admission.mistakes)));
    done.plan = plan_of(nullptr, *object);
    const Key key{object->kind(), object->meta.id};
    tx.create(std::move(object));
    if (project.id) TRY_VOID(check_limits(tx, project.id, used));
    const ObjectPtr made = tx.world().get(key.kind, key.id);
    done.task = task_for_change(tx, m.who.name, *made, nullptr);
    done.object = made;
    if (m.dry_run && key.kind == Kind::vm) done.placement = foresee_(static_cast<const Vm&>(*made));
    return done;
}

// Tokens get a secret, which only the answer tells: kept is its hash.
void Commands::give_secret(Object& object, Mutated& done) {
    if (object.kind() != Kind::token && object.kind() != Kind::jointoken) return;
    done.secret = object.kind() == Kind::token ? "axle_" : "axlejoin_";
    for (int i = 0; i < 4; ++i) done.secret += fmt::format("{:016x}", pipeline_.random().next());
    const std::int64_t now = pipeline_.wall().ms;
    if (object.kind() == Kind::token) {
        auto& token = static_cast<Token&>(object);
        token.status.hash = sha256_hex(done.secret);
        token.status.expires = token.spec.lifetime > 0 ? now + token.spec.lifetime : 0;
        return;
    }
    auto& token = static_cast<JoinToken&>(object);
    token.status = {.hash = sha256_hex(done.secret), .expires = now + token.spec.lifetime, .left = token.spec.uses};
}

Result<Mutated> Commands::change(Transaction& tx, const Mutation& m, const ObjectPtr& before) {
    if (m.target.kind == Kind::task || m.target.kind == Kind::token || m.target.kind == Kind::jointoken)
        return fail(Code::invalid, "a {} can't be changed", text_of(m.target.kind));
    std::unique_ptr<Object> after = before->clone();
    if (m.verb == Verb::patch) {
        TRY_VOID(read_document(m, *after, true));
    } else {
        const KindInfo& info = info_of(m.target.kind);
        info.spec->assign(after->spec_data(), info.spec->defaults());
        after->meta.labels.clear();
        after->meta.annotations.clear();
        TRY_VOID(read_document(m, *after, false));
        if (after->meta.name != before->meta.name)
            return fail(fields_error(
                {{"/name", "unchangeable", fmt::format("names don't change; it is \"{}\"", before->meta.name)}}));
        const auto spec = m.body->find("spec");
        keep_unrepeated(*info.spec, spec == m.body->end() ? nullptr : &*spec, after->spec_data(), before->spec_data());
    }
    return finish_change(tx, m, before, std::move(after));
}

Result<Mutated> Commands::finish_change(Transaction& tx, const Mutation& m, const ObjectPtr& before,
                                        std::unique_ptr<Object> after) {
    const Usage used = tx.world().used_by_project(before->meta.project.id);
    Admission admission{.tx = tx};
    TRY_VOID(admit(admission, *after, before.get()));
    if (!admission.mistakes.empty()) return fail(fields_error(std::move(admission.mistakes)));
    Mutated done{.object = before, .plan = plan_of(before.get(), *after)};
    const bool other_spec = !same_spec(*before, *after);
    const bool other_meta = after->meta.labels != before->meta.labels ||
                            after->meta.annotations != before->meta.annotations ||
                            after->meta.applied != before->meta.applied;
    if (done.plan.empty() && !other_spec && !other_meta) {
        done.changed = false;
        return done;
    }
    if (other_spec) ++after->meta.generation;
    const Key key{after->kind(), after->meta.id};
    tx.replace(std::move(after), true);
    if (before->meta.project.id) TRY_VOID(check_limits(tx, before->meta.project.id, used));
    const ObjectPtr now = tx.world().get(key.kind, key.id);
    done.task = task_for_change(tx, m.who.name, *now, before.get());
    done.object = now;
    return done;
}

Result<Mutated> Commands::apply(Transaction& tx, const Mutation& m, const Ref& project) {
    const ObjectPtr before = tx.world().named(m.target.kind, project.id, m.target.name);
    if (!before) return create(tx, m, project);
    std::unique_ptr<Object> after = before->clone();
    const std::vector<std::string> named = fields_named(*m.body);
    nlohmann::json patch = *m.body;
    const auto mine = before->meta.applied.find(m.apply_set);
    const auto owned = mine == before->meta.applied.end() ? std::vector<std::string>{} : mine->second;
    unset_unnamed(patch, info_of(m.target.kind), owned);
    Mutation merge = m;
    merge.body = std::make_shared<const nlohmann::json>(std::move(patch));
    TRY_VOID(read_document(merge, *after, true));
    for (const FieldChange& change : plan_of(before.get(), *after)) {
        for (const auto& [set, fields] : before->meta.applied) {
            if (set == m.apply_set || m.force || std::ranges::find(fields, change.pointer) == fields.end()) continue;
            Error e = error(Code::conflict, "{} of {} {} was set by apply set \"{}\"", dotted(change.pointer),
                            text_of(m.target.kind), before->meta.name, set);
            e.fields.push_back({change.pointer, "conflict", fmt::format("is owned by set \"{}\"", set)});
            return fail(std::move(e).with_hint("--force takes the field over"));
        }
    }
    for (auto& [set, fields] : after->meta.applied) {
        if (set != m.apply_set)
            std::erase_if(fields, [&](const std::string& f) { return std::ranges::find(named, f) != named.end(); });
    }
    after->meta.applied[m.apply_set] = owned_fields(*m.body, *after, before.get(), owned);
    return finish_change(tx, m, before, std::move(after));
}

Result<std::optional<Mutated>> Commands::replay(const Mutation& m) const {
    if (m.idempotency_key.empty()) return std::optional<Mutated>{};
    auto found = remembered_.find(idempotency_id(m));
    if (found == remembered_.end()) return std::optional<Mutated>{};
    if (planted_in_core().mix_up_replies) found = remembered_.begin();
    if (found->second.body_hash != m.body_hash)
        return fail(error(Code::conflict, "this Idempotency-Key came before with another body")
                        .with_hint("a new request needs a new key")
                        .with_reason("idempotency-key-reused"));
    const auto id = Uuid::parse(found->second.target.name);
    TRY(object, id ? still_known(found->second.target.kind, *id) : Result<ObjectPtr>(nullptr));
    const bool created = m.verb == Verb::create || found->second.created;
    Mutated again{.object = object, .created = created, .task = found->second.task, .replayed = true};
    if (!again.object)
        return fail(error(Code::conflict, "what this Idempotency-Key made is gone").with_reason("gone-since"));
    if (found->second.had_secret)
        return fail(error(Code::conflict, "the secret was shown with the first answer and isn't kept")
                        .with_reason("secret-already-shown"));
    return std::optional(std::move(again));
}

// An ended task is in the store only.
Result<ObjectPtr> Commands::still_known(Kind kind, const Uuid& id) const {
    if (ObjectPtr there = pipeline_.world().get(kind, id); there || kind != Kind::task) return there;
    TRY(record, pipeline_.stored(Table::tasks, object_key(kind, id)));
    if (!record) return ObjectPtr{};
    TRY(task, from_store_form(kind, *record, pipeline_.secrets()));
    return ObjectPtr(std::move(task));
}

void Commands::remember(Transaction& tx, const Mutation& m, const Mutated& done) {
    if (m.idempotency_key.empty()) return;
    const std::string key = idempotency_id(m);
    forget_old(tx);
    Remembered r{.body_hash = m.body_hash,
                 .target = {done.object->kind(), "", done.object->meta.id.str()},
                 .task = done.task,
                 .at = pipeline_.cluster_time(),
                 .had_secret = !done.secret.empty(),
                 .created = done.created};
    tx.write(
        {Table::idempotency, key,
         fmt::format(R"({{"v":1,"at":{},"hash":"{}","kind":"{}","id":"{}","task":"{}","secret":{},"created":{}}})",
                     r.at, r.body_hash, text_of(r.target.kind), r.target.name, r.task.str(), r.had_secret, r.created)});
    by_age_.emplace_back(r.at, key);
    remembered_[key] = std::move(r);
}

void Commands::audit(Transaction& tx, const Mutation& m, const Mutated& done) {
    const Object& object = *done.object;
    std::string text = fmt::format(R"({{"v":1,"time":"{}","verb":"{}","kind":"{}","id":"{}","name":)",
                                   pipeline_.now_text(), verb_text(m), text_of(object.kind()), object.meta.id.str());
    write_json_string(text, object.meta.name);
    text += ",\"who\":";
    write_json_string(text, m.who.name);
    text += ",\"request\":";
    write_json_string(text, m.request_id);
    if (!done.about.empty()) {
        text += ",\"about\":";
        write_json_string(text, done.about);
    }
    text += '}';
    tx.write({Table::audit, revision_key(tx.next_revision()) + m.request_id, std::move(text)});
}

}  // namespace axle
