#include "common/http/framing.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace axle::http {

namespace {

constexpr std::size_t kChunkLineMax = 64;
constexpr std::array kMethods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

bool is_token_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}
bool is_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, is_token_char);
}
bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_value_char(char c) {  // bytes over 127 are let through, as RFC 9110 allows
    return c == '\t' || (static_cast<unsigned char>(c) >= 32 && c != 127);
}
bool is_host_char(char c) {
    return is_token_char(c) || c == ':' || c == '[' || c == ']' || c == '(' || c == ')' || c == ';' || c == '=';
}

std::optional<Refusal> check_target(std::string_view method, std::string_view target) {
    if (target.size() > kTargetMax)
        return Refusal{
            414, fmt::format("the path and query have {} bytes, at most {} are taken", target.size(), kTargetMax)};
    if (target == "*" && method == "OPTIONS") return std::nullopt;
    if (!target.starts_with('/')) return Refusal{400, "the request target does not begin with /; this is no proxy"};
    for (std::size_t i = 0; i < target.size(); ++i) {
        const char c = target[i];
        if (static_cast<unsigned char>(c) <= 32 || static_cast<unsigned char>(c) >= 127 || c == '#')
            return Refusal{400, "the request target has a character that must be percent-encoded"};
        if (c != '%') continue;
        if (i + 2 >= target.size() || !is_hex(target[i + 1]) || !is_hex(target[i + 2]))
            return Refusal{400, "the request target has a % that is not followed by two hexadecimal digits"};
        if (target.substr(i, 3) == "%00") return Refusal{400, "the request target has an encoded NUL"};
    }
    return std::nullopt;
}

std::optional<Refusal> parse_request_line(std::string_view line, RequestHead& head) {
    const auto first = line.find(' '), last = line.rfind(' ');
    if (first == std::string_view::npos || first == last || std::count(line.begin(), line.end(), ' ') != 2)
        return Refusal{400, "the request line is not METHOD TARGET HTTP/1.1"};
    const std::string_view version = line.substr(last + 1);
    head.method = line.substr(0, first);
    head.target = line.substr(first + 1, last - first - 1);
    if (!is_token(head.method)) return Refusal{400, "the method has a forbidden character"};
    if (version != "HTTP/1.1") {
        const bool other = version.size() == 8 && version.starts_with("HTTP/") && version[6] == '.' &&
                           version[5] >= '0' && version[5] <= '9' && version[7] >= '0' && version[7] <= '9';
        return other ? Refusal{505, "only HTTP/1.1 is spoken here"}
                     : Refusal{400, "the request line is not METHOD TARGET HTTP/1.1"};
    }
    if (std::ranges::find(kMethods, std::string_view(head.method)) == kMethods.end())
        return Refusal{501, "the method is not one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"};
    return check_target(head.method, head.target);
}

// Headers that say how long the body is, or of which a second one could be read in two ways.
std::optional<Refusal> take_length(std::string_view value, RequestHead& head) {
    if (head.length) return Refusal{400, "Content-Length is given twice"};
    if (value.empty() || value.size() > 18 || value.find_first_not_of("0123456789") != std::string_view::npos)
        return Refusal{400, "Content-Length is not a number"};
    std::int64_t length = 0;
    std::from_chars(value.data(), value.data() + value.size(), length);
    head.length = length;
    return std::nullopt;
}

