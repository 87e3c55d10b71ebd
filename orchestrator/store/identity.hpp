// What makes a cluster this cluster, outside the store's directory so that the two are not lost together: the cluster's
// id and the key that its secrets are sealed with. Files of mode 0600 in one directory; a backup must hold both.
#pragma once
#include <optional>
#include <string>

#include "common/base/id.hpp"
#include "common/base/result.hpp"

namespace axle {

struct Identity {
    Uuid cluster;
    std::string secret_key;  // 32 raw bytes
};

std::string cluster_id_path(const std::string& identity_directory);
std::string secret_key_path(const std::string& identity_directory);
std::string witness_path(const std::string& identity_directory);

// None if there is no cluster id. Code::corrupt if what is there can't be the identity; Code::conflict if the cluster
// id is there without the key.
Result<std::optional<Identity>> read_identity(const std::string& directory);
// Founding only: the key (a new one) first, then the cluster id, each durable; so a cluster id never stands without
// key.
Result<Identity> make_identity(const std::string& directory, const Uuid& cluster);

}  // namespace axle
