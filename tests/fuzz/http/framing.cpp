// libFuzzer: the framer on any bytes, whole and in pieces: the same requests and the same refusal, no body over its
// limit. The first byte says how the rest is cut.
#include "common/http/framing.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ensure.hpp"
#include "common/http/target_reader.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle::http;

namespace {

constexpr std::int64_t kLimit = 300;

struct Seen {
    std::vector<std::string> told;
    int status = 0;
    bool operator==(const Seen&) const = default;
};

// What the framer makes of the bytes when they come in pieces of this size.
Seen feed(std::string_view wire, std::size_t piece) {
    Framer framer([](const RequestHead& head) { return BodyRule{.limit = kLimit, .streamed = head.method == "PUT"}; });
    Seen seen;
    std::string streamed;
    for (std::size_t at = 0; at < wire.size(); at += piece) {
        framer.feed(wire.substr(at, piece));
        for (Framer::Event event; (event = framer.next()) != Framer::Event::need_more;) {
            if (event == Framer::Event::refused) {
                seen.status = framer.refusal().status;
                return seen;
            }
            if (event == Framer::Event::piece) streamed += framer.take_piece();
            if (event != Framer::Event::complete) continue;
            const std::string body = framer.take_body();
            ENSURE(static_cast<std::int64_t>(body.size()) <= kLimit, "a body keeps its limit");
            Request request;
            const TargetReader targets;
            targets.read(framer.head().target, request);
            seen.told.push_back(framer.head().method + " " + request.path + "|" + body + streamed);
            streamed.clear();
        }
    }
    return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view wire(reinterpret_cast<const char*>(data) + 1, size - 1);
    const Seen whole = feed(wire, wire.size());
    ENSURE(whole == feed(wire, 1U + data[0] % 32U), "how bytes are cut into pieces changes nothing");
    return axle::test::told(whole.status == 0 && !whole.told.empty());
}
