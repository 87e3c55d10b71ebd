// Inside of common/http: the client reads a response; the client's WebSocket.
#pragma once
#include "common/http/client.hpp"
#include "common/http/client_wire.hpp"

namespace axle::http {

constexpr std::size_t kEarlyAnswerSize = 64 << 10;  // of larger bodies a refusal may come before they are sent

// With `piece` the body of a 2xx goes there. silence: the wait within a body, 0: for ever.
Result<Response> read_response(Wire& wire, bool is_head_request, const Client::Piece& piece, milliseconds timeout,
                               std::optional<milliseconds> silence = {});
// Reads status line and headers only; what follows stays in wire.in. 100 Continue is passed over.
Result<Response> read_response_head(Wire& wire, milliseconds timeout);
// The body that follows a head, piece by piece until the piece says stop. wait: for each of its parts, 0: for ever.
Result<> read_response_body(Wire& wire, const Response& head, const Client::Piece& piece, milliseconds wait);

// head: without the empty line.
Result<WebSocketClient> open_websocket(const ClientOptions& options, std::string head, const WebSocketOptions& wish);

}  // namespace axle::http
