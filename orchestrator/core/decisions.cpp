#include "orchestrator/core/decisions.hpp"

#include "common/base/log.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

std::string key_of(const Uuid& vm, const Epoch& placement) {
    return fmt::format("{}/{}.{}", vm.str(), placement.incarnation, placement.revision);
}

}  // namespace

void keep_decision(Transaction& tx, const Uuid& vm, const Epoch& placement, const Decision& decision) {
    tx.write({Table::decisions, key_of(vm, placement), to_json_text(decision)});
}

void forget_decision(Transaction& tx, const Uuid& vm, const Epoch& placement) {
    tx.write({Table::decisions, key_of(vm, placement), std::nullopt});
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
