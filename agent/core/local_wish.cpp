// What a person asks of the agent itself, with the orchestrator away (DESIGN 8): laid over the document, and taken over
// into the spec by the orchestrator when it is back and the spec has not changed since.
#include <algorithm>

#include "agent/core/vm_keeper.hpp"
#include "common/base/units.hpp"

namespace axle {

void VmKeeper::lay_over(VmDocument& document) {
    const LocalRecord* local = keep_.ledger.local(document.id);
    if (local == nullptr) return;
    if (local->wish.generation != document.generation || local->epoch != document.epoch)
        return keep_.ledger.forget_local(document.id);  // the spec's word is newer
    document.power = local->wish.power;
    document.start_serial = std::max(document.start_serial, local->wish.start_serial);
    document.force_stop = document.force_stop || local->force;
}

void VmKeeper::wish(VmId id, Power power, bool force, Done done) {
    const DocumentKey key{DocumentKind::vm, id};
    const auto it = vms_.find(id);
    const DocumentRecord* record = keep_.ledger.document(key);
    if (it == vms_.end() || !it->second.document || it->second.verdict != Verdict::keep || record == nullptr)
        return done(fail(Code::not_found, "no guest {} is kept on this host", id.str()));
    const VmDocument& document = *it->second.document;
    if (is_coming_here(it->second) || has_left(it->second))
        return done(fail(Code::conflict, "guest {} is another host's until its move is over", document.name));
    LocalRecord local{.vm = id,
                      .epoch = it->second.epoch,
                      .wish = {.power = power,
                               .generation = document.generation,
                               .start_serial = document.start_serial,
                               .at = format_time(seams_.clock.wall())},
                      .force = force};
    // As in the spec: every start is a new run.
    if (power == Power::running)
        local.wish.start_serial = std::max(document.start_serial, keep_.ledger.run(id).serial) + 1;
    keep_.ledger.put(local, life_.wrap([this, key, done = std::move(done)](Result<> put) {
        const DocumentRecord* now = keep_.ledger.document(key);
        if (put && now != nullptr && now->verdict == Verdict::keep) apply(*now);
        done(std::move(put));
    }));
}

std::vector<VmKeeper::Kept> VmKeeper::kept() const {
    std::vector<Kept> out;
    for (const auto& [id, vm] : vms_) {
        if (!vm.document || vm.verdict != Verdict::keep) continue;
        const std::string waits = vm.decision.step == Step::wait ? vm.decision.why
                                  : vm.trouble                   ? vm.trouble->message
                                                                 : "";
        out.push_back(
            {id, vm.document->name, vm.seen.state, vm.document->power, vm.document->cpus, vm.document->memory, waits});
    }
    return out;
}

}  // namespace axle
