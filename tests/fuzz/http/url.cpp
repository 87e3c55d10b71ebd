// Addresses and query strings.
#include "common/http/url.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    (void)axle::http::Endpoint::parse({reinterpret_cast<const char*>(data), size});
    return 0;
}
