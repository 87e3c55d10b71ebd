// login and contexts: which servers this person knows.
#include <unistd.h>

#include "orchestrator/cli/app.hpp"
#include "orchestrator/cli/columns.hpp"

namespace axle::cli {
namespace {

struct Options {
    std::string endpoint, name, fingerprint;
    bool yes = false;
};

std::string spaced(const std::string& fingerprint) {  // in pairs, to compare by eye
    std::string out;
    for (std::size_t i = 0; i < fingerprint.size(); ++i) {
        if (i > 0 && i % 2 == 0) out += ':';
        out += fingerprint[i];
    }
    return out;
}

std::string only_hex(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c >= 'A' && c <= 'F')
            out += static_cast<char>(c + 32);
        else if (c != ':' && c != ' ')
            out += c;
    }
    return out;
}

// The person compares; what was said to be expected by flag is compared here.
Result<> check_certificate(const Terminal& terminal, const Options& o, const http::ShownCertificate& shown) {
    const std::string expected = only_hex(o.fingerprint);
    if (!expected.empty()) {
        if (expected == shown.authority_fingerprint || expected == shown.fingerprint) return {};
        return fail(
            error(Code::forbidden, "the server shows another certificate: {}", spaced(shown.authority_fingerprint))
                .with_hint("somebody may stand between, or the fingerprint is of another server"));
    }
    terminal.say(fmt::format("{} shows a certificate of an authority with the SHA-256 fingerprint\n  {}", o.endpoint,
                             spaced(shown.authority_fingerprint)));
    if (o.yes) return {};
    if (!terminal.in_is_tty)
        return fail(
            usage("nobody is here to compare the fingerprint", "give it with --fingerprint, or --yes to trust it"));
    terminal.say(
        "It stands in the server's log (journalctl -u 'axle*'), and quickstart tells it. Is it the same? [yes/no]");
    const std::string answer = terminal.read_line(true);
    if (answer == "yes" || answer == "y") return {};
    return fail(error(Code::forbidden, "not logged in"));
}

Result<Context> new_context(const Terminal& terminal, const Flags& flags, const Options& o) {
    auto endpoint = http::Endpoint::parse(o.endpoint);
    if (!endpoint) return fail(usage(endpoint.error().message, "for example axle login https://cloud.example:7443"));
    Context context{.endpoint = endpoint->str(), .project = flags.wanted.project};
    if (endpoint->kind == http::Endpoint::Kind::https) {
        TRY(shown, http::fetch_certificate(*endpoint));
        TRY_VOID(check_certificate(terminal, o, shown));
        // An authority signs the next certificate as well; a certificate that stands alone is kept itself.
        if (shown.authority_fingerprint != shown.fingerprint)
            context.authority = shown.authority;
        else
            context.fingerprint = shown.fingerprint;
    }
    Flags with_token = flags;
    with_token.wanted.endpoint = context.endpoint;
    TRY(chosen, choose_context(terminal, with_token.wanted));
    const bool given =
        !flags.wanted.token.empty() || !flags.wanted.token_file.empty() || !terminal.environment("AXLE_TOKEN").empty();
    if (given) context.token = chosen.token;
    if (context.token.empty() && endpoint->kind != http::Endpoint::Kind::unix_socket) {
        terminal.say("Token:");
        const std::string token = terminal.read_line(false);
        context.token = token;
    }
    return context;
}

Result<http::Client> try_context(const Context& context) {
    TRY(endpoint, http::Endpoint::parse(context.endpoint));
    http::Client client({.endpoint = endpoint,
                         .authority = context.authority,
                         .fingerprint = context.fingerprint,
                         .token = context.token});
    TRY(response, client.request("GET", "/v1/status"));
    if (response.status != 200) return fail(error_of_response(response));
    return client;
}

Result<int> login(const Terminal& terminal, const Flags& flags, const Options& o) {
    TRY(context, new_context(terminal, flags, o));
    TRY(client, try_context(context));
    context.name = o.name;
    if (context.name.empty()) context.name = http::Endpoint::parse(context.endpoint)->host;
    if (context.name.empty()) context.name = "local";
    TRY_VOID(change_config(terminal, [&](Config& config) -> Result<> {
        config.contexts[context.name] = context;
        config.current = context.name;
        return {};
    }));
    keep_trust(terminal, client, context);
    terminal.say(fmt::format("logged in to {}; context {} is in use", context.endpoint, context.name));
    return 0;
}

Result<int> list_contexts(const Terminal& terminal) {
    TRY(config, load_config(terminal));
    std::vector<std::vector<std::string>> rows;
    for (const auto& [name, c] : config.contexts)
        rows.push_back({name == config.current ? "*" : "", name, c.endpoint, c.project});
    if (rows.empty()) return terminal.say("no contexts; axle login https://HOST:7443 makes one"), 0;
    terminal.data(table_text({"", "NAME", "ENDPOINT", "PROJECT"}, rows));
    return 0;
}

Result<int> change_contexts(const Terminal& terminal, const std::string& name, bool removes) {
    TRY_VOID(change_config(terminal, [&](Config& config) -> Result<> {
        if (!config.contexts.contains(name)) return fail(Code::not_found, "there is no context \"{}\"", name);
        if (removes) config.contexts.erase(name);
        if (!removes)
            config.current = name;
        else if (config.current == name)
            config.current.clear();
        return {};
    }));
    return 0;
}

void add_raw(Build& build, CLI::App* command, std::function<Result<int>(const Terminal&, const Flags&)> run) {
    command->callback([&build, run = std::move(run)] { build.raw = run; });
}

}  // namespace

void add_login_commands(Build& build) {
    auto o = std::make_shared<Options>();
    CLI::App* in = build.verb(&build.app, "login", "Get to know a server and keep a context for it", {});
    add_raw(build, in, [o](const Terminal& t, const Flags& f) { return login(t, f, *o); });
    in->add_option("endpoint", o->endpoint, "https://HOST:7443")->required();
    in->add_option("--name", o->name, "Name of the context (default: the host's)");
    in->add_option("--fingerprint", o->fingerprint, "SHA-256 that the server's authority must have");
    in->add_flag("--yes", o->yes, "Trust what it shows");

    CLI::App* noun = build.noun("context", "Servers that you know, and which one is in use");
    CLI::App* list = build.verb(noun, "list", "List contexts", {});
    list->alias("ls");
    add_raw(build, list, [](const Terminal& t, const Flags&) { return list_contexts(t); });
    for (const bool removes : {false, true}) {
        auto name = std::make_shared<std::string>();
        CLI::App* command =
            build.verb(noun, removes ? "delete" : "use", removes ? "Forget a context" : "Use a context", {});
        command->add_option("name", *name, "Context")->required();
        add_raw(build, command,
                [name, removes](const Terminal& t, const Flags&) { return change_contexts(t, *name, removes); });
    }
}

}  // namespace axle::cli
