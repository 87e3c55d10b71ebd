// The configuration file.
#include "common/config/config.hpp"

#include <cstddef>
#include <cstdint>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/ensure.hpp"
#include "common/base/file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const axle::Fd file(::memfd_create("config", MFD_CLOEXEC));
    ENSURE(::write(file.get(), data, size) == static_cast<ssize_t>(size), "memory takes it");
    (void)axle::read_config(fmt::format("/proc/self/fd/{}", file.get()), true);
    return 0;
}
