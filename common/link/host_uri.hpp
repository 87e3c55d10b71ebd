// Who a machine is: the URI in a certificate of the cluster's authority (kHostUriPrefix). Pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/id.hpp"
#include "common/link/join_string.hpp"

namespace axle {

// nullopt: none of them is a host's.
inline std::optional<HostId> host_in(const std::vector<std::string>& uris) {
    constexpr std::string_view kPrefix = kHostUriPrefix;
    for (const std::string& uri : uris) {
        if (!uri.starts_with(kPrefix)) continue;
        const auto id = Uuid::parse(std::string_view(uri).substr(kPrefix.size()));
        return id ? std::optional(HostId{*id}) : std::nullopt;
    }
    return std::nullopt;
}

}  // namespace axle
