// Which server, as whom, in which project: from flags, environment, ~/.config/axle/config.yaml, or the unix socket of
// the orchestrator's own machine.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "orchestrator/cli/terminal.hpp"

namespace axle::http {
class Client;
}

namespace axle::cli {

struct Context {
    std::string endpoint;  // "https://host:7443", "unix:/run/axle/api.sock"
    std::string token;
    std::string project;      // empty: default
    std::string authority;    // PEM text of the CA that is trusted, or of it and its successor
    std::string fingerprint;  // of the server's certificate, where there is no authority
    std::string name = {};    // under which it is kept; empty: it is not
};

struct Config {
    std::string current;
    std::map<std::string, Context> contexts;
};

std::string config_directory(const Terminal& terminal);                // ~/.config/axle
Result<Config> load_config(const Terminal& terminal);                  // without a file: empty
Result<> save_config(const Terminal& terminal, const Config& config);  // mode 0600
// What other processes change meanwhile is not lost.
Result<> change_config(const Terminal& terminal, const std::function<Result<>(Config&)>& change);

// Code::unauthenticated when all that the context trusts has ended, by the clock of this machine: nothing vouches for
// the server any more, and a person has to compare its fingerprint again.
Result<> check_trust(const Context& context, WallTime now);
// What the context trusts ends one day: while it can vouch for the server, that is asked what lasts longer, and the
// context is kept with it. Quiet; what does not work out is tried again with the next command.
void keep_trust(const Terminal& terminal, http::Client& client, const Context& context);

struct Wanted {  // flags; empty: not given
    std::string endpoint, token, token_file, project, context;
};
// Flags win over AXLE_ENDPOINT, AXLE_TOKEN, AXLE_PROJECT, AXLE_CONTEXT, those over the chosen context, that over the
// unix socket (AXLE_SOCKET, /run/axle/api.sock).
Result<Context> choose_context(const Terminal& terminal, const Wanted& wanted);

}  // namespace axle::cli
