// A picture of a guest's screen, as QEMU gives it.
#include <cstddef>
#include <cstdint>

#include "agent/hypervisor/png.hpp"
#include "common/base/ensure.hpp"
#include "tests/support/fuzz_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto png = axle::png_from_ppm({reinterpret_cast<const char*>(data), size});
    ENSURE(!png || png->starts_with("\x89PNG"), "a picture is one");
    return axle::test::told(png.has_value());
}
