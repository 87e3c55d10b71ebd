#include "orchestrator/hosts/installer.hpp"

#include "common/base/digest.hpp"
#include "common/base/file.hpp"
#include "common/link/join_string.hpp"

namespace axle {
namespace {

constexpr std::int64_t kPackageMax = 256 << 20;

void put(std::string& text, std::string_view name, std::string_view value) {
    for (auto at = text.find(name); at != std::string::npos; at = text.find(name, at + value.size()))
        text.replace(at, name.size(), value);
}

}  // namespace

Installer make_installer(const std::string& folder, const std::vector<std::string>& endpoints) {
    Installer out;
    std::string hashes, words;
    for (const char* package : {"axle-cli", "axle-agent"}) {
        const std::string file = fmt::format("{}_{}_amd64.deb", package, AXLE_VERSION);
        const auto content = read_file(folder + "/" + file, kPackageMax);
        if (!content) {
            out.why_not = fmt::format(
                "{}/{} is not there: put this release's packages in that folder, or install them "
                "on the new host by hand",
                folder, file);
            out.packages.clear();
            return out;
        }
        hashes += (hashes.empty() ? "" : "\n") + sha256_hex(*content) + "  " + file;
        out.packages.push_back(file);
    }
    for (const std::string& endpoint : endpoints) words += (words.empty() ? "" : " ") + endpoint;
    out.script = kInstallScriptText;
    put(out.script, "%VERSION%", AXLE_VERSION);
    put(out.script, "%ENDPOINTS%", words);
    put(out.script, "%HASHES%", hashes);
    put(out.script, "%PATH%", kInstallPath);
    out.script_hash = sha256_hex(out.script);
    return out;
}

}  // namespace axle
