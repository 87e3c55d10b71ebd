// A header of a backup's archive: what is taken is one that we could have written.
#include "orchestrator/relocation/tar.hpp"

#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto read = read_tar_header({reinterpret_cast<const char*>(data), size});
    if (!read) return test::told(false);
    ENSURE(read->size >= 0 && read->mode <= 0777, "sizes and modes are such");
    ENSURE((read->size + tar_padding(read->size)) % static_cast<std::int64_t>(kTarBlock) == 0,
           "members end in a block");
    if (read->path.empty()) return test::told(true);  // the end of the archive
    const auto written = write_tar_header(*read);
    ENSURE(written, "its name can be written");
    const auto again = read_tar_header(*written);
    ENSURE(again && again->path == read->path && again->mode == read->mode && again->size == read->size,
           "it is written and read the same");
    return test::told(true);
}
