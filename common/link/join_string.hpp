// What a person carries to a new host: where the orchestrator is, by what it is recognised, and the secret that lets
// the host in. One word without anything that a shell would take apart. Pure.
#pragma once
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace axle {

struct JoinString {
    std::vector<std::string> endpoints;  // "https://192.0.2.1:7443", in the order in which they are tried
    std::string authority;               // sha256 of the authority's certificate, hex
    std::string cluster;
    std::string secret;
};
std::string write_join_string(const JoinString& join);
Result<JoinString> read_join_string(const std::string& text);

// Where things lie below the orchestrator's endpoint; what stands for whom in certificates.
constexpr const char* kEnrolPath = "/agent/v1/enrol";
constexpr const char* kChannelPath = "/agent/v1/channel";
constexpr const char* kImagesPath = "/agent/v1/images/";  // + digest
constexpr const char* kInstallPath = "/install/";
constexpr const char* kOrchestratorUri = "axle:orchestrator";
constexpr const char* kHostUriPrefix = "axle:host:";  // + host id

}  // namespace axle
