// The messages between an orchestrator and an agent (DESIGN 7), and their JSON form. The same over mutual TLS and over
// the in-process link of the all-in-one. Unknown fields and unknown message types are ignored on reading.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/result.hpp"
#include "common/channel/reports.hpp"
#include "common/channel/unclaimed.hpp"

namespace axle {

struct HeldDocument {
    DocumentKind kind = DocumentKind::vm;
    Uuid id{};
    std::string hash;  // of the content, as the orchestrator gave it
    Epoch epoch;
};
// Both sides tell the oldest and the newest protocol that they speak; the newest that both know is spoken. It is raised
// only by what the other side could not ignore; everything else is a new field, message or feature.
constexpr std::int64_t kProtocol = 1, kProtocolOldest = 1;
struct Hello {
    std::int64_t protocol = 1, protocol_oldest = 1;
    std::vector<std::string> features;  // of the agent, beyond the protocol
    std::string cluster;
    HostId host;
    std::string boot_id;
    std::string instance;  // drawn at each start of the agent: two of them under one host id are told apart
    std::string version;
    std::uint64_t connection = 0;  // counts up on this host; tasks are taken only on the newest
    std::uint64_t highest_revision = 0;
    std::uint64_t highest_incarnation = 0;
    std::string seal;  // that came with them: only revisions that an orchestrator of this cluster gave count
    std::string run_id, run_seal;  // of the highest incarnation, as they came: empty from older agents
    std::vector<HeldDocument> documents;
    HostFacts facts;
};
// The orchestrator's answer to hello.
struct Welcome {
    std::int64_t protocol = 1, protocol_oldest = 1;
    std::vector<std::string> features;
    std::string version;
    std::string host;  // name of the host here
};
// The agent's key is renewed: a signing request (PEM), answered with a certificate and its authority, or with why not.
struct CertificateRequest {
    std::string request;
};
struct CertificateGrant {
    std::string certificate;
    std::string error;
};
// Where the orchestrator is found: told after each hello, kept by the agent before it says so in its facts.
struct Endpoints {
    std::vector<std::string> endpoints;
};
// Before an end closes the connection: why, at full length (a WebSocket's close frame has room for 123 bytes).
struct Bye {
    std::string why;
};
// One document to keep. content: JSON of the document struct of this kind.
struct Put {
    DocumentKind kind = DocumentKind::vm;
    Uuid id{};
    Epoch epoch;
    std::string hash;
    std::string content;
};
// Undefine and remove furniture; touch no file.
struct Release {
    DocumentKind kind = DocumentKind::vm;
    Uuid id{};
    Epoch epoch;
};
// Remove the file too: only from a committed expunge.
struct Destroy {
    DocumentKind kind = DocumentKind::volume;
    Uuid id{};
    Epoch epoch;
};
// This placement still holds. A guest with a disk on a shared pool starts only after a put or a confirmation of its
// epoch since the host booted (DESIGN 8); sent for those after each hello.
struct Confirm {
    DocumentKind kind = DocumentKind::vm;
    Uuid id{};
    Epoch epoch;
};
struct Desired {
    std::string cluster;  // of the orchestrator; an agent of another takes nothing
    std::uint64_t incarnation = 0;
    std::string run_id;
    std::uint64_t revision = 0;  // what the agent has after taking this message
    std::string seal;            // over incarnation and revision; told again in hello
    std::string run_seal;        // over incarnation and run id; the same
    std::vector<Put> puts;
    std::vector<Release> releases;
    std::vector<Destroy> destroys;
    std::vector<Confirm> confirms;
};
// Status of a document. gone: released or destroyed, nothing is left of it. content: JSON of the report struct of this
// kind.
struct Status {
    DocumentKind kind = DocumentKind::vm;
    Uuid id{};
    Epoch epoch;
    bool gone = false;
    std::string content;
};
struct Facts {
    HostFacts facts;
};
struct Heartbeat {
    std::optional<HostLoad> load;  // empty: it can't tell; the beat itself is what counts
};
enum class TaskState { running, succeeded, failed, cancelled };
constexpr EnumNames<TaskState, 4> names(TaskState) {
    return {{{TaskState::running, "running"},
             {TaskState::succeeded, "succeeded"},
             {TaskState::failed, "failed"},
             {TaskState::cancelled, "cancelled"}}};
}
enum class TaskVerb { reboot, reset };
constexpr EnumNames<TaskVerb, 2> names(TaskVerb) {
    return {{{TaskVerb::reboot, "reboot"}, {TaskVerb::reset, "reset"}}};
}
// An action that is not a state. Journalled by the agent before its first effect; never run twice.
struct TaskOrder {
    TaskId id;
    TaskVerb verb = TaskVerb::reboot;
    VmId vm;
    Epoch epoch;
    std::uint64_t connection = 0;
};
struct TaskNews {
    TaskId id;
    TaskState state = TaskState::running;
    std::int64_t percent = 0;
    std::string code;     // when failed: kebab-case, e.g. "outcome-unknown"
    std::string message;  // when failed
};
// Byte streams: consoles, VNC, TCP to a guest's port, screenshots, logs. Ids are given by the orchestrator.
enum class StreamKind { console, vnc, tcp, log, screenshot };
constexpr EnumNames<StreamKind, 5> names(StreamKind) {
    return {{{StreamKind::console, "console"},
             {StreamKind::vnc, "vnc"},
             {StreamKind::tcp, "tcp"},
             {StreamKind::log, "log"},
             {StreamKind::screenshot, "screenshot"}}};
}
struct StreamOpen {
    std::uint64_t stream = 0;
    StreamKind kind = StreamKind::console;
    VmId vm;
    std::string address;    // tcp: of the guest
    std::int64_t port = 0;  // tcp
    bool follow = false;    // log
    std::int64_t tail = 0;  // log: bytes from the end; 0: all
};
struct StreamData {
    std::uint64_t stream = 0;
    std::string bytes;  // binary; base64 in JSON
};
struct StreamClose {
    std::uint64_t stream = 0;
    std::string error;  // empty: a clean end
};

using Message = std::variant<Hello, Desired, Status, Facts, Heartbeat, TaskOrder, TaskNews, StreamOpen, StreamData,
                             StreamClose, Welcome, CertificateRequest, CertificateGrant, Endpoints, Bye,
                             UnclaimedReport, UnknownThings, RemoveOrder>;

std::string encode(const Message& message);
// nullopt: a type that this release does not know (ignored). Error: malformed or over the limits.
Result<std::optional<Message>> decode(std::string_view text);

// One end of a connection. send() on the owner's thread; messages and the end arrive on the owner's thread, in order.
// Messages may be lost only together with the connection.
class Channel {
  public:
    virtual ~Channel() = default;
    virtual void send(Message message) = 0;
    virtual void on_message(std::function<void(Message)> told) = 0;
    virtual void on_closed(std::function<void(std::string why)> told) = 0;
    virtual void close(std::string why) = 0;
};

template <class V>
void describe(HeldDocument& v, V&& field) {
    field("kind", v.kind, {});
    field("id", v.id, {});
    field("hash", v.hash, {});
    field("epoch", v.epoch, {});
}
template <class V>
void describe(Hello& v, V&& field) {
    field("protocol", v.protocol, {});
    field("protocolOldest", v.protocol_oldest, {});
    field("features", v.features, {});
    field("cluster", v.cluster, {});
    field("host", v.host, {});
    field("bootId", v.boot_id, {});
    field("instance", v.instance, {});
    field("version", v.version, {});
    field("connection", v.connection, {});
    field("highestRevision", v.highest_revision, {});
    field("highestIncarnation", v.highest_incarnation, {});
    field("seal", v.seal, {});
    field("runId", v.run_id, {});
    field("runSeal", v.run_seal, {});
    field("documents", v.documents, {});
    field("facts", v.facts, {});
}
template <class V>
void describe(Welcome& v, V&& field) {
    field("protocol", v.protocol, {});
    field("protocolOldest", v.protocol_oldest, {});
    field("features", v.features, {});
    field("version", v.version, {});
    field("host", v.host, {});
}
template <class V>
void describe(CertificateRequest& v, V&& field) {
    field("request", v.request, {.format = Format::multiline});
}
template <class V>
void describe(CertificateGrant& v, V&& field) {
    field("certificate", v.certificate, {.format = Format::multiline});
    field("error", v.error, {});
}
template <class V>
void describe(Endpoints& v, V&& field) {
    field("endpoints", v.endpoints, {});
}
template <class V>
void describe(Bye& v, V&& field) {
    field("why", v.why, {.format = Format::multiline});
}
template <class V>
void describe(Put& v, V&& field) {
    field("kind", v.kind, {});
    field("id", v.id, {});
    field("epoch", v.epoch, {});
    field("hash", v.hash, {});
    field("content", v.content, {.format = Format::multiline});
}
template <class V>
void describe(Release& v, V&& field) {
    field("kind", v.kind, {});
    field("id", v.id, {});
    field("epoch", v.epoch, {});
}
template <class V>
void describe(Destroy& v, V&& field) {
    field("kind", v.kind, {});
    field("id", v.id, {});
    field("epoch", v.epoch, {});
}
template <class V>
void describe(Confirm& v, V&& field) {
    field("kind", v.kind, {});
    field("id", v.id, {});
    field("epoch", v.epoch, {});
}
template <class V>
void describe(Desired& v, V&& field) {
    field("cluster", v.cluster, {});
    field("incarnation", v.incarnation, {});
    field("runId", v.run_id, {});
    field("revision", v.revision, {});
    field("seal", v.seal, {});
    field("runSeal", v.run_seal, {});
    field("puts", v.puts, {});
    field("releases", v.releases, {});
    field("destroys", v.destroys, {});
    field("confirms", v.confirms, {});
}
template <class V>
void describe(Status& v, V&& field) {
    field("kind", v.kind, {});
    field("id", v.id, {});
    field("epoch", v.epoch, {});
    field("gone", v.gone, {});
    field("content", v.content, {.format = Format::multiline});
}
template <class V>
void describe(Facts& v, V&& field) {
    field("facts", v.facts, {});
}
template <class V>
void describe(Heartbeat& v, V&& field) {
    field("load", v.load, {});
}
template <class V>
void describe(TaskOrder& v, V&& field) {
    field("id", v.id, {});
    field("verb", v.verb, {});
    field("vm", v.vm, {});
    field("epoch", v.epoch, {});
    field("connection", v.connection, {});
}
template <class V>
void describe(TaskNews& v, V&& field) {
    field("id", v.id, {});
    field("state", v.state, {});
    field("percent", v.percent, {});
    field("code", v.code, {});
    field("message", v.message, {});
}
template <class V>
void describe(StreamOpen& v, V&& field) {
    field("stream", v.stream, {});
    field("kind", v.kind, {});
    field("vm", v.vm, {});
    field("address", v.address, {});
    field("port", v.port, {});
    field("follow", v.follow, {});
    field("tail", v.tail, {});
}
template <class V>
void describe(StreamClose& v, V&& field) {
    field("stream", v.stream, {});
    field("error", v.error, {});
}

}  // namespace axle
