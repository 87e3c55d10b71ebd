// A stream of events, cut anywhere: the same events.
#include <cstddef>
#include <cstdint>
#include <string>

#include "common/base/ensure.hpp"
#include "common/http/url.hpp"

namespace {

std::string read(std::string_view text, std::size_t piece) {
    axle::http::EventReader reader;
    std::string events;
    for (std::size_t at = 0; at < text.size(); at += piece) {
        for (const auto& event : reader.feed(text.substr(at, piece))) events += event.str();
    }
    return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    ENSURE(read(text, text.size()) == read(text, data[0] % 16 + 1), "cut anywhere, the events are the same");
    return 0;
}
