// What a hostile source sends to a target's libvirt: cut anywhere it is judged the same, and what passes is made of
// whole frames. The first byte says how the rest is cut.
#include "agent/migration/libvirt_filter.hpp"

#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "tests/support/fuzz_input.hpp"
#include "tests/unit/hypervisor/plan.hpp"

using namespace axle;

namespace {

struct Judged {
    std::string passed;
    bool refused = false;
    bool operator==(const Judged&) const = default;
};

Judged feed(std::string_view wire, std::size_t piece) {
    MoveIn in{.plan = test::sample_plan(), .move = {.role = MoveRole::incoming, .ticket = "t"}};
    in.move.copies = {in.plan.disks[0].document.volume};
    LibvirtFilter filter(in, {.memory = "/run/memory.sock", .disks = "/run/disk.sock"});
    Judged judged;
    for (std::size_t at = 0; at < wire.size(); at += piece) {
        const auto passed = filter.feed(wire.substr(at, piece));
        if (!passed) {
            judged.refused = true;
            return judged;
        }
        judged.passed += *passed;
    }
    return judged;
}

bool is_whole_frames(std::string_view bytes) {
    while (bytes.size() >= 4) {
        std::uint32_t length = 0;
        for (int i = 0; i < 4; ++i)
            length = length << 8 | static_cast<std::uint8_t>(bytes[static_cast<std::size_t>(i)]);
        if (length < 28 || length > bytes.size()) return false;
        bytes.remove_prefix(length);
    }
    return bytes.empty();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view wire(reinterpret_cast<const char*>(data) + 1, size - 1);
    const Judged whole = feed(wire, wire.size()), cut = feed(wire, data[0] % 64 + 1);
    ENSURE(whole.refused == cut.refused, "cut anywhere, it is judged the same");
    ENSURE(whole.refused || whole == cut, "and the same passes");
    ENSURE(is_whole_frames(cut.passed), "only whole frames pass");
    return test::told(!whole.refused);
}
