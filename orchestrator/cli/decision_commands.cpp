// What only a person can decide: that the end of the history is lost, that the clock is right.
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
                        "know is left alone and listed as unclaimed.\n"
                        "If there is a newer copy of the store, put that in place instead.",
                        why.value("message", ""), why.value("revision", 0), why.value("seen", 0))));
    TRY_VOID(session.request("POST", "/v1/store/accept-loss"));
    session.terminal().data("the store takes changes again; a new history has begun: watches begin anew\n");
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
    add("clock", "The cloud's time", "accept", "The machine's clock is right: count from there", accept_clock);
}

}  // namespace axle::cli
