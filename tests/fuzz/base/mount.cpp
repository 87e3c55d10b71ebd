// The kernel's list of mounts, whose paths others choose.
#include "common/base/mount.hpp"

#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "tests/support/fuzz_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::string_view path = "/pools/main";
    const auto mount = axle::find_mount({reinterpret_cast<const char*>(data), size}, path);
    if (!mount) return axle::test::told(false);
    ENSURE(mount->point == "/" || path.starts_with(mount->point), "it is one that the path lies on");
    (void)axle::judge_mount(*mount, path);
    return axle::test::told(true);
}
