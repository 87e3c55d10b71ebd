#include "orchestrator/store/store.hpp"

#include <cstdlib>

#include "common/base/log.hpp"

namespace axle {

const char* name_of(Table table) {
    switch (table) {
        case Table::objects:
            return "objects";
        case Table::changes:
            return "changes";
        case Table::tasks:
            return "tasks";
        case Table::events:
            return "events";
        case Table::audit:
            return "audit";
        case Table::idempotency:
            return "idempotency";
        case Table::meta:
            return "meta";
        case Table::decisions:
            return "decisions";
        case Table::networks_on_hosts:
            return "networks-on-hosts";
    }
    return "unknown";
}

std::string revision_key(Revision revision) {
    std::string key(8, '\0');
    for (std::size_t i = 8; i-- > 0; revision >>= 8) key[i] = static_cast<char>(revision & 0xff);
    return key;
}

std::optional<Revision> parse_revision_key(std::string_view key) {
    if (key.size() != 8) return std::nullopt;
    Revision revision = 0;
    for (const char c : key) revision = revision << 8 | static_cast<std::uint8_t>(c);
    return revision;
}

void die_of(const Error& error) {
    log::error(fmt::format("the store can't go on: {}; the process ends and recovers by starting", error.message),
               {{"HINT", error.hint}});
    std::abort();
}

}  // namespace axle
