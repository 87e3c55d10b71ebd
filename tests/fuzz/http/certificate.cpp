// A certificate that another machine shows, or that lies in a file.
#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "common/http/tls.hpp"
#include "tests/support/fuzz_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto info = axle::http::read_certificate({reinterpret_cast<const char*>(data), size});
    ENSURE(!info || !info->fingerprint.empty(), "what is read has a fingerprint");
    return axle::test::told(info.has_value());
}
