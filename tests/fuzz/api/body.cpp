// What requests bring, as JSON or YAML: documents to create and to apply, merge patches, arguments of actions. Each is
// checked as the API does and then put to a core as a dry run: it is answered, and nothing changes.
#include "orchestrator/api/body.hpp"

#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "orchestrator/core/actions.hpp"
#include "tests/support/cloud/cloud.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle;
using test::Cloud;

namespace {

// One thing of each kind that takes changes, whose name is "x"; the host's and the project's are given.
Cloud& cloud() {
    static Cloud* const one = [] {
        auto* made = new Cloud({.hosts = 1});  // lives as long as the process: nothing to be torn down at its end
        made->furnish();
        const std::pair<Kind, const char*> things[] = {
            {Kind::flavor, R"({"name":"x","spec":{"cpus":1,"memory":"1GiB"}})"},
            {Kind::network, R"({"name":"x"})"},
            {Kind::volume, R"({"name":"x","spec":{"size":"1GiB"}})"},
            {Kind::placementgroup, R"({"name":"x"})"},
            {Kind::image, R"({"name":"x","spec":{"url":"http://images/good"}})"},
            {Kind::pool, R"({"name":"x","spec":{"path":"/pools/x"}})"},
            {Kind::zone, R"({"name":"x"})"},
            {Kind::vm, R"({"name":"x","spec":{"cpus":1,"memory":"1GiB","disks":{"root":{"image":"debian"}},)"
                       R"("nics":{"eth0":{"network":"blue"}}}})"},
            {Kind::portforward, R"({"name":"x","spec":{"vm":"x","hostPort":8080,"guestPort":80}})"}};
        for (const auto& [kind, document] : things) {
            const auto reply = made->ask_and_wait(Cloud::create(kind, "default", document));
            ENSURE(reply.result.has_value(), reply.result ? "" : reply.result.error().message.c_str());
        }
        made->run_for(std::chrono::minutes{2});
        return made;
    }();
    return *one;
}

// Answered, and nothing has changed.
bool try_out(Mutation mutation) {
    mutation.who = Cloud::admin();
    mutation.dry_run = true;
    const Revision before = cloud().orchestrator().pipeline().head();
    std::optional<bool> taken;
    cloud().orchestrator().mutate(std::move(mutation), [&](Result<Mutated> done) { taken = done.has_value(); });
    ENSURE(cloud().orchestrator().pipeline().head() == before, "nothing changes");
    for (int i = 0; i < 100 && !taken; ++i) cloud().run_for(milliseconds{10});
    ENSURE(taken.has_value(), "it is answered");
    return *taken;
}

std::string name_of(const KindInfo& kind) {
    return kind.kind == Kind::host ? "h0" : kind.kind == Kind::project ? "default" : "x";
}

Mutation mutation_of(Verb verb, const KindInfo& kind, nlohmann::json body, bool text_scalars) {
    return {.verb = verb,
            .target = {kind.kind, kind.cluster_wide ? "" : "default", name_of(kind)},
            .body = std::make_shared<const nlohmann::json>(std::move(body)),
            .text_scalars = text_scalars};
}

bool bring_documents(const api::Body& body) {
    bool all = !body.documents.empty();
    for (const auto& document : body.documents) {
        std::vector<FieldError> mistakes;
        api::Document checked = api::check_document(document, {.project = "default"}, body.text_scalars, "", mistakes);
        all = all && mistakes.empty();
        if (!mistakes.empty()) continue;
        Mutation m = mutation_of(Verb::apply, *checked.kind, std::move(checked.body), body.text_scalars);
        m.target.project = checked.project;
        m.target.name = checked.name;
        all = try_out(m) && all;
        m.verb = Verb::create;
        (void)try_out(std::move(m));
    }
    return all;
}

bool bring_patch(const api::Body& body, const KindInfo& kind) {
    if (body.documents.size() != 1 || !body.documents.front().is_object()) return false;
    std::vector<FieldError> mistakes;
    api::check_patch(body.documents.front(), kind, mistakes);
    return mistakes.empty() && try_out(mutation_of(Verb::patch, kind, body.documents.front(), body.text_scalars));
}

bool bring_arguments(const api::Body& body, const ActionInfo& action) {
    if (body.documents.size() != 1 || !body.documents.front().is_object()) return false;
    Mutation m = mutation_of(Verb::action, info_of(action.kind), body.documents.front(), body.text_scalars);
    m.action = action.name;
    return try_out(std::move(m));
}

}  // namespace

// The first byte chooses what it is: 'p' a patch, 'a' arguments, else documents; the second the kind or the action, 'a'
// for the first; the third 'j' JSON, else YAML.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    http::Request request;
    request.headers.set("Content-Type", data[2] == 'j' ? "application/json" : "application/yaml");
    request.body = std::string(reinterpret_cast<const char*>(data) + 3, size - 3);
    const auto body = api::read_body(request);
    if (!body) return test::told(false);
    const auto which = static_cast<std::uint8_t>(data[1] - 'a');
    if (data[0] == 'p') return test::told(bring_patch(*body, all_kinds()[which % all_kinds().size()]));
    if (data[0] == 'a') return test::told(bring_arguments(*body, all_actions()[which % all_actions().size()]));
    return test::told(bring_documents(*body));
}
