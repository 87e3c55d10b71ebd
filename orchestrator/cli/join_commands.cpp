// host token: the line that makes another machine a host.
#include "common/link/join_string.hpp"
#include "common/loop/random.hpp"
#include "orchestrator/cli/app.hpp"

namespace axle::cli {
namespace {

struct Options {
    std::string name, host, expires;
    std::int64_t uses = 1;
};

const KindInfo& kind() {
    return info_of(Kind::jointoken);
}

std::string drawn_name(const Options& o) {
    SystemRandom random;
    return fmt::format("{}-{:08x}", o.host.empty() ? "join" : o.host, random.next() & 0xffffffffU);
}

json document_of(const Options& o) {
    json spec = {{"uses", o.uses}};
    if (!o.host.empty()) spec["host"] = o.host;
    if (!o.expires.empty()) spec["lifetime"] = o.expires;
    return {{"kind", "jointoken"}, {"name", o.name.empty() ? drawn_name(o) : o.name}, {"spec", std::move(spec)}};
}

// The script is pinned by its hash, so it may come from a server whose certificate curl doesn't know.
std::string line_of(const JoinString& join, const json& info, const std::string& string) {
    return fmt::format("curl -gkfo axle-join.sh {}{} && echo '{}  axle-join.sh' | sha256sum -c && sh axle-join.sh {}",
                       join.endpoints.front(), info.value("script", ""), info.value("scriptHash", ""), string);
}

void tell(Session& session, const json& token, const JoinString& join, const json& info) {
    const std::string string = write_join_string(join);
    const bool installs = !info.value("scriptHash", "").empty();
    json out = token;
    out["joinString"] = string;
    if (installs) out["line"] = line_of(join, info, string);
    if (session.flags().output != Output::table && session.flags().output != Output::wide)
        return show_one(session, out);
    const Terminal& terminal = session.terminal();
    if (installs) {
        terminal.say("paste this on the new host, as root (Debian 12, x86-64); it holds a secret:");
        terminal.data(line_of(join, info, string) + "\n");
        terminal.say("where the package axle-agent is installed already: axle-agent join STRING, the line's last word");
        return;
    }
    terminal.say("nothing can be installed from here: " + info.value("whyNoScript", ""));
    terminal.say("where the package axle-agent is installed, run this as root; it holds a secret:");
    terminal.data("axle-agent join " + string + "\n");
}

Result<int> create(Session& session, const Options& o) {
    TRY(info, session.get("/v1/join-info"));  // first: a token that nobody can use is not made
    JoinString join{.endpoints = info.value("endpoints", std::vector<std::string>{}),
                    .authority = info.value("authority", ""),
                    .cluster = info.value("cluster", "")};
    if (join.endpoints.empty())
        return fail(error(Code::conflict, "the orchestrator has no address that another machine could reach")
                        .with_hint("name one in /etc/axle/axle.yaml there: advertise: [cloud.example]"));
    const json document = document_of(o);
    TRY(token, session.request("POST", session.path_of(kind()), &document));
    join.secret = token.value("secret", "");
    tell(session, token, join, info);
    return 0;
}

Result<int> remove(Session& session, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        TRY(code, change(session, "DELETE", session.path_of(kind(), name), nullptr,
                         fmt::format("join token {} is deleted", name)));
        if (code != 0) return code;
    }
    return 0;
}

}  // namespace

void add_join_commands(Build& build) {
    CLI::App* host = build.noun("host", info_of(Kind::host).doc);
    CLI::App* noun = host->add_subcommand("token", kind().doc)->fallthrough()->require_subcommand(1);
    auto o = std::make_shared<Options>();
    CLI::App* create_verb =
        build.verb(noun, "create", "Print the line that makes another machine a host, or renews the certificate of one",
                   [o](Session& s) { return create(s, *o); });
    create_verb->add_option("name", o->name, "Name of the token (default: one is drawn)");
    create_verb->add_option("--host", o->host, "A host that is here already and has lost its certificate");
    create_verb->add_option("--uses", o->uses, "How many machines may join with it");
    create_verb->add_option("--expires", o->expires, "Such as 1h (default: 24h)");
    build
        .verb(noun, "list", "List join tokens",
              [](Session& s) -> Result<int> {
                  TRY(items, s.list(kind(), {}));
                  show_list(s, kind(), items);
                  return 0;
              })
        ->alias("ls");
    auto names = std::make_shared<std::vector<std::string>>();
    CLI::App* remove_verb = build.verb(noun, "delete", "Delete join tokens: nobody joins with them any more",
                                       [names](Session& s) { return remove(s, *names); });
    remove_verb->alias("rm");
    remove_verb->add_option("name", *names, "Names or ids")->required();
}

}  // namespace axle::cli
