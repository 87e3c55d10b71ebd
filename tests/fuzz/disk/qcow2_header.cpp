// libFuzzer: bytes of anybody as a qcow2 header. Built with clang and AXLE_FUZZ.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "common/disk/format.hpp"
#include "common/disk/qcow2.hpp"
#include "tests/support/fuzz_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    axle::detect_format(bytes, bytes);
    const auto header = axle::parse_qcow2(bytes);
    if (!header) return axle::test::told(false);
    if (header->cluster_bits < 9 || header->cluster_bits > 21 || header->backing_file.size() > 1023) std::abort();
    const auto file_size = static_cast<std::int64_t>(size);
    if (axle::check_upload(*header, file_size, {}) && (!header->backing_file.empty() || header->has_data_file()))
        std::abort();
    return axle::test::told(true);
}
