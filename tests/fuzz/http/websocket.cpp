// Frames of a WebSocket, on both ends: no message over the limit, and cut anywhere the same messages.
#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "common/http/ws_framer.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle::http;

namespace {

constexpr std::size_t kMessageMax = 200;

struct Heard {
    std::vector<std::string> messages;
    bool violated = false;
    bool operator==(const Heard&) const = default;
};

Heard feed(bool server, std::string_view wire, std::size_t piece) {
    WsFramer framer(server, kMessageMax);
    Heard heard;
    for (std::size_t at = 0; at < wire.size() && !heard.violated; at += piece) {
        std::vector<WsMessage> messages;
        heard.violated = !framer.feed(wire.substr(at, piece), messages);
        for (WsMessage& message : messages) {
            ENSURE(message.data.size() <= kMessageMax, "a message keeps its limit");
            heard.messages.push_back(std::move(message.data));
        }
        (void)framer.take_output();
    }
    return heard;
}

}  // namespace

// The first byte: which end, and how the rest is cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const bool server = data[0] % 2 == 0;
    const std::string_view wire(reinterpret_cast<const char*>(data) + 1, size - 1);
    const Heard whole = feed(server, wire, wire.size()), cut = feed(server, wire, data[0] / 2 % 32 + 1);
    ENSURE(whole.violated == cut.violated, "cut anywhere, it is judged the same");
    ENSURE(whole.messages == cut.messages, "and heard the same");
    return axle::test::told(!whole.violated && !whole.messages.empty());
}
