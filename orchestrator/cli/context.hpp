// Which server, as whom, in which project: from flags, environment, ~/.config/axle/config.yaml, or the unix socket of
// the orchestrator's own machine.
#pragma once
#include <map>
#include <string>

#include "common/base/result.hpp"
#include "orchestrator/cli/terminal.hpp"

namespace axle::cli {

struct Context {
    std::string endpoint;  // "https://host:7443", "unix:/run/axle/api.sock"
    std::string token;
    std::string project;      // empty: default
    std::string authority;    // PEM text of the CA that is trusted
    std::string fingerprint;  // of the server's certificate, where there is no authority
};

struct Config {
    std::string current;
    std::map<std::string, Context> contexts;
};

std::string config_directory(const Terminal& terminal);                // ~/.config/axle
Result<Config> load_config(const Terminal& terminal);                  // without a file: empty
Result<> save_config(const Terminal& terminal, const Config& config);  // mode 0600

struct Wanted {  // flags; empty: not given
    std::string endpoint, token, token_file, project, context;
};
// Flags win over AXLE_ENDPOINT, AXLE_TOKEN, AXLE_PROJECT, AXLE_CONTEXT, those over the chosen context, that over the
// unix socket (AXLE_SOCKET, /run/axle/api.sock).
Result<Context> choose_context(const Terminal& terminal, const Wanted& wanted);

}  // namespace axle::cli
