// A message of the channel: what can be read is written and read again, and is the same.
#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "common/channel/messages.hpp"
#include "tests/support/fuzz_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto read = axle::decode({reinterpret_cast<const char*>(data), size});
    if (!read || !*read) return axle::test::told(false);
    const std::string written = axle::encode(**read);
    const auto again = axle::decode(written);
    ENSURE(again && *again, "what we write can be read");
    ENSURE(axle::encode(**again) == written, "and is the same");
    return axle::test::told(true);
}