std::optional<Refusal> judge_headers(RequestHead& head) {
    static constexpr std::array kOnce = {"host",          "transfer-encoding", "expect",
                                         "authorization", "content-type",      "upgrade"};
    for (const char* name : kOnce)
        if (std::ranges::count_if(head.headers, [&](const auto& e) { return equal_ignoring_case(e.first, name); }) > 1)
            return Refusal{400, fmt::format("the header {} is given twice", name)};
    const auto host = head.headers.get("host");
    if (!host) return Refusal{400, "there is no Host header"};
    if (!std::ranges::all_of(*host, is_host_char)) return Refusal{400, "the Host header has a forbidden character"};
    for (const auto& [name, value] : head.headers)
        if (equal_ignoring_case(name, "content-length"))
            if (auto refusal = take_length(value, head)) return refusal;
    if (const auto encoding = head.headers.get("transfer-encoding")) {
        if (!equal_ignoring_case(*encoding, "chunked"))
            return Refusal{501, "the only Transfer-Encoding taken is chunked"};
        if (head.length) return Refusal{400, "Content-Length and Transfer-Encoding are given together"};
        head.chunked = true;
    }
    if (const auto expect = head.headers.get("expect")) {
        if (!equal_ignoring_case(*expect, "100-continue")) return Refusal{417, "the only Expect taken is 100-continue"};
        head.expects_continue = true;
    }
    head.keep_alive = !head.headers.lists("connection", "close");
    return std::nullopt;
}

}  // namespace

std::optional<Refusal> parse_head(std::string_view text, RequestHead& head) {
    head = {};
    const auto first_end = std::min(text.find("\r\n"), text.size());
    if (auto refusal = parse_request_line(text.substr(0, first_end), head)) return refusal;
    text.remove_prefix(std::min(first_end + 2, text.size()));
    while (!text.empty()) {
        const auto end = std::min(text.find("\r\n"), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 2, text.size()));
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || colon == 0) return Refusal{400, "a header has no name"};
        if (!is_token(line.substr(0, colon))) return Refusal{400, "a header's name has a forbidden character"};
        std::string_view value = line.substr(colon + 1);
        if (!std::ranges::all_of(value, is_value_char)) return Refusal{400, "a header's value has a control character"};
        while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
        while (value.ends_with(' ') || value.ends_with('\t')) value.remove_suffix(1);
        head.headers.add(std::string(line.substr(0, colon)), std::string(value));
    }
    return judge_headers(head);
}

Framer::Framer(Rule rule) : rule_(std::move(rule)) {}

void Framer::feed(std::string_view bytes) {
    if (state_ != State::refused) buffer_ += bytes;
}

Framer::Event Framer::next() {
    for (;;)  // steps don't call each other: a body of many small chunks would nest without limit
        if (const auto event = step()) return *event;
}

std::optional<Framer::Event> Framer::step() {
    switch (state_) {
        case State::head:
            return find_head();
        case State::fixed:
            return fixed_body();
        case State::chunk_size:
            return chunk_size();
        case State::chunk_data:
            return chunk_data();
        case State::chunk_end:
            return chunk_end(false);
        case State::last_end:
            return chunk_end(true);
        case State::refused:
            break;
    }
    return Event::refused;
}

std::optional<Framer::Event> Framer::find_head() {
    while (rest().starts_with("\r\n")) consume(2);  // RFC 9112 2.2: empty lines before a request are passed over
    const std::string_view bytes = rest();
    if (bytes.empty() || bytes == "\r") return Event::need_more;
    if (!is_token_char(bytes.front())) return refuse({400, "this is not HTTP"});
    const auto end = bytes.find("\r\n\r\n", seen_ > 3 ? seen_ - 3 : 0);
    if (end == std::string_view::npos ? bytes.size() > kHeadMax + 3 : end > kHeadMax)
        return refuse({431, fmt::format("request line and headers have over {} bytes", kHeadMax)});
    if (end == std::string_view::npos) {
        seen_ = bytes.size();
        return Event::need_more;
    }
    if (auto refusal = parse_head(bytes.substr(0, end), head_)) return refuse(std::move(*refusal));
    consume(end + 4);
    return begin_body();
}

