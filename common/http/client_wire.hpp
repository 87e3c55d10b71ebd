// Inside of common/http: the client's blocking side of a connection. Every wait is a poll(2) with a limit.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "common/http/client.hpp"
#include "common/http/transport.hpp"

namespace axle::http {

class Wire {
  public:
    // Connects and, for https, shakes hands and checks who is there.
    static Result<Wire> dial(const ClientOptions& options);
    // The same without any check of the certificate.
    static Result<Wire> dial_unverified(const Endpoint& endpoint, milliseconds connect_time);
    // What is connected already.
    static Wire over(Transport transport) { return Wire(std::move(transport)); }

    // stop_if_answered: returns early when the server sends something.
    Result<> write(std::string_view bytes, milliseconds wait, bool stop_if_answered = false);
    // Adds what comes to `in`. False: the server has ended. Code::timeout when nothing comes; wait 0: for ever.
    // The same when `give_up` said so, which is asked whenever a signal ended the wait.
    Result<bool> fill(milliseconds wait);
    std::function<bool()> give_up;
    bool is_readable() const;
    // Has the server said something, or closed? Never waits. TLS' own messages (session tickets) don't count.
    bool is_answered();

    std::string in;
    Transport transport;

  private:
    explicit Wire(Transport given) : transport(std::move(given)) {}
};

Result<> verify_server(ssl_st* ssl, const ClientOptions& options);

// Waits for poll events; false: the time is over, or give_up said so after a signal. wait 0: for ever; negative: not at
// all.
bool wait_for(int fd, short events, milliseconds wait, const std::function<bool()>& give_up = {});

}  // namespace axle::http
