// What lies on a host and no record knows (DESIGN 7): an agent tells of it and leaves it alone, until a person says
// what is to become of it.
#pragma once
#include <string>
#include <vector>

#include "common/channel/reports.hpp"

namespace axle {

// A document that the orchestrator doesn't know, or a domain or a volume file that no document here tells of.
struct UnclaimedThing {
    DocumentKind kind = DocumentKind::volume;
    Uuid id{};
    std::string name;   // project/name, as its document or domain tells; empty: nothing does
    bool held = false;  // the agent has its document
    Epoch epoch;        // of its document, else of the domain: who removes it has seen it so
    std::string since;  // since when this agent, as it runs, has seen it so
    std::string path;   // of a file or directory

    DomainState state = DomainState::absent;  // vm
    std::int64_t cpus = 0, memory = 0;
    std::vector<Uuid> volumes;
    std::string elsewhere;  // vm: why it is no guest of this host, or not for certain; empty: it is at home here

    Uuid pool{};            // volume
    std::int64_t size = 0;  // virtual; 0: there is no file
    std::int64_t allocated = 0;
    DiskFormat format = DiskFormat::qcow2;
    std::string image_digest;
    std::string user;  // that has it: a guest or a domain here

    // As the agent keeps it; of a vm with what a person asked of the agent itself. Holds secrets: never shown.
    std::string document;
    bool operator==(const UnclaimedThing&) const = default;
};
template <class V>
void describe(UnclaimedThing& v, V&& field) {
    field("kind", v.kind, {.doc = "vm, volume, network or pool."});
    field("id", v.id, {.doc = "Its id."});
    field("name", v.name, {.doc = "project/name, as far as anything tells."});
    field("held", v.held, {.doc = "The agent has its document."});
    field("epoch", v.epoch, {.doc = "Of its document, else of the domain."});
    field("since", v.since, {.doc = "Since when the agent sees it so.", .unit = Unit::time});
    field("path", v.path, {.doc = "File or directory."});
    field("state", v.state, {.doc = "What the guest is doing."});
    field("cpus", v.cpus, {.doc = "Virtual CPUs."});
    field("memory", v.memory, {.doc = "Memory.", .unit = Unit::bytes});
    field("volumes", v.volumes, {.doc = "Its disks."});
    field("elsewhere", v.elsewhere, {.doc = "Why the guest is not this host's."});
    field("pool", v.pool, {.doc = "Pool that the volume lies in."});
    field("size", v.size, {.doc = "Size that a guest sees.", .unit = Unit::bytes});
    field("allocated", v.allocated, {.doc = "Bytes that it takes.", .unit = Unit::bytes});
    field("format", v.format, {.doc = "Format of the file."});
    field("imageDigest", v.image_digest, {.doc = "Image that it is an overlay of."});
    field("user", v.user, {.doc = "Guest or domain that has it."});
    field("document", v.document, {.format = Format::multiline, .sensitive = true});
}

constexpr std::size_t kUnclaimedMax = 100;              // things told
constexpr std::size_t kUnclaimedBytesMax = 512 << 10;   // of their documents
constexpr std::size_t kUnclaimedFilesMax = 4096;        // ids told of files on shared pools
constexpr const char* kUnclaimedFeature = "unclaimed";  // the agent knows these messages

// From an agent, when it has changed. A guest and its disks are told together or not at all.
struct UnclaimedReport {
    std::vector<UnclaimedThing> things;
    std::int64_t total = 0;
    // Files on shared pools without a document here: most are other hosts'. Which are nobody's the answer says.
    std::vector<Uuid> files;
    bool operator==(const UnclaimedReport&) const = default;
};
template <class V>
void describe(UnclaimedReport& v, V&& field) {
    field("things", v.things, {});
    field("total", v.total, {});
    field("files", v.files, {});
}

struct UnknownThing {
    DocumentKind kind = DocumentKind::vm;
    Uuid id{};
    auto operator<=>(const UnknownThing&) const = default;
};
template <class V>
void describe(UnknownThing& v, V&& field) {
    field("kind", v.kind, {});
    field("id", v.id, {});
}
// From the orchestrator: which of the documents and shared files that this agent has told of it doesn't know. All of
// them; a later one replaces it.
struct UnknownThings {
    std::vector<UnknownThing> things;
};
template <class V>
void describe(UnknownThings& v, V&& field) {
    field("things", v.things, {});
}

// A person's durable word that one thing on this host is to be removed. Done only while the thing is as it was seen and
// nobody uses it; else refused, as news of `task`. When nothing is left of it a status says so, at `epoch`.
struct RemoveOrder {
    TaskId task;
    DocumentKind kind = DocumentKind::volume;
    Uuid id{};
    Uuid pool{};  // volume: that it lies in
    Epoch seen;   // UnclaimedThing::epoch
    bool held = false;
    Epoch epoch;  // of this word; above all that was seen
    std::uint64_t connection = 0;
};
template <class V>
void describe(RemoveOrder& v, V&& field) {
    field("task", v.task, {});
    field("kind", v.kind, {});
    field("id", v.id, {});
    field("pool", v.pool, {});
    field("seen", v.seen, {});
    field("held", v.held, {});
    field("epoch", v.epoch, {});
    field("connection", v.connection, {});
}

}  // namespace axle
