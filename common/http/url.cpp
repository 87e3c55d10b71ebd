#include "common/http/url.hpp"

#include <algorithm>
#include <charconv>

namespace axle::http {

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string percent_encode(std::string_view text) {
    static constexpr char kDigits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (is_plain(c)) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += '%';
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15];
    }
    return out;
}

std::optional<std::string> percent_decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
        if (high < 0 || low < 0 || high + low == 0) return std::nullopt;
        out += static_cast<char>(high << 4 | low);
        i += 2;
    }
    return out;
}

std::string query_string(const std::vector<std::pair<std::string, std::string>>& parameters) {
    std::string out;
    for (const auto& [name, value] : parameters) {
        out += out.empty() ? '?' : '&';
        out += percent_encode(name) + "=" + percent_encode(value);
    }
    return out;
}

std::string Endpoint::authority() const {
    if (kind == Kind::unix_socket) return "localhost";
    return fmt::format(fmt::runtime(host.find(':') == std::string::npos ? "{}:{}" : "[{}]:{}"), host, port);
}

std::string Endpoint::str() const {
    if (kind == Kind::unix_socket) return "unix:" + path;
    return fmt::format("{}://{}", kind == Kind::https ? "https" : "http", authority());
}

// "name", "name:port", "[v6]", "[v6]:port"
static bool parse_authority(std::string_view text, Endpoint& endpoint) {
    std::string_view port;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return false;
        endpoint.host = text.substr(1, end - 1);
        port = text.substr(end + 1);
    } else {
        const auto colon = std::min(text.find(':'), text.size());
        endpoint.host = text.substr(0, colon);
        port = text.substr(colon);
    }
    if (endpoint.host.empty()) return false;
    if (port.empty()) return true;
    if (!port.starts_with(':')) return false;
    port.remove_prefix(1);
    const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    return problem == std::errc{} && end == port.data() + port.size() && endpoint.port > 0 && endpoint.port < 65536;
}

Result<Endpoint> Endpoint::parse(std::string_view text, int default_port) {
    const std::string_view whole = text;
    Endpoint endpoint;
    if (text.starts_with("unix:") || text.starts_with('/')) {
        endpoint.kind = Kind::unix_socket;
        endpoint.path = text.starts_with('/') ? text : text.substr(5);
        if (endpoint.path.starts_with('/')) return endpoint;
        return fail(Code::invalid, "endpoint \"{}\": the path of a unix socket begins with /", whole);
    }
    endpoint.port = default_port;
    if (text.starts_with("https://")) {
        text.remove_prefix(8);
    } else if (text.starts_with("http://")) {
        text.remove_prefix(7);
        endpoint.kind = Kind::http;
    } else if (text.find("://") != std::string_view::npos) {
        return fail(error(Code::invalid, "endpoint \"{}\": unknown scheme", whole)
                        .with_hint("write https://HOST:7443 or unix:/run/axle/api.sock"));
    }
    while (text.ends_with('/')) text.remove_suffix(1);
    if (!parse_authority(text, endpoint))
        return fail(error(Code::invalid, "endpoint \"{}\": no host and port in it", whole)
                        .with_hint("write https://HOST:7443 or unix:/run/axle/api.sock"));
    return endpoint;
}

std::string ServerSentEvent::str() const {
    std::string out;
    if (!id.empty()) out += "id: " + id + "\n";
    if (!event.empty()) out += "event: " + event + "\n";
    std::string_view rest = data;
    for (;;) {
        const auto end = rest.find('\n');
        out += "data: ";
        out += rest.substr(0, end);
        out += '\n';
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
    }
    return out + "\n";
}

void EventReader::take_line(std::string_view line, std::vector<ServerSentEvent>& events) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) {
        if (has_data_) events.push_back(current_);
        current_.event.clear();
        current_.data.clear();
        has_data_ = false;
        return;
    }
    const auto colon = std::min(line.find(':'), line.size());
    const std::string_view name = line.substr(0, colon);
    std::string_view value = line.substr(std::min(colon + 1, line.size()));
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (name == "data") {
        if (has_data_) current_.data += '\n';
        current_.data += value;
        has_data_ = true;
    } else if (name == "event") {
        current_.event = value;
    } else if (name == "id") {
        current_.id = value;
    }
}

std::vector<ServerSentEvent> EventReader::feed(std::string_view bytes) {
    std::vector<ServerSentEvent> events;
    rest_ += bytes;
    std::size_t at = 0;
    for (std::size_t end = 0; (end = rest_.find('\n', at)) != std::string::npos; at = end + 1)
        take_line(std::string_view(rest_).substr(at, end - at), events);
    rest_.erase(0, at);
    return events;
}

}  // namespace axle::http
