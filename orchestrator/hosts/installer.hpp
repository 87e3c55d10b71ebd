// What a new host is given to install: the packages of this very release and a script that checks and installs them.
// The script holds the packages' hashes, and the line that a person pastes holds the script's: so it may be fetched
// from a server that the machine doesn't know yet. Every call blocks.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace axle {

constexpr const char* kInstallScript = "agent.sh";  // below kInstallPath; the packages lie beside it

struct Installer {
    std::string script;                 // empty: nothing can be installed from here
    std::string script_hash;            // sha256 hex
    std::vector<std::string> packages;  // file names
    std::string why_not;                // where there is no script
};
extern const std::string_view kInstallScriptText;  // agent.sh

Installer make_installer(const std::string& folder, const std::vector<std::string>& endpoints);

}  // namespace axle
