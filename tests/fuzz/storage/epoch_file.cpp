// What lies beside a disk on a shared pool, or came there: only what we write, to the last byte, says an epoch.
#include "agent/storage/epoch_file.hpp"

#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const VolumeId volume{*Uuid::parse("01900000-0000-7000-8000-000000000001")};
    const std::string text(reinterpret_cast<const char*>(data), size);
    const auto epoch = parse_epoch_file(text, volume);
    ENSURE(!epoch || epoch_file_text(volume, *epoch) == text, "nothing else than what we write is taken");
    const PoolDocument pool{.path = "/pool"};
    const VolumeDocument document{.id = volume, .epoch = {3, 4711}};
    const auto claimed = is_claimed(pool, document, text);
    ENSURE(!claimed || (epoch && (*claimed ? *epoch == document.epoch : *epoch < document.epoch)),
           "a disk of a later placement, or of one that can't be told, is not given");
    return test::told(epoch.has_value());
}
