#include "orchestrator/core/decisions.hpp"

#include <algorithm>

#include "common/base/log.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

std::string key_of(const Uuid& vm, const Epoch& placement) {
    return fmt::format("{}/{}.{}", vm.str(), placement.incarnation, placement.revision);
}

std::vector<Epoch> placements_of(const Vm& vm) {
    std::vector<Epoch> out;
    if (vm.status.placement) out.push_back(vm.status.placement->epoch);
    if (vm.status.migration) out.push_back(vm.status.migration->epoch);
    return out;
}

}  // namespace

void keep_decision(Transaction& tx, const Uuid& vm, const Epoch& placement, const Decision& decision) {
    tx.write({Table::decisions, key_of(vm, placement), to_json_text(decision)});
}

std::vector<Write> decisions_that_go(const Vm& before, const Vm* after) {
    const std::vector<Epoch> stay = after != nullptr ? placements_of(*after) : std::vector<Epoch>{};
    std::vector<Write> out;
    for (const Epoch& placement : placements_of(before)) {
        if (std::ranges::find(stay, placement) == stay.end())
            out.push_back({Table::decisions, key_of(before.meta.id, placement), std::nullopt});
    }
    return out;
}

std::optional<Decision> decision_of(const Store& store, const Uuid& vm, const Epoch& placement) {
    const auto text = store.get(Table::decisions, key_of(vm, placement));
    if (!text || !*text) return std::nullopt;
    auto decision = from_json_text<Decision>(**text);
    if (decision) return std::move(*decision);
    log::warning(fmt::format("a decision can't be read: {}", decision.error().message), {{"VM", vm.str()}});
    return std::nullopt;
}

}  // namespace axle
