// What only a person can decide: that the end of the history is lost, that the clock is right, that a host is dead.
#include "orchestrator/cli/app.hpp"

namespace axle::cli {
namespace {

// "yes", typed. --yes stands for it where nobody sits.
Result<> ask(Session& session, bool yes, const std::string& what) {
    session.terminal().say(what);
    if (yes) return {};
    if (!session.terminal().in_is_tty) return fail(usage("nobody is here to decide this", "decide it with --yes"));
    session.terminal().say("Is that what you want? [yes/no]");
    if (session.terminal().read_line(true) == "yes") return {};
    return fail(error(Code::forbidden, "nothing was changed"));
}

Result<int> accept_loss(Session& session, bool yes) {
    TRY(status, session.get("/v1/status"));
    const json why = status["store"].value("why", json::object());
    if (why.empty()) return session.terminal().say("nothing is lost: the store takes changes"), 0;
    TRY_VOID(
        ask(session, yes,
            fmt::format("the store is read-only: {}\n"
                        "It ends at revision {}; others have seen {}. Accepting it goes on from what is here; what "
                        "came after is lost for good.\nGuests run on; what the hosts hold and the store doesn't "
                        "know is left alone: axle unclaimed list shows it, axle unclaimed adopt takes it in again.\n"
                        "If there is a newer copy of the store, put that in place instead.",
                        why.value("message", ""), why.value("revision", 0), why.value("seen", 0))));
    TRY_VOID(session.request("POST", "/v1/store/accept-loss"));
    session.terminal().data("the store takes changes again; a new history has begun: watches begin anew\n");
    session.terminal().say("when the hosts are back, what it has forgotten: axle unclaimed list");
    return 0;
}

Result<int> accept_clock(Session& session, bool yes) {
    TRY(status, session.get("/v1/status"));
    const json clock = status.value("clock", json::object());
    TRY_VOID(ask(session, yes,
                 fmt::format("this machine's clock says {}, the cloud has counted {}.\n"
                             "Accepting it makes the cloud's time the machine's: what was deleted and is past its "
                             "retention by then goes for good.",
                             clock.value("wall", ""), clock.value("cluster", ""))));
    TRY(after, session.request("POST", "/v1/clock/accept"));
    session.terminal().data(fmt::format("the cloud's time is {}\n", after.value("cluster", "")));
    return 0;
}

struct RemoveOptions {
    std::string host;
    bool lost = false, yes = false;
};

Result<int> remove_host(Session& session, const RemoveOptions& o) {
    const std::string path = session.path_of(info_of(Kind::host), o.host);
    if (!o.lost) return change(session, "DELETE", path, nullptr, fmt::format("host {} is removed", o.host));
    TRY(plan, session.request("DELETE", path + "?lost=true&dryRun=true"));
    std::string said = fmt::format(
        "host {} counts as dead from now on: whatever still runs there must be off, or two "
        "guests write to one disk.\n",
        o.host);
    for (const json& line : plan.value("consequences", json::array())) said += "  " + line.get<std::string>() + "\n";
    said += "It is shut out; should the machine come back, it joins anew, empty.";
    TRY_VOID(ask(session, o.yes, said));
    TRY_VOID(session.request("DELETE", path + "?lost=true"));
    session.terminal().data(fmt::format("host {} is given up; its guests on shared disks are placed anew\n", o.host));
    return 0;
}

void add_host_remove(Build& build) {
    auto o = std::make_shared<RemoveOptions>();
    CLI::App* verb = build.verb(build.noun("host", info_of(Kind::host).doc), "remove",
                                "Take an empty host out of the cloud", [o](Session& s) { return remove_host(s, *o); });
    verb->add_option("name", o->host, "Host")->required();
    verb->add_flag("--lost", o->lost, "It is dead for good: what lay on it alone is lost, its other guests start anew");
    verb->add_flag("--yes", o->yes, "Decided: don't ask");
}

}  // namespace

void add_decision_commands(Build& build) {
    const auto add = [&](const char* noun, const char* noun_help, const char* verb, const char* help, auto decide) {
        auto yes = std::make_shared<bool>(false);
        CLI::App* at = build.verb(build.noun(noun, noun_help), verb, help,
                                  [yes, decide](Session& s) -> Result<int> { return decide(s, *yes); });
        at->add_flag("--yes", *yes, "Decided: don't ask");
    };
    add("store", "The orchestrator's store", "accept-loss", "Go on without the end of the history, which is lost",
        accept_loss);
    add_host_remove(build);
    add("clock", "The cloud's time", "accept", "The machine's clock is right: count from there", accept_clock);
}

}  // namespace axle::cli
