// The configuration file.
#include "common/config/config.hpp"

#include <cstddef>
#include <cstdint>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/ensure.hpp"
#include "common/base/file.hpp"
#include "tests/support/fuzz_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const axle::Fd file(::memfd_create("config", MFD_CLOEXEC));
    ENSURE(::write(file.get(), data, size) == static_cast<ssize_t>(size), "memory takes it");
    return axle::test::told(axle::read_config(fmt::format("/proc/self/fd/{}", file.get()), true).has_value());
}
