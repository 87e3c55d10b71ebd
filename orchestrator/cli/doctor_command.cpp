// doctor: what the server says of itself and its hosts, and what this machine's agent says of this machine.
#include "orchestrator/cli/app.hpp"
#include "orchestrator/cli/local_agent.hpp"

namespace axle::cli {
namespace {

struct Finding {
    std::string level;  // ok, note, warning, error
    std::string subject, message, fix;
};

void add_local(std::vector<Finding>& findings) {
    for (const char* program : {"axle-agent", "axle-allinone"}) {
        const auto text = output_of(program, {"doctor", "-o", "json"});
        if (!text) continue;
        const json report = json::parse(*text, nullptr, false);
        const json checks = report.is_array()    ? report
                            : report.is_object() ? report.value("checks", json::array())
                                                 : json::array();
        for (const json& check : checks) {
            Finding f{word(check, "level"), word(check, "name"), word(check, "message"), word(check, "fix")};
            if (f.level.empty()) f.level = check.value("ok", true) ? "ok" : "error";
            if (f.subject.empty()) f.subject = word(check, "check");
            if (f.fix.empty()) f.fix = word(check, "hint");
            findings.push_back(std::move(f));
        }
        return;
    }
    findings.push_back({"ok", "this machine", "no agent is installed here: only the server was asked", ""});
}

void add_server(Session& session, std::vector<Finding>& findings) {
    auto status = session.get("/v1/status");
    if (!status) {
        findings.push_back({"error", "server", status.error().message, status.error().hint});
        return;
    }
    findings.push_back({"ok", "server",
                        fmt::format("axle {} answers at {}", word(*status, "version"), session.context().endpoint),
                        ""});
    for (const json& problem : (*status)["problems"])
        findings.push_back({word(problem, "severity") == "note" ? "note" : "warning", word(problem, "type"),
                            word(problem, "message"), word(problem, "hint")});
    auto hosts = session.list(info_of(Kind::host), {});
    if (!hosts) return;
    for (const json& host : *hosts) {
        const json state = host.value("status", json::object());
        const std::string name = word(host, "name");
        if (!state.value("connected", false)) continue;  // among the problems already
        findings.push_back({"ok", "host " + name,
                            fmt::format("connected, guests run with {}: {}", word(state["facts"], "accelerator"),
                                        word(state["facts"], "acceleratorWhy")),
                            ""});
    }
}

Result<int> tell(const Terminal& terminal, const Flags& flags, const std::vector<Finding>& findings) {
    bool failed = false;
    json all = json::array();
    std::string text;
    for (const Finding& f : findings) {
        failed = failed || f.level == "error";
        all.push_back({{"level", f.level}, {"subject", f.subject}, {"message", f.message}, {"fix", f.fix}});
        text += fmt::format("{:<8} {}: {}\n", f.level, f.subject, f.message);
        if (!f.fix.empty()) text += fmt::format("         => {}\n", f.fix);
    }
    terminal.data(flags.output == Output::json_text ? all.dump(2) + "\n" : text);
    return failed ? 1 : 0;
}

}  // namespace

void add_doctor_command(Build& build) {
    CLI::App* doctor =
        build.verb(&build.app, "doctor", "Check server, hosts and this machine; each with the cause and the fix", {});
    doctor->callback([&build] {
        build.raw = [](const Terminal& terminal, const Flags& flags) -> Result<int> {
            std::vector<Finding> findings;
            auto session = Session::open(terminal, flags);
            if (session)
                add_server(*session, findings);
            else
                findings.push_back({"error", "server", session.error().message, session.error().hint});
            add_local(findings);
            return tell(terminal, flags, findings);
        };
    });
}

}  // namespace axle::cli
