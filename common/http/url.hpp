// Percent-encoding, endpoints, server-sent events: small pure text.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.hpp"

namespace axle::http {

// All but letters, digits and -._~ become %XX: for one segment of a path or one value of a query.
std::string percent_encode(std::string_view text);
// nullopt: a % without two hexadecimal digits, or an encoded NUL. "+" stays.
std::optional<std::string> percent_decode(std::string_view text);
// "?a=1&b=x%20y", or "" for none.
std::string query_string(const std::vector<std::pair<std::string, std::string>>& parameters);

// Where a server is: "https://host:7443", "http://127.0.0.1:8080", "unix:/run/axle/api.sock" or just the path.
struct Endpoint {
    enum class Kind { http, https, unix_socket };
    Kind kind = Kind::https;
    std::string host;  // name or address, without brackets
    int port = 0;
    std::string path;  // of the socket

    std::string str() const;
    std::string authority() const;  // for the Host header
    static Result<Endpoint> parse(std::string_view text, int default_port = 7443);
};

// One event as it stands in a text/event-stream. Data of several lines is told line by line; empty event and id are
// left out.
struct ServerSentEvent {
    std::string event = {}, id = {}, data = {};
    std::string str() const;
};
// Takes a text/event-stream in pieces of any size and gives whole events; comments are dropped.
class EventReader {
  public:
    std::vector<ServerSentEvent> feed(std::string_view bytes);

  private:
    void take_line(std::string_view line, std::vector<ServerSentEvent>& events);
    std::string rest_;
    ServerSentEvent current_;
    bool has_data_ = false;
};

}  // namespace axle::http
