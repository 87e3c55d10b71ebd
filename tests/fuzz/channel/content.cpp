// What messages of the channel carry inside: documents of the orchestrator, reports of an agent, as each kind. What is
// taken is written and read the same again.
#include <array>
#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "common/channel/messages.hpp"
#include "common/model/codec.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle;

namespace {

template <typename T>
bool read_as(std::string_view text) {
    const auto read = from_json_text<T>(text);
    if (!read) return false;
    const std::string written = to_json_text(*read);
    const auto again = from_json_text<T>(written);
    ENSURE(again, "what we write can be read");
    ENSURE(to_json_text(*again) == written, "and is the same");
    return true;
}

constexpr std::array kKinds = {read_as<PoolDocument>,    read_as<ImageDocument>, read_as<NetworkDocument>,
                               read_as<VolumeDocument>,  read_as<VmDocument>,    read_as<SimpleReport>,
                               read_as<VolumeReport>,    read_as<VmReport>,      read_as<HostFacts>,
                               read_as<UnclaimedReport>, read_as<Epoch>};

}  // namespace

// The first byte chooses the kind: 'a' for the first.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto read = kKinds[static_cast<std::uint8_t>(data[0] - 'a') % kKinds.size()];
    return test::told(read({reinterpret_cast<const char*>(data) + 1, size - 1}));
}
