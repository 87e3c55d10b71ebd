// What a server answers our client: cut into pieces anywhere it is the same answer or the same refusal, and a body is
// as long as the head says. The first byte says how the rest is cut, the second what is asked.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/ensure.hpp"
#include "common/http/client_response.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle;
using namespace axle::http;

namespace {

struct Heard {
    bool refused = false;
    int status = 0;
    std::string body, length;
    bool operator==(const Heard&) const = default;
};

// Packets keep their borders, so the client reads the pieces as they were cut; all of them are there before it reads.
Heard hear(std::string_view wire, std::size_t pieces, bool head) {
    int ends[2];
    ENSURE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0, "a pair of sockets");
    Fd server(ends[1]);
    Wire client = Wire::over(Transport(Fd(ends[0])));
    const std::size_t piece = wire.size() / pieces + 1;
    for (std::size_t at = 0; at < wire.size(); at += piece) {
        const std::string_view bytes = wire.substr(at, piece);
        ENSURE(::send(server.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()), "it fits");
    }
    server.reset();
    const auto response = read_response(client, head, {}, milliseconds{1});
    if (!response) return {.refused = true};
    return {.status = response->status, .body = response->body, .length = response->headers.value("Content-Length")};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2 || size > 32 << 10) return 0;
    const std::string_view wire(reinterpret_cast<const char*>(data) + 2, size - 2);
    const bool head = data[1] == 'h';
    const Heard whole = hear(wire, 1, head);
    ENSURE(hear(wire, 1 + data[0] % 60, head) == whole, "how it is cut into pieces changes nothing");
    ENSURE(whole.body.size() <= wire.size(), "a body comes from the wire");
    ENSURE(whole.refused || (whole.status >= 100 && whole.status <= 999), "an answer has a status");
    return test::told(!whole.refused);
}
