#include "common/http/client_response.hpp"

#include <algorithm>
#include <charconv>

namespace axle::http {

static constexpr std::size_t kResponseHeadMax = 64 << 10;
static constexpr std::size_t kChunkLineMax = 4 << 10;
static constexpr int kContinuesMax = 10;                                 // "100 Continue" before one answer
static constexpr std::size_t kResponseBodyMax = std::size_t{256} << 20;  // in memory; a download is not

static auto bad(const char* what) {
    return fail(Code::malformed, "the server's answer is not HTTP: {}", what);
}

// Digits and nothing else: neither a sign nor what follows them.
static std::optional<std::int64_t> size_in(std::string_view text, int base) {
    std::uint64_t size = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), size, base);
    const bool fits = read.ec == std::errc{} && size <= static_cast<std::uint64_t>(INT64_MAX);
    if (!fits || read.ptr != text.data() + text.size()) return std::nullopt;
    return static_cast<std::int64_t>(size);
}

static Result<Response> parse_response_head(std::string_view text) {
    Response response;
    if (!text.starts_with("HTTP/1.1 ") && !text.starts_with("HTTP/1.0 ")) return bad("no status line");
    const std::string_view number = text.substr(9, 3);
    if (std::from_chars(number.data(), number.data() + number.size(), response.status).ec != std::errc{} ||
        response.status < 100)
        return bad("no status");
    text.remove_prefix(std::min(text.find("\r\n"), text.size() - 2) + 2);
    while (!text.empty()) {
        const auto end = std::min(text.find("\r\n"), text.size());
        const std::string_view line = text.substr(0, end);
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) return bad("a header without a name");
        std::string_view value = line.substr(colon + 1);
        while (value.starts_with(' ')) value.remove_prefix(1);
        response.headers.add(std::string(line.substr(0, colon)), std::string(value));
        text.remove_prefix(std::min(end + 2, text.size()));
    }
    return response;
}

Result<Response> read_response_head(Wire& wire, milliseconds timeout) {
    for (int continues = 0; continues <= kContinuesMax;) {
        const auto end = wire.in.find("\r\n\r\n");
        if (end == std::string::npos) {
            if (wire.in.size() > kResponseHeadMax)
                return fail(Code::malformed, "the head of the server's answer has over 64 KiB");
            const bool begun = !wire.in.empty();
            TRY(more, wire.fill(timeout));
            if (!more)
                return fail(begun ? Code::malformed : Code::unavailable,
                            "the server closed the connection without an answer");
            continue;
        }
        auto response = parse_response_head(std::string_view(wire.in).substr(0, end + 2));
        wire.in.erase(0, end + 4);
        if (!response || response->status != 100) return response;
        ++continues;
    }
    return bad("it says 100 Continue over and over");
}

namespace {

// Hands the body on as it comes, and checks that it is whole.
class BodyReader {
  public:
    BodyReader(Wire& wire, const Client::Piece& piece, milliseconds wait) : wire_(wire), piece_(piece), wait_(wait) {}
    Result<> chunked();
    Result<> sized(std::int64_t size);
    Result<> to_the_end();
    bool stopped() const { return stopped_; }

  private:
    Result<> need();
    Result<std::string> line();  // without its end
    Result<> trailers();
    Result<> cut_short() const { return fail(Code::unavailable, "the server broke off in the middle of its answer"); }
    void give(std::size_t size) {
        stopped_ = !piece_(std::string_view(wire_.in).substr(0, size));
        wire_.in.erase(0, size);
    }

    Wire& wire_;
    const Client::Piece& piece_;
    const milliseconds wait_;
    bool stopped_ = false;
};

Result<> BodyReader::need() {
    TRY(more, wire_.fill(wait_));
    return more ? Result<>{} : cut_short();
}

Result<> BodyReader::sized(std::int64_t size) {
    while (size > 0 && !stopped_) {
        if (wire_.in.empty()) TRY_VOID(need());
        const auto part = std::min(wire_.in.size(), static_cast<std::size_t>(size));
        size -= static_cast<std::int64_t>(part);
        give(part);
    }
    return {};
}

Result<std::string> BodyReader::line() {
    for (;;) {
        const auto end = wire_.in.find("\r\n");
        if (std::min(end, wire_.in.size()) > kChunkLineMax) return bad("a line of a chunked body has over 4 KiB");
        if (end == std::string::npos) {
            TRY_VOID(need());
            continue;
        }
        std::string text = wire_.in.substr(0, end);
        wire_.in.erase(0, end + 2);
        return text;
    }
}

// Fields that follow the last chunk, up to an empty line; nobody asks for them.
Result<> BodyReader::trailers() {
    for (std::size_t bytes = 0; bytes <= kResponseHeadMax;) {
        TRY(field, line());
        if (field.empty()) return {};
        bytes += field.size() + 2;
    }
    return bad("over 64 KiB follow a chunked body");
}

Result<> BodyReader::chunked() {
    while (!stopped_) {
        TRY(head, line());
        const std::string_view digits = std::string_view(head).substr(0, head.find_first_of("; \t"));
        const auto size = size_in(digits, 16);
        if (!size) return bad("a chunk without a size");
        if (*size == 0) return trailers();
        TRY_VOID(sized(*size));
        if (stopped_) break;
        TRY(rest, line());
        if (!rest.empty()) return bad("a chunk is longer than it says");
    }
    return {};
}

Result<> BodyReader::to_the_end() {
    while (!stopped_) {
        if (!wire_.in.empty()) {
            give(wire_.in.size());
            continue;
        }
        TRY(more, wire_.fill(wait_));
        if (!more) break;
    }
    return {};
}

}  // namespace

Result<> read_response_body(Wire& wire, const Response& head, const Client::Piece& piece, milliseconds wait) {
    BodyReader body(wire, piece, wait);
    if (head.headers.lists("Transfer-Encoding", "chunked")) return body.chunked();
    const std::string length = head.headers.value("Content-Length");
    if (length.empty()) return body.to_the_end();
    const auto size = size_in(length, 10);
    if (!size) return bad("a Content-Length that is no number");
    return body.sized(*size);
}

Result<Response> read_response(Wire& wire, bool is_head_request, const Client::Piece& piece, milliseconds timeout,
                               std::optional<milliseconds> silence) {
    TRY(response, read_response_head(wire, timeout));
    if (is_head_request || response.status == 204 || response.status == 304) return response;
    bool too_large = false;
    const Client::Piece keep = [&](std::string_view bytes) {
        response.body += bytes;
        too_large = response.body.size() > kResponseBodyMax;
        return !too_large;
    };
    const bool to_caller = piece && response.status >= 200 && response.status < 300;
    TRY_VOID(
        read_response_body(wire, response, to_caller ? piece : keep, to_caller ? silence.value_or(timeout) : timeout));
    if (too_large) return fail(Code::too_large, "the server's answer has over {} MiB", kResponseBodyMax >> 20);
    return response;
}

}  // namespace axle::http
