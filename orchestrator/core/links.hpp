// The orchestrator's ends of the agents' channels (DESIGN 7): what each host holds, what it lacks, and sending the
// difference once that is durable. Core thread only.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "orchestrator/core/derive.hpp"
#include "orchestrator/core/pipeline.hpp"

namespace axle {

// What links tell the rest of the core.
struct LinkEvents {
    // A host said hello. Refusal ends the connection with the reason.
    std::function<Result<>(const Hello&)> hello;
    std::function<void(const Uuid& host)> lost;
    std::function<void(const Uuid& host, const Status&)> status;
    std::function<void(const Uuid& host, const HostFacts&)> facts;
    std::function<void(const Uuid& host, const TaskNews&)> task;
    std::function<void(const StreamData&)> stream_data;
    std::function<void(const StreamClose&)> stream_closed;
};

class HostLinks {
  public:
    static constexpr std::size_t kDocumentsAtOnce = 200;

    HostLinks(Pipeline& pipeline, Executor& core, std::string cluster,
              std::function<std::string(const std::string&)> image_source, LinkEvents events);
    ~HostLinks();

    // Takes a connection over; it says hello first. ended: told once, on the core thread, when it is over.
    void attach(std::unique_ptr<Channel> channel, std::function<void()> ended = {});
    bool is_connected(const Uuid& host) const { return by_host_.contains(host); }
    std::uint64_t connection_of(const Uuid& host) const;
    const HostLoad* load_of(const Uuid& host) const;
    // Sends when all that is in the head now is durable; lost with the connection.
    void send(const Uuid& host, Message message);
    // A change was committed: documents that it touches are looked at again.
    void changed(const ChangeEvent& event);

  private:
    struct Link;
    void received(Link& link, Message message);
    void said_hello(Link& link, const Hello& hello);
    void closed(Link& link);
    void forget_held(Link& link, const Status& gone);
    void mark(const Uuid& host, const DocumentRef& key);
    void flush(Link& link);
    bool describe_one(Link& link, const DocumentRef& key, Desired& desired);
    DeriveContext context() const;

    Pipeline& pipeline_;
    Executor& core_;
    std::string cluster_;
    std::function<std::string(const std::string&)> image_source_;
    LinkEvents events_;
    std::map<std::uint64_t, std::shared_ptr<Link>> links_;
    std::map<Uuid, Link*> by_host_;
    std::uint64_t last_link_ = 0;
};

}  // namespace axle
