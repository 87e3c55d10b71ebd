// unclaimed: what lies on hosts and no record knows; adopted, or removed by a person who has read what goes.
#include "common/base/counted.hpp"
#include "common/base/units.hpp"
#include "common/http/url.hpp"
#include "orchestrator/cli/app.hpp"
#include "orchestrator/cli/columns.hpp"

namespace axle::cli {
namespace {

struct Options {
    std::string host, kind, thing, name;
    bool yes = false;
};

Result<json> all_things(Session& session, const Options& o) {
    Query query = {{"limit", "10000"}};
    if (!o.host.empty()) query.emplace_back("host", o.host);
    if (!o.kind.empty()) query.emplace_back("kind", o.kind);
    return session.get("/v1/unclaimed" + http::query_string(query));
}

std::string called(const json& thing) {
    const std::string name = word(thing, "name");
    return fmt::format("{} {}", word(thing, "kind"), name.empty() ? word(thing, "id") : name);
}

std::string extent(const json& thing) {
    if (word(thing, "kind") == "volume") return format_bytes(thing.value("size", INT64_C(0)));
    if (word(thing, "kind") != "vm") return "";
    return fmt::format("{}, {}, {}", word(thing, "state"), counted(thing.value("cpus", 0), "CPU"),
                       format_bytes(thing.value("memory", INT64_C(0))));
}

// What can be done about it.
std::string prospect(const json& thing) {
    if (!word(thing, "task").empty()) return "being removed";
    const std::string obstacle = word(thing, "obstacle");
    return obstacle.empty() ? "can be adopted" : obstacle;
}

std::string as_table(const Session& session, const json& items) {
    const bool csv = session.flags().output == Output::csv, wide = csv || session.flags().output == Output::wide;
    std::vector<std::string> titles = {"HOST", "KIND", "ID", "NAME", "STATE OR SIZE", "WHAT THEN"};
    if (wide) titles.insert(titles.end(), {"WHY", "SINCE", "PATH"});
    std::vector<std::vector<std::string>> rows;
    for (const json& item : items) {
        std::vector<std::string> row = {word(item, "host"), word(item, "kind"), word(item, "id"),
                                        word(item, "name"), extent(item),       prospect(item)};
        if (wide) row.insert(row.end(), {word(item, "why"), word(item, "since"), word(item, "path")});
        rows.push_back(std::move(row));
    }
    return csv ? csv_text(titles, rows) : table_text(titles, rows);
}

Result<int> list(Session& session, const Options& o) {
    TRY(answer, all_things(session, o));
    const json& items = answer["items"];
    const Output output = session.flags().output;
    if (output == Output::json_text || output == Output::yaml) {
        show_one(session, items);
    } else if (output == Output::name) {
        std::string out;
        for (const json& item : items) out += fmt::format("{}/{}\n", word(item, "kind"), word(item, "id"));
        session.terminal().data(out);
    } else if (items.empty() && output != Output::csv) {
        session.terminal().say("nothing is unclaimed");
    } else {
        session.terminal().data(as_table(session, items));
    }
    if (const auto more = answer.value("untold", INT64_C(0)); more > 0)
        session.terminal().say(fmt::format("{} more are not shown: they are, when these are dealt with", more));
    if (const auto away = answer.value("hostsAway", INT64_C(0)); away > 0)
        session.terminal().say(fmt::format("of {} that {} not connected nothing is known", counted(away, "host"),
                                           away == 1 ? "is" : "are"));
    return 0;
}

// By its id, the beginning of that, or the name that it had.
bool is_meant(const json& thing, const std::string& text) {
    const std::string id = word(thing, "id"), name = word(thing, "name");
    return id == text || (text.size() >= 8 && id.starts_with(text)) || name == text || name.ends_with("/" + text);
}

Result<json> find_thing(Session& session, const Options& o) {
    TRY(answer, all_things(session, o));
    json found = json::array();
    for (const json& item : answer["items"]) {
        if (is_meant(item, o.thing)) found.push_back(item);
    }
    if (found.size() == 1) return json(found.front());
    if (found.empty())
        return fail(error(Code::not_found, "nothing unclaimed is called \"{}\"{}", o.thing,
                          o.host.empty() ? "" : " on host " + o.host)
                        .with_hint("axle unclaimed list"));
    std::string which;
    for (const json& item : found)
        which += fmt::format("{}{} {} on {}", which.empty() ? "" : ", ", word(item, "kind"), word(item, "id"),
                             word(item, "host"));
    return fail(usage(fmt::format("{} things are called \"{}\": {}", found.size(), o.thing, which),
                      "name it by its id, and its host with --host"));
}

std::string path_of(const Session& session, const json& thing, const char* action) {
    return session.path_of(info_of(Kind::host), word(thing, "host")) + "/actions/" + action;
}

Result<int> adopt(Session& session, const Options& o) {
    TRY(thing, find_thing(session, o));
    json body = {{"id", word(thing, "id")}};
    if (!o.name.empty()) body["name"] = o.name;
    if (const std::string& project = session.flags().wanted.project; !project.empty()) body["project"] = project;
    const std::string path = path_of(session, thing, "adopt");
    TRY(plan, session.request("POST", path + "?dryRun=true", &body));
    for (const json& line : plan.value("consequences", json::array()))
        session.terminal().say("  " + line.get<std::string>());
    if (session.flags().dry_run) return show_one(session, plan), 0;
    std::string location;
    TRY(object, session.request("POST", path, &body, &location));
    const std::string sentence = fmt::format("{} on host {} is {} {} now", called(thing), word(thing, "host"),
                                             word(object, "kind"), word(object, "name"));
    if (!session.flags().wait || location.empty()) return show_task(session, object, location, sentence), 0;
    TRY_VOID(follow_task(session, location));
    show_done(session, object, sentence);
    return 0;
}

std::string what_stays(std::size_t disks) {
    if (disks == 0) return "It has no disks.";
    return fmt::format("{} of it {}, unclaimed.", counted(disks, "disk"), disks == 1 ? "stays" : "stay");
}

// What exactly is destroyed.
std::string verdict(const json& thing) {
    const std::string kind = word(thing, "kind"), host = word(thing, "host");
    if (kind == "volume")
        return fmt::format("{} on host {}: the file {} with a disk of {} is destroyed. There is no way back.",
                           called(thing), host, word(thing, "path"), format_bytes(thing.value("size", INT64_C(0))));
    if (kind == "vm")
        return fmt::format(
            "{} on host {}: the guest is {}; it is switched off without being asked, and its definition "
            "goes. {}",
            called(thing), host, word(thing, "state"), what_stays(thing.value("volumes", json::array()).size()));
    if (kind == "network")
        return fmt::format("{} on host {}: its bridge, rules and DHCP there go.", called(thing), host);
    return fmt::format("{} on host {}: the host forgets it; no file is touched.", called(thing), host);
}

Result<> ask_for_name(Session& session, const Options& o, const json& thing) {
    session.terminal().say(verdict(thing));
    if (o.yes) return {};
    if (!session.terminal().in_is_tty) return fail(usage("nobody is here to decide this", "decide it with --yes"));
    const std::string name = word(thing, "name"), id = word(thing, "id");
    session.terminal().say(fmt::format("Type its {} to go on", name.empty() ? "id" : "name or its id"));
    const std::string typed = session.terminal().read_line(true);
    if (typed == id || (!name.empty() && typed == name)) return {};
    return fail(error(Code::forbidden, "nothing was changed"));
}

Result<int> remove(Session& session, const Options& o) {
    TRY(thing, find_thing(session, o));
    const std::string path = path_of(session, thing, "remove-unclaimed");
    const json body = {{"id", word(thing, "id")}};
    if (session.flags().dry_run) {
        TRY_VOID(session.request("POST", path + "?dryRun=true", &body));
        session.terminal().data(verdict(thing) + "\n");
        return 0;
    }
    TRY_VOID(ask_for_name(session, o, thing));
    return change(session, "POST", path, &body,
                  fmt::format("{} on host {} is gone for good", called(thing), word(thing, "host")));
}

}  // namespace

void add_unclaimed_commands(Build& build) {
    CLI::App* noun = build.noun("unclaimed", "What lies on hosts and no record of the cloud knows");
    const auto verb = [&](const char* name, const char* help, auto perform) {
        auto o = std::make_shared<Options>();
        CLI::App* at = build.verb(noun, name, help, [o, perform](Session& s) -> Result<int> { return perform(s, *o); });
        at->add_option("--host", o->host, "Only on this host");
        return std::pair(at, o);
    };
    const auto [listing, l] = verb("list", "List it, with what it is and what can be done", list);
    listing->add_option("--kind", l->kind, "Only vm, volume, network or pool");
    const auto [adopting, a] = verb("adopt",
                                    "Make it a resource again, where it is: a guest with its disks and networks, "
                                    "while it runs; a volume, a network, a pool",
                                    adopt);
    adopting->add_option("thing", a->thing, "Id, or the name that it had")->required();
    adopting->add_option("--name", a->name, "Name that it gets (default: the one that it had)");
    const auto [removing, r] = verb("remove", "Destroy it for good; asks, and tells exactly what goes", remove);
    removing->add_option("thing", r->thing, "Id, or the name that it had")->required();
    removing->add_flag("--yes", r->yes, "Decided: don't ask");
}

}  // namespace axle::cli
