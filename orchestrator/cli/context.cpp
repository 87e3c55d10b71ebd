#include "orchestrator/cli/context.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <nlohmann/json.hpp>

#include "common/base/file.hpp"
#include "common/base/now.hpp"
#include "common/base/units.hpp"
#include "common/http/client.hpp"
#include "common/link/succession.hpp"
#include "common/model/codec.hpp"
#include "orchestrator/cli/yaml.hpp"

namespace axle::cli {
namespace {

using nlohmann::json;

std::string config_path(const Terminal& terminal) {
    return config_directory(terminal) + "/config.yaml";
}

std::string text_at(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

std::string first_of(std::initializer_list<std::string> texts) {
    for (const std::string& text : texts) {
        if (!text.empty()) return text;
    }
    return {};
}

Result<std::string> read_token(const std::string& path) {
    auto text = read_file(path, 4096);
    if (!text) return fail(std::move(text.error()).in("the token's file"));
    while (!text->empty() && (text->back() == '\n' || text->back() == '\r' || text->back() == ' ')) text->pop_back();
    return text;
}

}  // namespace

std::string config_directory(const Terminal& terminal) {
    const std::string xdg = terminal.environment("XDG_CONFIG_HOME");
    if (!xdg.empty()) return xdg + "/axle";
    const std::string home = terminal.environment("HOME");
    return (home.empty() ? "/root" : home) + "/.config/axle";
}

Result<Config> load_config(const Terminal& terminal) {
    Config config;
    const std::string path = config_path(terminal);
    auto text = read_file(path, 1 << 20);
    if (!text && text.error().code == Code::not_found) return config;
    if (!text) return fail(std::move(text.error()));
    auto documents = parse_yaml(*text);
    if (!documents) return fail(std::move(documents.error()).in(path));
    if (documents->empty()) return config;
    const json& document = documents->front();
    if (!document.is_object()) return fail(Code::malformed, "{}: must be a map with contexts", path);
    config.current = text_at(document, "currentContext");
    const auto contexts = document.find("contexts");
    if (contexts == document.end() || !contexts->is_object()) return config;
    for (const auto& [name, c] : contexts->items()) {
        if (!c.is_object()) return fail(Code::malformed, "{}: context {} must be a map", path, name);
        config.contexts[name] = {text_at(c, "endpoint"),  text_at(c, "token"),       text_at(c, "project"),
                                 text_at(c, "authority"), text_at(c, "fingerprint"), name};
    }
    return config;
}

Result<> save_config(const Terminal& terminal, const Config& config) {
    json document = {{"currentContext", config.current}, {"contexts", json::object()}};
    for (const auto& [name, c] : config.contexts) {
        json& out = document["contexts"][name];
        out["endpoint"] = c.endpoint;
        for (const auto& [key, value] : {std::pair{"token", &c.token},
                                         {"project", &c.project},
                                         {"authority", &c.authority},
                                         {"fingerprint", &c.fingerprint}}) {
            if (!value->empty()) out[key] = *value;
        }
    }
    TRY_VOID(make_directories(config_directory(terminal), 0700));
    return write_file_durably(config_path(terminal), to_yaml(document), 0600);
}

Result<> change_config(const Terminal& terminal, const std::function<Result<>(Config&)>& change) {
    TRY_VOID(make_directories(config_directory(terminal), 0700));
    const std::string lock = config_directory(terminal) + "/lock";
    const Fd fd(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return fail(system_error("open " + lock, errno));
    while (::flock(fd.get(), LOCK_EX) != 0 && errno == EINTR) {
    }  // where a home can't be locked, one person's two commands in the same instant are a risk that is taken
    TRY(config, load_config(terminal));
    TRY_VOID(change(config));
    return save_config(terminal, config);
}

static bool is_https(const Context& context) {
    const auto endpoint = http::Endpoint::parse(context.endpoint);
    return endpoint && endpoint->kind == http::Endpoint::Kind::https;
}

Result<> check_trust(const Context& context, WallTime now) {
    if (context.authority.empty() || !context.fingerprint.empty() || !is_https(context)) return {};
    const auto end = end_of_trust(context.authority);
    if (!end || now < *end) return {};
    return fail(error(Code::unauthenticated,
                      "the authority by which {} was recognised ended at {}, and the clock here says {}",
                      context.endpoint, format_time(*end), format_time(now))
                    .with_hint(fmt::format("if the clock is right: axle login {}, and compare the fingerprint that it "
                                           "shows with the one in the server's log",
                                           context.endpoint)));
}

void keep_trust(const Terminal& terminal, http::Client& client, const Context& context) {
    if (context.name.empty() || !context.fingerprint.empty() || !is_https(context)) return;
    if (!wants_successor(context.authority, wall_now())) return;
    const auto later = ask_for_successor(client, context.authority);
    if (!later || !*later) return;
    (void)change_config(terminal, [&](Config& config) -> Result<> {
        const auto found = config.contexts.find(context.name);
        // Who has logged in anew meanwhile is left alone.
        if (found != config.contexts.end() && found->second.authority == context.authority)
            found->second.authority = **later;
        return {};
    });
}

Result<Context> choose_context(const Terminal& terminal, const Wanted& wanted) {
    const auto env = [&](const char* name) { return terminal.environment(name); };
    TRY(config, load_config(terminal));
    Context chosen;
    const std::string endpoint = first_of({wanted.endpoint, env("AXLE_ENDPOINT")});
    const std::string name = first_of({wanted.context, env("AXLE_CONTEXT"), endpoint.empty() ? config.current : ""});
    if (!name.empty()) {
        const auto found = config.contexts.find(name);
        if (found == config.contexts.end())
            return fail(error(Code::not_found, "there is no context \"{}\" in {}", name, config_path(terminal))
                            .with_hint("axle context list shows those that there are"));
        chosen = found->second;
    }
    if (!endpoint.empty()) chosen.endpoint = endpoint;
    if (chosen.endpoint.empty()) chosen.endpoint = "unix:" + first_of({env("AXLE_SOCKET"), "/run/axle/api.sock"});
    chosen.project = first_of({wanted.project, env("AXLE_PROJECT"), chosen.project, "default"});
    chosen.token = first_of({wanted.token, env("AXLE_TOKEN"), chosen.token});
    if (!wanted.token_file.empty()) {
        TRY(token, read_token(wanted.token_file));
        chosen.token = token;
    }
    return chosen;
}

}  // namespace axle::cli