std::optional<Framer::Event> Framer::begin_body() {
    body_rule_ = rule_ ? rule_(head_) : BodyRule{};
    body_.clear();
    left_ = head_.length.value_or(0);
    if (!body_rule_.streamed && left_ > body_rule_.limit)
        return refuse({413, fmt::format("the body has {} bytes, at most {} are taken here", left_, body_rule_.limit)});
    wants_continue_ = head_.expects_continue && head_.has_body();
    state_ = head_.chunked ? State::chunk_size : State::fixed;
    if (body_rule_.streamed) return Event::head;
    return std::nullopt;
}

std::optional<Framer::Event> Framer::fixed_body() {
    if (left_ == 0) return finish();
    if (rest().empty()) return Event::need_more;
    take(std::min(rest().size(), static_cast<std::size_t>(left_)));
    if (body_rule_.streamed) return Event::piece;
    return std::nullopt;
}

std::optional<Framer::Event> Framer::chunk_size() {
    const std::string_view bytes = rest();
    const auto end = bytes.find("\r\n", seen_ > 0 ? seen_ - 1 : 0);
    if (end == std::string_view::npos ? bytes.size() > kChunkLineMax + 1 : end > kChunkLineMax)
        return refuse({400, "the line with a chunk's size is too long"});
    if (end == std::string_view::npos) {
        seen_ = bytes.size();
        return Event::need_more;
    }
    const std::string_view line = bytes.substr(0, end), digits = line.substr(0, line.find(';'));
    std::int64_t size = 0;
    if (digits.empty() || digits.size() > 8 || !std::ranges::all_of(digits, is_hex) ||
        !std::ranges::all_of(line, is_value_char))
        return refuse({400, "a chunk's size is not a number"});
    std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
    if (!body_rule_.streamed && static_cast<std::int64_t>(body_.size()) + size > body_rule_.limit)
        return refuse({413, fmt::format("the body has over {} bytes, more are not taken here", body_rule_.limit)});
    wants_continue_ = false;
    consume(end + 2);
    left_ = size;
    state_ = size == 0 ? State::last_end : State::chunk_data;
    return std::nullopt;
}

std::optional<Framer::Event> Framer::chunk_data() {
    if (rest().empty()) return Event::need_more;
    take(std::min(rest().size(), static_cast<std::size_t>(left_)));
    if (left_ == 0) state_ = State::chunk_end;
    if (body_rule_.streamed) return Event::piece;
    return std::nullopt;
}

std::optional<Framer::Event> Framer::chunk_end(bool last) {
    if (rest().size() < 2) return Event::need_more;
    if (!rest().starts_with("\r\n"))
        return refuse({400, last ? "trailers after a chunked body are not taken" : "a chunk is longer than it says"});
    consume(2);
    if (last) return finish();
    state_ = State::chunk_size;
    return std::nullopt;
}

Framer::Event Framer::finish() {
    state_ = State::head;
    wants_continue_ = false;
    return Event::complete;
}

Framer::Event Framer::refuse(Refusal refusal) {
    refusal_ = std::move(refusal);
    abandon();
    return Event::refused;
}

void Framer::abandon() {
    state_ = State::refused;
    std::string().swap(buffer_);  // an assignment would keep the memory
    std::string().swap(body_);
    at_ = 0;
}

void Framer::consume(std::size_t n) {
    at_ += n;
    seen_ = 0;
    if (at_ == buffer_.size()) {  // an idle connection holds no memory
        buffer_.clear();
        at_ = 0;
        if (buffer_.capacity() > 4096) buffer_.shrink_to_fit();
    } else if (at_ > (std::size_t{64} << 10)) {
        buffer_.erase(0, at_);
        at_ = 0;
    }
}

void Framer::take(std::size_t n) {
    body_ += rest().substr(0, n);
    left_ -= static_cast<std::int64_t>(n);
    wants_continue_ = false;
    consume(n);
}

bool Framer::take_wants_continue() {
    return std::exchange(wants_continue_, false);
}

std::string Framer::take_rest() {
    std::string bytes(rest());
    consume(bytes.size());
    return bytes;
}

}  // namespace axle::http
