// Addresses and query strings.
#include "common/http/url.hpp"

#include <cstddef>
#include <cstdint>

#include "tests/support/fuzz_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return axle::test::told(axle::http::Endpoint::parse({reinterpret_cast<const char*>(data), size}).has_value());
}
