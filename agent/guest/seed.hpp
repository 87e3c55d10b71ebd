// The NoCloud seed of a guest's first boot: an ISO file with label cidata that cloud-init reads.
#pragma once
#include <string>

#include "common/base/result.hpp"
#include "common/channel/documents.hpp"

namespace axle {

struct SeedFiles {
    std::string meta_data;       // instance-id, local-hostname, public-keys
    std::string user_data;       // as given, or #cloud-config with name and keys
    std::string network_config;  // version 2: DHCP on every NIC, matched by MAC
    std::string digest() const;  // sha256 over all, hex
};

// Every text of the document stands quoted in the YAML. Code::too_large over 512 KiB of user data. Pure.
Result<SeedFiles> seed_files(const VmDocument& vm);

std::string seed_path(const std::string& directory, VmId vm);

// Makes <directory>/<vm>.iso, mode 0600, whole and synced, unless it is there with the same content; the answer is its
// path. The same document always gives the same bytes. tag: of temporary names (NewFile). Blocks on xorriso.
Result<std::string> make_seed_file(const std::string& directory, const VmDocument& vm, const std::string& tag);
Result<> remove_seed_file(const std::string& directory, VmId vm);  // not there: success; durable
// What a crash left of a seed that was being made.
Result<> sweep_seeds(const std::string& directory, const std::string& tag);

}  // namespace axle
