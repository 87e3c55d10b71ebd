#include "orchestrator/store/identity.hpp"

#include <openssl/rand.h>

#include "common/base/ensure.hpp"
#include "common/base/file.hpp"

namespace axle {
namespace {

constexpr std::size_t kKeyBytes = 32;

}  // namespace

std::string cluster_id_path(const std::string& identity_directory) {
    return identity_directory + "/cluster-id";
}
std::string secret_key_path(const std::string& identity_directory) {
    return identity_directory + "/secret-key";
}
std::string witness_path(const std::string& identity_directory) {
    return identity_directory + "/witness";
}

Result<std::optional<Identity>> read_identity(const std::string& directory) {
    const std::string id_path = cluster_id_path(directory), key_path = secret_key_path(directory);
    auto text = read_file(id_path, 4096);
    if (!text && text.error().code == Code::not_found) return std::nullopt;
    if (!text) return fail(std::move(text.error()).in("the cluster's identity"));
    text->erase(text->find_last_not_of(" \r\n") + 1);
    const auto cluster = Uuid::parse(*text);
    if (!cluster)
        return fail(error(Code::corrupt, "{} holds no cluster id ({} bytes)", id_path, text->size())
                        .with_hint("put the file back from a backup; nothing was changed"));
    auto key = read_file(key_path, 4096);
    if (!key && key.error().code == Code::not_found)
        return fail(error(Code::conflict, "cluster {} is here ({}), but {} with the key of its secrets is missing",
                          cluster->str(), id_path, key_path)
                        .with_hint("put the key back from a backup: without it no secret can be read; nothing was "
                                   "changed"));
    if (!key) return fail(std::move(key.error()).in("the key of the cluster's secrets"));
    if (key->size() != kKeyBytes)
        return fail(error(Code::corrupt, "{} holds {} bytes, a key has {}", key_path, key->size(), kKeyBytes)
                        .with_hint("put the file back from a backup; nothing was changed"));
    return Identity{*cluster, *std::move(key)};
}

Result<Identity> make_identity(const std::string& directory, const Uuid& cluster) {
    std::string key(kKeyBytes, '\0');
    if (RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), static_cast<int>(key.size())) != 1)
        return fail(Code::internal, "the system gave no random bytes for the key of the secrets");
    TRY_VOID(make_directories(directory, 0700));
    TRY_VOID(write_file_durably(secret_key_path(directory), key, 0600));
    KILL_POINT("store.identity.key-written");
    TRY_VOID(write_file_durably(cluster_id_path(directory), cluster.str() + "\n", 0600));
    return Identity{cluster, std::move(key)};
}

}  // namespace axle
