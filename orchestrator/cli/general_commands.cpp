// status, wait, watch, explain, tasks.
#include "common/base/counted.hpp"
#include "common/base/now.hpp"
#include "common/base/units.hpp"
#include "common/http/url.hpp"
#include "orchestrator/cli/app.hpp"
#include "orchestrator/cli/columns.hpp"
#include "orchestrator/cli/yaml.hpp"

namespace axle::cli {
namespace {

// What is broken first; what is only worth knowing after it.
std::string problems_text(const json& problems) {
    std::string broken, notes;
    std::size_t count = 0;
    for (const json& problem : problems) {
        const bool note = word(problem, "severity") == "note";
        count += note ? 0 : 1;
        (note ? notes : broken) += fmt::format("  {}: {}\n    => {}\n", word(problem, "type"), word(problem, "message"),
                                               word(problem, "hint"));
    }
    const std::string head =
        count == 0 ? "all is well\n"
                   : fmt::format("{} {} attention:\n", counted(count, "thing"), count == 1 ? "wants" : "want");
    return head + broken + (notes.empty() ? "" : "worth knowing:\n" + notes);
}

Result<int> show_status(Session& session) {
    TRY(status, session.get("/v1/status"));
    const bool healthy = status.value("healthy", false);
    if (session.flags().output != Output::table && session.flags().output != Output::wide)
        return show_one(session, status), healthy ? 0 : 1;
    std::string out = fmt::format("axle {} at {}\n", word(status, "version"), session.context().endpoint);
    const json& counts = status["counts"];
    const auto count = [&](const char* what) { return counts.value(what, std::int64_t{0}); };
    out += fmt::format("{} ({} running), {}, {}, {}, {}\n", counted(count("vms"), "VM"), count("vms.running"),
                       counted(count("volumes"), "volume"), counted(count("images"), "image"),
                       counted(count("networks"), "network"), counted(count("hosts"), "host"));
    const json& space = status["space"];
    out += fmt::format("store: revision {}, {} free{}\n", status.value("revision", 0),
                       format_bytes(space.value("freeBytes", std::int64_t{0})),
                       status["store"].value("readOnly", false) ? ", READ-ONLY" : "");
    session.terminal().data(out + problems_text(status["problems"]));
    return healthy ? 0 : 1;
}

// One line for each change; JSON where that is wanted.
void tell_change(const Session& session, const http::ServerSentEvent& event) {
    if (event.event == "bookmark") return;
    if (session.flags().output == Output::json_text) return session.terminal().data(event.data + "\n");
    const json record = json::parse(event.data, nullptr, false);
    if (!record.is_object()) return;
    std::string what = event.event;
    const json object = record.value("object", json::object());
    if (object.contains("status")) {
        const std::string phase = word(object["status"], "phase");
        if (!phase.empty()) what += " " + phase;
    }
    std::string changed;
    const json was = record.value("was", json::object());
    for (const auto& [pointer, value] : was.items()) {
        const json* now = find_at(object, pointer);
        changed += fmt::format("{}{}: {} -> {}", changed.empty() ? "  " : ", ", dotted(pointer), value.dump(),
                               now != nullptr ? now->dump() : "-");
    }
    if (changed.size() > 200) changed = changed.substr(0, 200) + "…";
    session.terminal().data(fmt::format("{:>8} {} {} {}{}\n", record.value("revision", 0), word(record, "kind"),
                                        word(record, "name"), what, changed));
}

// Follows the changes until told to stop; takes up the thread again after a broken connection.
Result<> follow_changes(Session& session, Query query, const std::function<bool(const http::ServerSentEvent&)>& each,
                        milliseconds silence) {
    std::string last;
    int failures = 0;
    while (true) {
        http::EventReader reader;
        bool stopped = false;
        http::Headers headers;
        if (!last.empty()) headers.set("Last-Event-ID", last);
        auto ended = session.client().download(
            "/v1/watch" + http::query_string(query), headers,
            [&](std::string_view bytes) {
                failures = 0;
                for (const auto& event : reader.feed(bytes)) {
                    if (!event.id.empty()) last = event.id;
                    if (!each(event)) return stopped = true, false;
                }
                return !was_interrupted();
            },
            silence);
        if (stopped || was_interrupted()) return {};
        if (ended && ended->status >= 300) return fail(error_of_response(*ended));
        if (!ended && ended.error().code == Code::timeout) return fail(std::move(ended.error()));
        pause_for(500);
        if (++failures > 20) return fail(ended ? error(Code::unavailable, "the watch keeps ending") : ended.error());
    }
}

Result<int> watch(Session& session, const std::string& kinds, const std::string& filter, const std::string& since) {
    Query query;
    if (!kinds.empty()) query.emplace_back("kinds", kinds);
    if (!filter.empty()) query.emplace_back("filter", filter);
    if (!since.empty()) query.emplace_back("since", since);
    if (!session.flags().all_projects && !session.flags().wanted.project.empty())
        query.emplace_back("project", session.project());
    const InterruptGuard guard;
    TRY_VOID(follow_changes(
        session, query, [&](const http::ServerSentEvent& e) { return tell_change(session, e), true; },
        milliseconds{60'000}));
    return 0;
}

// Until an object of that name matches; --for deleted: until there is none.
Result<int> wait_for(Session& session, const std::string& target, const std::string& condition) {
    const std::size_t slash = target.find('/');
    const KindInfo* kind = find_kind(target.substr(0, slash));
    if (kind == nullptr || slash == std::string::npos)
        return fail(
            usage(fmt::format("\"{}\" is not KIND/NAME", target), "axle wait vm/web1 --for status.phase=running"));
    const std::string name = target.substr(slash + 1);
    const bool until_gone = condition == "deleted";
    const std::string filter = until_gone ? "name=" + name : fmt::format("name={},{}", name, condition);
    const BootTime end = boot_now() + session.flags().timeout;
    TRY(page, session.get(session.path_of(*kind) + http::query_string({{"filter", filter}})));
    if (page["items"].empty() == until_gone) return 0;
    Query query = {{"kinds", kind->name},
                   {"filter", filter},
                   {"since", fmt::format("{}-{}", page.value("revision", 0), word(page, "history"))}};
    if (!kind->cluster_wide) query.emplace_back("project", session.project());
    bool reached = false;
    const InterruptGuard guard;
    auto followed = follow_changes(
        session, query,
        [&](const http::ServerSentEvent& event) {
            reached = until_gone ? event.event == "delete" || event.event == "gone" : event.event == "put";
            if (event.event == "put" && until_gone) {
                const json record = json::parse(event.data, nullptr, false);
                reached = record.is_object() && record.value("object", json::object()).contains("deletion");
            }
            return !reached && boot_now() < end;
        },
        session.flags().timeout);
    if (reached) return 0;
    if (!followed && followed.error().code != Code::timeout) return fail(std::move(followed.error()));
    return fail(
        error(Code::timeout, "{} was not {} within {}", target, condition, format_duration(session.flags().timeout)));
}

Result<int> explain(Session& session, const std::string& path) {
    TRY(explained, session.get("/v1/explain/" + http::percent_encode(path)));
    if (session.flags().output != Output::table && session.flags().output != Output::wide)
        return show_one(session, explained), 0;
    std::string out = fmt::format("{} <{}>\n", word(explained, "path"), word(explained, "type"));
    if (!word(explained, "doc").empty()) out += "  " + word(explained, "doc") + "\n";
    const json fields = explained.value("fields", json::array());
    if (!fields.empty()) out += "\n";
    for (const json& field : fields) {
        out += fmt::format("  {} <{}>{}\n", word(field, "name"), word(field, "type"),
                           field.value("required", false) ? " required" : "");
        std::string notes = word(field, "doc");
        if (field.contains("default")) notes += fmt::format(" Default {}.", field["default"].dump());
        if (word(field, "change") == "never after create") notes += " Can't be changed later.";
        if (word(field, "change") == "takes effect at the next start")
            notes += " A change takes effect at the next start.";
        if (!notes.empty()) out += "      " + notes + "\n";
    }
    session.terminal().data(out);
    return 0;
}

void add_task_verbs(Build& build) {
    CLI::App* noun = build.noun("task", info_of(Kind::task).doc);
    auto id = std::make_shared<std::string>();
    CLI::App* wait = build.verb(noun, "wait", "Follow a task to its end", [id](Session& s) -> Result<int> {
        TRY_VOID(follow_task(s, "/v1/tasks/" + http::percent_encode(*id)));
        s.terminal().data(fmt::format("task {} succeeded\n", *id));
        return 0;
    });
    wait->add_option("id", *id, "Id of the task")->required();
}

}  // namespace

void add_general_commands(Build& build) {
    build.verb(&build.app, "status", "Is all well? What isn't, and what to do", show_status)
        ->footer(
            "Exit status: 0 all is well, also where something is worth knowing; 1 something wants attention, or "
            "nobody answers.");
    struct Options {
        std::string first, second = "status.phase=running", third;
    };
    auto w = std::make_shared<Options>();
    CLI::App* watch_verb = build.verb(&build.app, "watch", "Show changes as they happen",
                                      [w](Session& s) { return watch(s, w->first, w->third, w->second); });
    w->second.clear();
    watch_verb->add_option("kinds", w->first, "Kinds, such as vms,tasks");
    watch_verb->add_option("--filter", w->third, "Such as name=web1");
    watch_verb->add_option("--since", w->second, "Revision or event id to begin after");

    auto u = std::make_shared<Options>();
    CLI::App* wait_verb =
        build.verb(&build.app, "wait", "Wait until an object is so: axle wait vm/web1 --for status.phase=running",
                   [u](Session& s) { return wait_for(s, u->first, u->second); });
    wait_verb->add_option("target", u->first, "KIND/NAME")->required();
    wait_verb->add_option("--for", u->second, "Filter that must match, or: deleted");

    auto x = std::make_shared<Options>();
    CLI::App* explain_verb = build.verb(&build.app, "explain", "What a field is: axle explain vm.spec.nics",
                                        [x](Session& s) { return explain(s, x->first); });
    explain_verb->add_option("path", x->first, "Kind, and fields after dots")->required();

    add_task_verbs(build);
}

}  // namespace axle::cli
