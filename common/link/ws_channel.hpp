// An end of the channel between an orchestrator and an agent, over a WebSocket: the same Channel as the in-process
// link. Messages become JSON and back on workers (small ones on the loop); the socket lives on an I/O loop; the owner
// sees values on its thread.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "common/channel/messages.hpp"
#include "common/http/reply.hpp"
#include "common/loop/loop.hpp"
#include "common/loop/workers.hpp"

namespace axle {

constexpr const char* kChannelProtocol = "axle-agent";  // Sec-WebSocket-Protocol
// What an end may be sent at once; the orchestrator's documents with user data are the largest.
constexpr std::size_t kMessageToAgentMax = 16 << 20, kMessageToOrchestratorMax = 4 << 20;

struct WsChannelOptions {
    // In order, on a worker or, for what is small, on the loop. true: the message was for the link itself and goes no
    // further. Error: the peer is cut off.
    std::function<Result<bool>(const Message&)> intercept = {};
    // Once, with the reason, on whichever thread it ends. It must not wait.
    std::function<void(const std::string& why)> ended = {};
    milliseconds first_message{0};             // cut off without one by then; 0: no limit
    std::size_t unhandled_max = 4 << 20;       // bytes received and not yet taken by the owner; more: nothing is read
    std::size_t unsent_messages_max = 10'000;  // more: the peer does not keep up and is cut off
};

// Shared by the channel, the socket's handlers and the jobs that are under way.
class WsChannelState;

// Build the state, give its handlers to the WebSocket, then open() with the handle; the result belongs to `owner`'s
// thread, where it is used and destroyed. All references must outlive the socket.
std::shared_ptr<WsChannelState> make_ws_state(Loop& io, Workers& workers, Executor& owner,
                                              WsChannelOptions options = {});
http::WebSocketHandlers handlers_of(const std::shared_ptr<WsChannelState>& state);
std::unique_ptr<Channel> open_ws_channel(const std::shared_ptr<WsChannelState>& state, http::WebSocket socket);
// From an intercept: a message to the peer. Any thread.
void send_on(WsChannelState& state, Message message);

}  // namespace axle
