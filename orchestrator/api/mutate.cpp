// One change of one object: create, replace, patch, delete, actions.
#include <nlohmann/json.hpp>

#include "common/base/digest.hpp"
#include "orchestrator/api/body.hpp"
#include "orchestrator/api/exchange.hpp"
#include "orchestrator/api/mutated.hpp"
#include "orchestrator/api/render.hpp"
#include "orchestrator/core/actions.hpp"

namespace axle::api {
namespace {

using nlohmann::json;

Result<> check_for_create_or_replace(const Exchange& x, Mutation& m, Body body) {
    std::vector<FieldError> errors;
    const Expected expected{.kind = x.route.kind,
                            .project = x.route.project,
                            .name = x.route.name,
                            .project_is_fixed = !x.route.project.empty()};
    Document document = check_document(std::move(body.documents.front()), expected, body.text_scalars, "", errors);
    if (!errors.empty()) return fail(fields_error(std::move(errors)));
    m.text_scalars = body.text_scalars;
    if (m.verb == Verb::create) m.target.name = document.name;
    m.body = std::make_shared<const json>(std::move(document.body));
    return {};
}

Result<> read_mutation_body(const Exchange& x, Mutation& m) {
    switch (x.route.op) {
        case Op::create:
        case Op::replace: {
            m.verb = x.route.op == Op::create ? Verb::create : Verb::replace;
            TRY(body, read_one(x.request));
            return check_for_create_or_replace(x, m, std::move(body));
        }
        case Op::patch: {
            m.verb = Verb::patch;
            TRY(body, read_one(x.request));
            std::vector<FieldError> errors;
            check_patch(body.documents.front(), *x.route.kind, errors);
            if (!errors.empty()) return fail(fields_error(std::move(errors)));
            m.text_scalars = body.text_scalars;
            m.body = std::make_shared<const json>(std::move(body.documents.front()));
            return {};
        }
        case Op::action: {
            m.verb = Verb::action;
            m.action = x.route.rest;
            TRY(body, read_one_or_none(x.request));
            m.text_scalars = body.text_scalars;
            m.body = std::make_shared<const json>(std::move(body.documents.front()));
            return {};
        }
        default:
            m.verb = Verb::remove;
            return {};
    }
}

Result<Mutation> read_mutation(const Exchange& x) {
    TRY_VOID(x.only_parameters({"wait", "dryRun", "now", "lost"}));
    Mutation m;
    m.who = x.who();
    m.target = x.target();
    m.request_id = x.id;
    TRY(dry_run, x.flag("dryRun"));
    m.dry_run = dry_run;
    TRY(now, x.flag("now"));
    m.now = now;
    if (now && x.route.op != Op::remove)
        return fail(error(Code::malformed, "the parameter now belongs to DELETE").with_reason("unknown-parameter"));
    TRY(lost, x.flag("lost"));
    m.lost = lost;
    if (lost && (x.route.op != Op::remove || m.target.kind != Kind::host))
        return fail(
            error(Code::malformed, "the parameter lost belongs to DELETE of a host").with_reason("unknown-parameter"));
    if (const auto if_match = x.request.headers.get("If-Match")) {
        TRY(revision, parse_if_match(*if_match, const_cast<Exchange&>(x).context().history()));
        m.if_match = revision;
    }
    TRY_VOID(read_mutation_body(x, m));
    TRY(key, x.idempotency_key());
    if (!key.empty()) {
        m.idempotency_key = std::move(key);
        m.body_hash = sha256_hex(x.request.target + "\n" + x.request.body);
    }
    return m;
}

int status_of_success(const Exchange& x, const Mutated& mutated) {
    if (mutated.task) return 202;
    return mutated.created && x.route.op == Op::create ? 201 : 200;
}

void answer_mutated(Exchange& x, const Mutated& mutated, bool dry_run) {
    if (dry_run) return x.answer(json_response(200, plan_json(mutated, true).dump()));
    http::Response response = json_response(status_of_success(x, mutated), object_text(mutated));
    response.headers.set("ETag", etag_of(mutated.object->meta.revision, x.context().history()));
    if (mutated.task) response.headers.set("Location", task_location(mutated.task));
    if (mutated.replayed) response.headers.set("Idempotent-Replayed", "true");
    x.answer(std::move(response));
}

// The task is over, or the time is: what the object is like now.
void answer_after_wait(Exchange& x, const Mutated& mutated) {  // core thread
    const Locator by_id{mutated.object->kind(), mutated.object->meta.project.name, mutated.object->meta.id.str()};
    x.service().get(x.who(), by_id, [self = x.shared_from_this(), mutated](Result<Viewed> viewed) {
        Mutated now = mutated;
        if (viewed) now.object = viewed->object;  // else it is gone, as it was wished
        self->on_worker([now = std::move(now)](Exchange& then) {
            http::Response response = json_response(then.route.op == Op::create ? 201 : 200, object_text(now));
            response.headers.set("ETag", etag_of(now.object->meta.revision, then.context().history()));
            response.headers.set("Location", task_location(now.task));
            then.answer(std::move(response));
        });
    });
}

void wait_for_task(Exchange& x, const Mutated& mutated, milliseconds at_most) {  // core thread
    x.service().wait_task(
        x.who(), mutated.task, at_most, [self = x.shared_from_this(), mutated](Result<ObjectPtr> ended) {
            if (!ended) return self->on_worker([mutated](Exchange& then) { answer_mutated(then, mutated, false); });
            const auto& task = static_cast<const Task&>(**ended);
            if (task.status.phase == TaskPhase::succeeded)
                return self->on_core([mutated](Exchange& then) { answer_after_wait(then, mutated); });
            if (!is_terminal(task.status.phase))
                return self->on_worker([mutated](Exchange& then) { answer_mutated(then, mutated, false); });
            self->on_worker([e = error_of_task(task)](Exchange& then) { then.refuse(e); });
        });
}

}  // namespace

void handle_mutation(const ExchangePtr& x) {
    auto mutation = read_mutation(*x);
    if (!mutation) return x->refuse(mutation.error());
    const auto wait = x->wait_time();
    if (!wait) return x->refuse(wait.error());
    if (wait->count() > 0) x->reply().set_deadline(*wait + milliseconds{30'000});
    x->on_core([mutation = std::move(*mutation), wait = *wait](Exchange& core_side) mutable {
        const bool dry_run = mutation.dry_run;
        core_side.service().mutate(std::move(mutation),
                                   [self = core_side.shared_from_this(), wait, dry_run](Result<Mutated> mutated) {
                                       if (mutated && mutated->task && wait.count() > 0 && !dry_run)
                                           return wait_for_task(*self, *mutated, wait);
                                       self->on_worker([mutated = std::move(mutated), dry_run](Exchange& then) {
                                           if (!mutated) return then.refuse(mutated.error());
                                           answer_mutated(then, *mutated, dry_run);
                                       });
                                   });
    });
}

}  // namespace axle::api
