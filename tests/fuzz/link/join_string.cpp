// What a person pastes as a join string: what is taken names an orchestrator, and is written and read the same again.
#include "common/link/join_string.hpp"

#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto read = read_join_string(std::string(reinterpret_cast<const char*>(data), size));
    if (!read) return test::told(false);
    ENSURE(!read->endpoints.empty(), "it names an orchestrator");
    const std::string written = write_join_string(*read);
    const auto again = read_join_string(written);
    ENSURE(again && write_join_string(*again) == written, "it is written and read the same");
    return test::told(true);
}
