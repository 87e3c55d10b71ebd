// POST /v1/apply: many documents, all checked first, then committed one by one in order of dependence, each reported.
#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "common/base/digest.hpp"
#include "common/model/format.hpp"
#include "orchestrator/api/body.hpp"
#include "orchestrator/api/exchange.hpp"
#include "orchestrator/api/mutated.hpp"
#include "orchestrator/api/render.hpp"

namespace axle::api {
namespace {

using nlohmann::json;
constexpr std::size_t kDocumentsMax = 1000;

struct Run {
    std::vector<Document> documents;  // in order of dependence
    std::vector<std::string> hashes;  // of their bodies, where the request has a key
    std::size_t at = 0;
    bool text_scalars = false, dry_run = false, force = false, prune = false;
    std::string set, key;
    std::set<std::string> projects;  // names or ids: those that prune looks into
    json results = json::array();
    bool failed = false;
    std::vector<Locator> doomed;   // to prune, last kinds first
    std::size_t listing = kKinds;  // kinds still to be looked through for prune
};
using RunPtr = std::shared_ptr<Run>;

// A list in one document ("kind: List" as kubectl has it, or a JSON array) is as good as many documents.
std::vector<json> flatten(std::vector<json> documents) {
    std::vector<json> out;
    for (json& document : documents) {
        if (document.is_array()) {
            for (json& item : document) out.push_back(std::move(item));
        } else if (document.is_object() && document.contains("items") && document["items"].is_array()) {
            for (json& item : document["items"]) out.push_back(std::move(item));
        } else {
            out.push_back(std::move(document));
        }
    }
    return out;
}

Error twice(const Document& document) {
    return error(Code::malformed, "{} {} stands twice in what is applied", document.kind->name, document.name);
}

Result<RunPtr> read_run(const Exchange& x) {
    TRY_VOID(x.only_parameters({"dryRun", "set", "force", "prune", "project"}));
    auto run = std::make_shared<Run>();
    TRY(dry_run, x.flag("dryRun"));
    TRY(force, x.flag("force"));
    TRY(prune, x.flag("prune"));
    run->dry_run = dry_run;
    run->force = force;
    run->prune = prune;
    run->set = x.text("set");
    if (prune && run->set.empty())
        return fail(error(Code::malformed, "prune needs the name of a set")
                        .with_reason("bad-parameter")
                        .with_hint("add set=NAME: only what that set created is deleted"));
    if (run->set.empty()) run->set = "default";
    if (!is_label_key(run->set))
        return fail(error(Code::malformed, "\"{}\" is no name of a set", run->set.substr(0, 80))
                        .with_reason("bad-parameter")
                        .with_hint("1 to 63 letters, digits, '.', '_' and '-', such as web-team"));
    TRY(repeat_key, x.idempotency_key());
    run->key = std::move(repeat_key);
    TRY(body, read_body(x.request));
    run->text_scalars = body.text_scalars;
    std::vector<json> documents = flatten(std::move(body.documents));
    if (documents.size() > kDocumentsMax)
        return fail(Code::too_large, "{} documents were sent, at most {} are taken at once", documents.size(),
                    kDocumentsMax);
    if (documents.empty() && !prune) return fail(Code::malformed, "there is no document in the body");
    const std::string project = x.text("project");
    if (!project.empty()) run->projects.insert(project);
    std::vector<FieldError> errors;
    for (std::size_t i = 0; i < documents.size(); ++i)
        run->documents.push_back(check_document(std::move(documents[i]),
                                                {.project = project.empty() ? "default" : project}, body.text_scalars,
                                                fmt::format("/{}", i), errors));
    if (!errors.empty()) return fail(fields_error(std::move(errors)));
    for (const Document& d : run->documents) run->projects.insert(d.project);
    if (run->projects.empty()) run->projects.insert("default");
    std::ranges::stable_sort(run->documents, {}, [](const Document& d) { return d.kind->kind; });
    const auto key = [](const Document& d) { return std::tie(d.kind->kind, d.project, d.name); };
    for (std::size_t i = 0; i < run->documents.size(); ++i) {
        for (std::size_t j = i + 1; j < run->documents.size() && run->documents[j].kind == run->documents[i].kind;
             ++j) {
            if (key(run->documents[i]) == key(run->documents[j])) return fail(twice(run->documents[i]));
        }
    }
    if (!run->key.empty() && !run->dry_run) {
        for (const Document& d : run->documents)
            run->hashes.push_back(sha256_hex(x.request.target + "\n" + d.body.dump()));
    }
    return run;
}

json head_of(const Locator& what) {
    json out = {{"kind", info_of(what.kind).name}, {"name", what.name}};
    if (!what.project.empty()) out["project"] = what.project;
    return out;
}

// In a dry run what a document refers to may be an earlier one of the same request, which has not been made.
bool only_awaits_others(const Run& run, const Error& e) {
    const bool makes_some = std::ranges::any_of(run.results, [](const json& r) { return r["action"] == "create"; });
    return run.dry_run && makes_some && !e.fields.empty() &&
           std::ranges::all_of(e.fields, [](const FieldError& f) { return f.code == "no-such-object"; });
}

void report(Run& run, const Locator& what, const Result<Mutated>& done, const std::string& request_id) {
    if (done) {
        run.results.push_back(plan_json(*done, run.dry_run));
        return;
    }
    json result = head_of(what);
    result["dryRun"] = run.dry_run;
    if (only_awaits_others(run, done.error())) {
        result["action"] = "create";
        result["note"] = "refers to what this request makes; the rest is checked when that is there";
    } else {
        run.failed = true;
        result["action"] = "failed";
        result["error"] = problem_json(done.error(), request_id);
    }
    run.results.push_back(std::move(result));
}

void finish(Exchange& x, const RunPtr& run) {
    x.on_worker([run](Exchange& then) {
        const json out = {{"kind", "applyResult"},
                          {"set", run->set},
                          {"dryRun", run->dry_run},
                          {"failed", run->failed},
                          {"results", run->results}};
        // 200 also when some failed: the others are done. Who reads only the status sees 207's meaning in `failed`.
        then.answer(json_response(200, out.dump(-1, ' ', false, json::error_handler_t::replace)));
    });
}

void prune_next(Exchange& x, const RunPtr& run) {  // core thread
    if (run->doomed.empty()) return finish(x, run);
    Mutation m;
    m.who = x.who();
    m.verb = Verb::remove;
    m.target = run->doomed.back();
    m.dry_run = run->dry_run;
    m.request_id = x.id;
    run->doomed.pop_back();
    x.service().mutate(m, [self = x.shared_from_this(), run, target = m.target](Result<Mutated> done) {
        report(*run, target, done, self->id);
        if (done) run->results.back()["action"] = "delete";
        self->on_core([run](Exchange& then) { prune_next(then, run); });
    });
}

bool is_applied_now(const Run& run, const Object& object) {
    return std::ranges::any_of(run.documents, [&](const Document& d) {
        return d.kind->kind == object.kind() && d.name == object.meta.name &&
               (d.project == object.meta.project.name || d.project == object.meta.project.id.str());
    });
}

// Looks through one kind after the other for what this set made and the request doesn't name.
void find_doomed(Exchange& x, const RunPtr& run, std::string after) {  // core thread
    while (run->listing > 0 && all_kinds()[run->listing - 1].kind == Kind::task) --run->listing;
    if (run->listing == 0) return prune_next(x, run);
    ListQuery query;
    query.who = x.who();
    query.kind = all_kinds()[run->listing - 1].kind;
    query.limit = 1000;
    query.after = std::move(after);
    // What the set made, not what it has only touched; nothing of projects that the request doesn't speak of.
    query.matches = [run](const Object& o) {
        const Ref& project = o.meta.project;
        const bool in_reach =
            !project || run->projects.contains(project.name) || run->projects.contains(project.id.str());
        return o.meta.created_by_set == run->set && in_reach && !o.is_deleted();
    };
    x.service().list(std::move(query), [self = x.shared_from_this(), run](Result<Listing> listing) {
        if (listing) {
            for (const ObjectPtr& o : listing->objects) {
                if (!is_applied_now(*run, *o))
                    run->doomed.insert(run->doomed.begin(), {o->kind(), o->meta.project.name, o->meta.name});
            }
        }
        std::string next = listing ? listing->next : "";
        if (next.empty()) --run->listing;
        self->on_core([run, next = std::move(next)](Exchange& then) { find_doomed(then, run, next); });
    });
}

void apply_next(Exchange& x, const RunPtr& run) {  // core thread
    if (run->at == run->documents.size()) {
        if (run->prune && !run->failed) return find_doomed(x, run, "");
        return finish(x, run);
    }
    Document& document = run->documents[run->at++];
    Mutation m;
    if (!run->hashes.empty()) {
        m.idempotency_key = fmt::format("{}/{}", run->key, run->at);
        m.body_hash = run->hashes[run->at - 1];
    }
    m.who = x.who();
    m.verb = Verb::apply;
    m.target = {document.kind->kind, document.project, document.name};
    m.body = std::make_shared<const json>(std::move(document.body));
    m.text_scalars = run->text_scalars;
    m.dry_run = run->dry_run;
    m.force = run->force;
    m.apply_set = run->set;
    m.request_id = x.id;
    x.service().mutate(m, [self = x.shared_from_this(), run, target = m.target](Result<Mutated> done) {
        report(*run, target, done, self->id);
        self->on_core([run](Exchange& then) { apply_next(then, run); });
    });
}

}  // namespace

void handle_apply(const ExchangePtr& x) {
    auto run = read_run(*x);
    if (!run) return x->refuse(run.error());
    x->reply().set_deadline(milliseconds{5 * 60'000});
    x->on_core([run = *run](Exchange& then) { apply_next(then, run); });
}

}  // namespace axle::api
