// A filter of a list or a watch, on fields of all kinds, and on an empty VM.
#include "orchestrator/api/filter.hpp"

#include <cstddef>
#include <cstdint>

#include "common/model/compute.hpp"

using namespace axle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::vector<const KindInfo*> kinds = [] {
        std::vector<const KindInfo*> out;
        for (const KindInfo& kind : all_kinds()) out.push_back(&kind);
        return out;
    }();
    const auto filter = api::Filter::parse({reinterpret_cast<const char*>(data), size}, kinds);
    if (filter) (void)filter->matches(Vm{});
    return 0;
}
