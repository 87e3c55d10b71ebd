// The witness after whatever happened to its disk: a slot that is taken is one that we wrote.
#include "orchestrator/store/witness.hpp"

#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view file(reinterpret_cast<const char*>(data), size);
    const auto slot = newest_witness_slot(file);
    if (!slot) return test::told(false);
    const auto again = read_witness_slot(write_witness_slot(*slot));
    ENSURE(again && again->number == slot->number && again->record == slot->record, "a slot is written as it was read");
    return test::told(true);
}
