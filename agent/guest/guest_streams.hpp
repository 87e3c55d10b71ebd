// Byte streams to guests (console, VNC, TCP to a port, log, screenshot), joined to the channel's stream messages
// (DESIGN 7).
//
// handle() on the core thread; sockets and files live on an I/O loop; what comes back is posted to the core.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/channel/messages.hpp"
#include "common/loop/loop.hpp"

namespace axle {

struct GuestPaths {
    std::function<std::string(VmId)> console, vnc, log;
    // The device behind which this guest has this address; an error: it has no such address, nobody is connected.
    std::function<Result<std::string>(VmId, const std::string& address)> device;
};

class GuestStreams {
  public:
    // send: to the orchestrator; core thread. screenshot: answers PNG on the core thread.
    GuestStreams(Loop& io, Executor& core, GuestPaths paths, std::function<void(Message)> send,
                 std::function<void(VmId, std::function<void(Result<std::string>)>)> screenshot);
    ~GuestStreams();
    GuestStreams(const GuestStreams&) = delete;
    GuestStreams& operator=(const GuestStreams&) = delete;

    // StreamOpen, StreamData, StreamClose; nullopt: the connection is gone, every stream ends. Others are ignored.
    void handle(std::optional<Message> message);

  private:
    struct Pipes;
    void open(const StreamOpen& wish);
    std::shared_ptr<Pipes> pipes_;
    GuestPaths paths_;
    std::function<void(Message)> send_;
    std::function<void(VmId, std::function<void(Result<std::string>)>)> screenshot_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace axle
