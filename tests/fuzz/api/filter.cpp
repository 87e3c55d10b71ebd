// A filter of a watch, on fields that all kinds have, and of a list of VMs; both on an empty VM.
#include "orchestrator/api/filter.hpp"

#include <cstddef>
#include <cstdint>

#include "common/model/compute.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::vector<const KindInfo*> kinds = [] {
        std::vector<const KindInfo*> out;
        for (const KindInfo& kind : all_kinds()) out.push_back(&kind);
        return out;
    }();
    static const std::vector<const KindInfo*> vm = {&info_of(Kind::vm)};
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    bool taken = false;
    for (const auto* fields_of : {&kinds, &vm}) {
        const auto filter = api::Filter::parse(text, *fields_of);
        if (filter) (void)filter->matches(Vm{});
        taken = taken || filter.has_value();
    }
    return test::told(taken);
}
