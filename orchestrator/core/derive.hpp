// Host documents from the world: what an agent is to keep (DESIGN 7). Pure.
#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "common/channel/messages.hpp"
#include "orchestrator/core/world.hpp"
#include "orchestrator/store/store.hpp"

namespace axle {

struct DocumentRef {
    DocumentKind kind = DocumentKind::vm;
    Uuid id{};
    auto operator<=>(const DocumentRef&) const = default;
};

struct DeriveContext {
    std::string cluster;
    std::function<std::string(const std::string& digest)> image_source;  // see ImageDocument::source
    Revision head = 0;
};

// Lost with its host, disks and all: it runs nowhere else and never will. A host that comes back with it has the only
// copy, and keeps it for a person to look at (unclaimed).
bool is_nowhere(const World& world, const Vm& vm);

// Of a VM that stays where it is placed; without the cluster.
VmDocument vm_document(const World& world, const Vm& vm);
// The document, or nullopt: the host is not to have it.
std::optional<Put> derive(const World& world, const Uuid& host, const DocumentRef& key, const DeriveContext& context);
// Everything that a host is to have.
std::vector<DocumentRef> wanted_on(const World& world, const Uuid& host);
// What is being removed for good and may still be there, whether the host has a document of it or not: a host that was
// told, and whose confirmation was lost, says again that nothing is left.
std::vector<DocumentRef> leaving_from(const World& world, const Uuid& host);
bool is_leaving(const World& world, const Uuid& host, const DocumentRef& key);
// What becomes of a document that a host has and is not to have. nullopt: the world doesn't know it, so it stays
// (unclaimed).
struct Farewell {
    bool destroy = false;  // its file too
    Epoch epoch;
};
std::optional<Farewell> farewell(const World& world, const Uuid& host, const DocumentRef& key, const Epoch& held);
// Documents that may differ after a change of one object. What is new in a document is new there, too.
std::vector<std::pair<Uuid, DocumentRef>> affected_by(const World& world, const Object* before, const Object* after);

Uuid image_document_id(const Uuid& pool, const std::string& digest);
bool pool_is_on(const Pool& pool, const Host& host);
bool network_is_on(const World& world, const Uuid& network, const Uuid& host);      // a VM there is in it
bool image_is_on(const World& world, const std::string& digest, const Uuid& host);  // a volume there is made from it

}  // namespace axle
