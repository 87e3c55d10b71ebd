#include "common/http/client.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <unistd.h>

#include "common/base/ensure.hpp"
#include "common/http/client_response.hpp"
#include "common/http/client_wire.hpp"

namespace axle::http {

struct Client::Impl {
    explicit Impl(ClientOptions given) : options(std::move(given)) {}
    std::string head(std::string_view method, std::string_view target, const Headers& headers) const;
    Result<bool> ensure_wire();  // true: a kept connection is used again
    Result<Response> finish(Result<Response> response);

    ClientOptions options;
    std::optional<Wire> wire;
};

std::string Client::Impl::head(std::string_view method, std::string_view target, const Headers& headers) const {
    std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", method, target, options.endpoint.authority());
    if (!options.token.empty() && !headers.has("Authorization"))
        text += "Authorization: Bearer " + options.token + "\r\n";
    for (const auto& [name, value] : headers) {
        ENSURE((name + value).find_first_of("\r\n") == std::string::npos, "a header has no line break");
        text += name + ": " + value + "\r\n";
    }
    return text;
}

Result<bool> Client::Impl::ensure_wire() {
    // A kept connection on which something is to be read has been closed by the server in the meantime.
    if (wire && !wire->is_answered()) return true;
    wire.reset();
    TRY(dialled, Wire::dial(options));
    wire.emplace(std::move(dialled));
    return false;
}

Result<Response> Client::Impl::finish(Result<Response> response) {
    if (!response || response->headers.lists("Connection", "close")) wire.reset();
    return response;
}

Client::Client(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

Result<Response> Client::request(std::string_view method, std::string_view target, const Headers& headers,
                                 std::string_view body) {
    Impl& in = *impl_;
    const bool repeatable = method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE";
    std::string text = in.head(method, target, headers);
    if (!body.empty() || (method != "GET" && method != "HEAD"))
        text += fmt::format("Content-Length: {}\r\n", body.size());
    text += "\r\n";
    text += body;
    for (;;) {
        TRY(kept, in.ensure_wire());
        const auto written = in.wire->write(text, in.options.timeout, body.size() > kEarlyAnswerSize);
        auto response = read_response(*in.wire, method == "HEAD", {}, in.options.timeout);
        if (!response && kept && repeatable && response.error().code == Code::unavailable) {
            in.wire.reset();
            continue;  // at most once: the next connection is a new one
        }
        if (!response && !written) response = fail(written.error());
        return in.finish(std::move(response));
    }
}

Result<Response> Client::download(std::string_view target, const Headers& headers, const Piece& piece,
                                  milliseconds silence) {
    Impl& in = *impl_;
    TRY_VOID(in.ensure_wire());
    TRY_VOID(in.wire->write(in.head("GET", target, headers) + "\r\n", in.options.timeout));
    bool stopped = false;
    const auto taken = [&](std::string_view bytes) {
        stopped = !piece(bytes);
        return !stopped;
    };
    in.wire->give_up = [&] { return !taken({}); };
    auto response = read_response(*in.wire, false, taken, in.options.timeout, silence);
    if (in.wire) in.wire->give_up = {};
    if (stopped) in.wire.reset();
    return in.finish(std::move(response));
}

Result<Response> Client::upload(std::string_view method, std::string_view target, const Headers& headers, int fd,
                                std::optional<std::int64_t> size, const Progress& progress) {
    Impl& in = *impl_;
    in.wire.reset();  // a body can't be sent twice: not on a connection that may be closing
    TRY_VOID(in.ensure_wire());
    Wire& wire = *in.wire;
    std::string text = in.head(method, target, headers);
    text += size ? fmt::format("Content-Length: {}\r\n\r\n", *size) : "Transfer-Encoding: chunked\r\n\r\n";
    TRY_VOID(wire.write(text, in.options.timeout));
    std::array<char, 65536> bytes;
    std::int64_t sent = 0;
    while (!wire.is_answered() && (!size || sent < *size)) {
        const std::int64_t room =
            size ? std::min<std::int64_t>(sizeof bytes, *size - sent) : std::int64_t{sizeof bytes};
        const ssize_t got = ::read(fd, bytes.data(), static_cast<std::size_t>(room));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return in.wire.reset(), fail(system_error("can't read what is to be uploaded", errno));
        if (got == 0 && size) {
            in.wire.reset();
            return fail(Code::invalid, "the file got shorter: {} of {} bytes are there", sent, *size);
        }
        std::string piece(bytes.data(), static_cast<std::size_t>(got));
        if (!size) piece = fmt::format("{:x}\r\n", got) + piece + "\r\n";  // an empty one is the end
        if (!wire.write(piece, in.options.timeout, true)) break;           // its answer tells more
        if (got == 0) break;
        sent += got;
        if (progress && !progress(sent))
            return in.wire.reset(), fail(Code::conflict, "the upload was given up after {} bytes", sent);
    }
    auto response = read_response(wire, false, {}, in.options.timeout);
    in.wire.reset();
    return response;
}

Result<WebSocketClient> Client::websocket(std::string_view target, const Headers& headers,
                                          const WebSocketOptions& options) {
    return open_websocket(impl_->options, impl_->head("GET", target, headers), options);
}

}  // namespace axle::http
