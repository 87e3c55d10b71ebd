// What is asked and what is answered over HTTP.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace axle::http {

// Names are compared without regard to case; the order of arrival is kept.
class Headers {
  public:
    using Entry = std::pair<std::string, std::string>;
    Headers() = default;
    Headers(std::initializer_list<Entry> entries) : entries_(entries) {}

    void add(std::string name, std::string value);                     // beside one of the same name
    void set(std::string_view name, std::string value);                // instead of those of the same name
    std::optional<std::string_view> get(std::string_view name) const;  // the first
    std::string value(std::string_view name) const;                    // the first, or ""
    bool has(std::string_view name) const { return get(name).has_value(); }
    // Is `token` one of the comma-separated words of the header, in any case? ("Connection: keep-alive, Upgrade")
    bool lists(std::string_view name, std::string_view token) const;
    auto begin() const { return entries_.begin(); }
    auto end() const { return entries_.end(); }
    std::size_t size() const { return entries_.size(); }

  private:
    std::vector<Entry> entries_;
};

bool equal_ignoring_case(std::string_view a, std::string_view b);  // ASCII

// Who is at the other end. Told by the kernel and by TLS, never by a header.
struct Peer {
    enum class Kind { plain, tls, unix_socket };
    Kind kind = Kind::plain;
    std::string address;  // "192.0.2.7:5123", "[2001:db8::1]:5123"; empty on a unix socket
    std::string ip;       // the same without the port
    // unix_socket: as they were when the peer connected.
    std::uint32_t uid = ~0u, gid = ~0u;
    std::int32_t pid = 0;
    std::vector<std::uint32_t> groups;  // supplementary
    bool tls13 = false;
    // tls: of a client certificate that verified against the listener's client authority; else empty.
    std::string certificate_name;               // its common name
    std::string certificate_fingerprint;        // sha256, lower case hex
    std::vector<std::string> certificate_uris;  // what it stands for
    std::int64_t certificate_from_ms = 0;       // wall clock: valid from
    std::string certificate_problem;            // one was shown and is not believed: why
};

class BodyStream;

struct Request {
    std::string method;  // upper case: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS
    std::string path;    // percent-decoded, without the query; begins with "/" (or is "*" for OPTIONS)
    std::string target;  // path and query as they were sent
    std::vector<std::pair<std::string, std::string>> query;  // percent-decoded, in order of name
    Headers headers;
    std::string body;                         // whole, when it is not streamed
    std::shared_ptr<BodyStream> body_stream;  // where ServerOptions::is_streamed said so
    std::shared_ptr<const Peer> peer;
    std::uint64_t connection = 0;  // never used twice in one process
    std::shared_ptr<void> room;    // what the body takes of the server's memory limit; goes with the request

    std::optional<std::string_view> parameter(std::string_view name) const;  // the first of this name in the query
};

struct Response {
    int status = 200;
    Headers headers = {};  // Content-Length, Connection, Date and Server are ours
    std::string body = {};
};

const char* reason_phrase(int status);  // "Not Found"

// RFC 9457 application/problem+json with status, title, detail, code (stable, kebab-case) and, if given, hint.
Response problem(int status, std::string_view code, std::string_view detail, std::string_view hint = {});

}  // namespace axle::http
