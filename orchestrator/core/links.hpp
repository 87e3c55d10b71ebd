// The orchestrator's ends of the agents' channels (DESIGN 7): what each host holds, what it lacks, and sending the
// difference once that is durable. Core thread only.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "common/base/log.hpp"
#include "common/base/seldom.hpp"
#include "orchestrator/core/derive.hpp"
#include "orchestrator/core/pipeline.hpp"

namespace axle {

// Who is at the other end of a channel, as its certificate says; the default is the agent in our own process.
struct LinkPeer {
    Uuid host{};          // zero: what its hello says
    std::string address;  // from where it connects
    bool local = true;    // shares our file system: images are told as paths
};

// What links tell the rest of the core.
struct LinkEvents {
    // A host said hello. Refusal ends the connection with the reason.
    std::function<Result<>(const Hello&, const LinkPeer&)> hello;
    // Two agents run under this host's id; twin: from where the other one speaks. Empty: no more.
    std::function<void(const Uuid& host, const std::string& twin)> twin;
    std::function<void(const Uuid& host)> lost;
    std::function<void(const Uuid& host, const Status&)> status;
    std::function<void(const Uuid& host, UnclaimedReport)> unclaimed;
    std::function<void(const Uuid& host, const HostFacts&)> facts;
    std::function<void(const Uuid& host, const TaskNews&)> task;
    std::function<void(const Uuid& host, const StreamData&)> stream_data;
    std::function<void(const Uuid& host, const StreamClose&)> stream_closed;
};

// The source of an image for agents elsewhere: they ask the orchestrator that they are connected to for the digest.
constexpr const char* kImageFromOrchestrator = "orchestrator:";

class HostLinks {
  public:
    static constexpr std::size_t kDocumentsAtOnce = 200, kBytesAtOnce = 1 << 20;
    // A host that has just been told of its networks is told again after so long. A network's guests come in crowds,
    // and each of them changes the document of every host that has one.
    static constexpr milliseconds kNetworksEvery{100};
    static constexpr int kEndsToldAMinute = 60;  // in the log: ten thousand may be cut off at once

    struct Settings {
        std::string cluster;
        std::function<std::string(const std::string&)> image_source;
        std::string seal_key;  // of the revisions that agents are given; empty: they are not sealed
    };
    HostLinks(Pipeline& pipeline, Executor& core, Settings settings, LinkEvents events);
    ~HostLinks();

    // Takes a connection over; it says hello first. ended: told once, on the core thread, when it is over.
    void attach(std::unique_ptr<Channel> channel, std::function<void()> ended = {}, LinkPeer peer = {});
    // Ends the connection of a host, if there is one.
    void disconnect(const Uuid& host, const std::string& why);
    // Over incarnation and revision, so that a host can't claim to have seen more than we gave.
    std::string seal(std::uint64_t incarnation, std::uint64_t revision) const;
    std::string run_seal(std::uint64_t incarnation, const std::string& run_id) const;
    bool is_connected(const Uuid& host) const { return by_host_.contains(host); }
    std::uint64_t connection_of(const Uuid& host) const;
    // As its last heartbeat said; empty: none came since it connected, or it isn't connected.
    std::optional<HostLoad> load_of(const Uuid& host) const;
    // A document that a connected host is to have and was not told, or told otherwise. Makes all of them: for tests.
    std::optional<DocumentRef> untold(const Uuid& host) const;
    // Sends when all that is in the head now is durable; lost with the connection.
    void send(const Uuid& host, Message message);
    // A change was committed: documents that it touches are looked at again.
    void changed(const ChangeEvent& event);

  private:
    struct Link;
    void received(Link& link, Message message);
    void said_hello(Link& link, const Hello& hello);
    Result<> check_hello(const Link& link, const Hello& hello);
    bool replaces_elder(Link& link, const Hello& hello);
    void watch_twins(const Link& link, const Hello& hello, bool elder_is_newer);
    void refuse(Link& link, const std::string& why);  // ends it
    void tell_end(Link& link, const std::string& why, log::Level level);
    void closed(Link& link);
    void removed(const Uuid& host);
    void forget_held(Link& link, const Status& gone);
    void mark(const Uuid& host, const DocumentRef& key);
    bool put_off(Link& link, const DocumentRef& key);
    void flush_soon(Link& link);
    void flush(Link& link);
    void note_files(Link& link, const std::vector<Uuid>& files);
    void tell_unknown(Link& link);
    bool describe_one(Link& link, const DocumentRef& key, Desired& desired);
    DeriveContext context(const Link& link) const;
    std::string sealed(const std::string& text) const;  // empty: there is no key
    const std::string& own_run_seal();

    Pipeline& pipeline_;
    Executor& core_;
    const Settings settings_;
    LinkEvents events_;
    struct Run {
        std::uint64_t incarnation = 0;
        std::string id, seal;
    };
    Run own_run_;
    // Agents that spoke under one host id, this one and the one before it.
    struct Instances {
        std::string last, before;
        std::string address;
    };
    std::map<Uuid, Instances> instances_;
    Seldom ends_{kEndsToldAMinute};
    std::map<std::uint64_t, std::shared_ptr<Link>> links_;
    std::map<Uuid, Link*> by_host_;
    std::uint64_t last_link_ = 0;
};

}  // namespace axle
