// A stream of events, cut anywhere: the same events.
#include <cstddef>
#include <cstdint>
#include <string>

#include "common/base/ensure.hpp"
#include "common/http/url.hpp"
#include "tests/support/fuzz_input.hpp"

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
    const std::string whole = read(text, text.size());
    ENSURE(whole == read(text, data[0] % 16 + 1), "cut anywhere, the events are the same");
    return axle::test::told(!whole.empty());
}
