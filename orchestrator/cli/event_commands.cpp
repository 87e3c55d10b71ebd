// events: what happened, and what happens.
#include "common/base/now.hpp"
#include "common/http/url.hpp"
#include "orchestrator/cli/app.hpp"
#include "orchestrator/cli/columns.hpp"

namespace axle::cli {
namespace {

constexpr int kLookEveryMs = 1000;

struct EventOptions {
    std::string target;  // KIND or KIND/NAME
    std::int64_t limit = 50;
    bool follow = false, warnings = false;
};

Query query_of(const Session& session, const EventOptions& o) {
    Query query;
    const std::size_t slash = o.target.find('/');
    if (!o.target.empty()) query.emplace_back("kind", o.target.substr(0, slash));
    if (slash != std::string::npos) query.emplace_back("name", o.target.substr(slash + 1));
    if (o.warnings) query.emplace_back("type", "warning");
    if (!session.flags().all_projects && !session.flags().wanted.project.empty())
        query.emplace_back("project", session.project());
    return query;
}

std::vector<std::string> row_of(const json& e) {
    return {word(e, "at"), word(e, "type"), word(e, "reason"), word(e, "kind") + "/" + word(e, "name"),
            word(e, "message")};
}

// As they happen, a line each, so that they can be piped on.
void tell_each(const Session& session, const json& items) {
    for (const json& e : items) {
        if (session.flags().output == Output::json_text) {
            session.terminal().data(e.dump() + "\n");
            continue;
        }
        std::string line;
        for (const std::string& cell : row_of(e)) line += (line.empty() ? "" : "  ") + cell;
        session.terminal().data(line + "\n");
    }
}

Result<int> follow(Session& session, const Query& query, json page) {
    json last = page["items"];
    std::reverse(last.begin(), last.end());
    tell_each(session, last);
    std::string latest = word(page, "latest");
    const InterruptGuard guard;
    while (!was_interrupted()) {
        Query next = query;
        next.emplace_back("after", latest);
        auto news = session.get("/v1/events" + http::query_string(next));
        if (!news && news.error().code != Code::unavailable) return fail(std::move(news.error()));
        if (news) {
            tell_each(session, (*news)["items"]);
            latest = word(*news, "latest");
            if (!word(*news, "continue").empty()) continue;  // there is more already
        }
        pause_for(kLookEveryMs);
    }
    return 0;
}

Result<int> events(Session& session, const EventOptions& o) {
    const Query query = query_of(session, o);
    Query first = query;
    first.emplace_back("limit", std::to_string(o.limit));
    TRY(page, session.get("/v1/events" + http::query_string(first)));
    if (o.follow) return follow(session, query, std::move(page));
    if (session.flags().output == Output::json_text || session.flags().output == Output::yaml)
        return show_one(session, page["items"]), 0;
    std::vector<std::vector<std::string>> rows;
    for (const json& e : page["items"]) rows.push_back(row_of(e));
    if (rows.empty()) return session.terminal().say("no events"), 0;
    session.terminal().data(table_text({"TIME", "TYPE", "REASON", "OBJECT", "MESSAGE"}, rows));
    return 0;
}

}  // namespace

void add_event_commands(Build& build) {
    auto o = std::make_shared<EventOptions>();
    CLI::App* verb =
        build.verb(&build.app, "events", "What happened, newest first", [o](Session& s) { return events(s, *o); });
    verb->add_option("target", o->target, "KIND or KIND/NAME");
    verb->add_option("--limit", o->limit, "At most so many")->check(CLI::Range(1, 1000));
    verb->add_flag("-f,--follow", o->follow, "Go on with what happens from now on, oldest first");
    verb->add_flag("--warnings", o->warnings, "Only what went wrong");
}

}  // namespace axle::cli
