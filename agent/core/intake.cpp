#include "agent/core/intake.hpp"

#include <algorithm>

#include "agent/core/planted.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

bool lower(Epoch a, Epoch b) {
    return planted().take_lower_epochs ? b < a : a < b;
}

template <typename T>
std::string check_content(const Put& put, const std::string& cluster) {
    auto document = from_json_text<T>(put.content);
    if (!document) return document.error().message;
    if (Uuid{document->id} != put.id) return "the document inside has another id";
    if constexpr (requires { document->cluster; }) {
        if (document->cluster != cluster) return "the document is of cluster " + document->cluster;
    }
    if constexpr (requires { document->epoch; }) {
        if (document->epoch != put.epoch) return "the document inside has another epoch";
    }
    return {};
}

std::string check_content(const Put& put, const std::string& cluster) {
    switch (put.kind) {
        case DocumentKind::pool:
            return check_content<PoolDocument>(put, cluster);
        case DocumentKind::image:
            return check_content<ImageDocument>(put, cluster);
        case DocumentKind::network:
            return check_content<NetworkDocument>(put, cluster);
        case DocumentKind::volume:
            return check_content<VolumeDocument>(put, cluster);
        case DocumentKind::vm:
            return check_content<VmDocument>(put, cluster);
    }
    return "a kind that this release does not know";
}

std::string text(Epoch epoch) {
    return fmt::format("{}.{}", epoch.incarnation, epoch.revision);
}

}  // namespace

std::string refusal(const Desired& desired, const std::string& cluster, const SeenRecord& seen) {
    if (!desired.cluster.empty() && desired.cluster != cluster)
        return fmt::format("it is of cluster {}, this host belongs to {}", desired.cluster, cluster);
    const bool other_run = desired.run_id != seen.run_id;
    if (desired.incarnation < seen.incarnation || (desired.incarnation == seen.incarnation && other_run)) {
        return fmt::format(
            "it is of incarnation {} (run {}), this host has seen incarnation {} under run {}: there is "
            "a second or an older copy of the orchestrator's store",
            desired.incarnation, desired.run_id, seen.incarnation, seen.run_id);
    }
    if (desired.revision < seen.revision) {
        return fmt::format(
            "it is at revision {}, this host has seen {}: the orchestrator's store has lost its tail or "
            "is an older copy",
            desired.revision, seen.revision);
    }
    return {};
}

std::string refusal(const Put& put, const DocumentRecord* held, const std::string& cluster) {
    if (auto wrong = check_content(put, cluster); !wrong.empty()) return wrong;
    if (held == nullptr || !has_epoch(put.kind)) return {};
    if (lower(put.epoch, held->epoch))
        return fmt::format("its epoch {} is lower than {}", text(put.epoch), text(held->epoch));
    if (held->verdict != Verdict::keep && put.epoch == held->epoch)
        return fmt::format("epoch {} was ended here; a new placement has a higher one", text(put.epoch));
    return {};
}

bool may_end(Epoch epoch, const DocumentRecord* held) {
    return held == nullptr || !has_epoch(held->kind) || !lower(epoch, held->epoch);
}

Intake::Intake(const Seams& seams, const AgentIdentity& identity, Ledger& ledger, Reporter& reporter, Hooks hooks)
    : seams_(seams), identity_(identity), ledger_(ledger), reporter_(reporter), hooks_(std::move(hooks)) {}

const DocumentRecord* Intake::held(const DocumentKey& key) const {
    auto it = on_their_way_.find(key);
    return it != on_their_way_.end() ? &it->second : ledger_.document(key);
}

void Intake::take(const Desired& desired) {
    const auto height = [](const SeenRecord& s) { return std::pair(s.incarnation, s.revision); };
    const SeenRecord seen =
        std::max(seen_, ledger_.seen(), [&](const auto& a, const auto& b) { return height(a) < height(b); });
    refused_ = refusal(desired, identity_.cluster, seen);
    if (!refused_.empty()) {
        seams_.log(log::Level::error, "nothing is taken from the orchestrator: " + refused_);
        return hooks_.close("refused by the agent: " + refused_);
    }
    const bool news = desired.revision != seen.revision || desired.incarnation != seen.incarnation;
    seen_ = {desired.revision, desired.incarnation, desired.run_id, desired.seal, desired.run_seal};
    if (news) {  // written before the documents: what a later message must not go below
        ledger_.put(seen_, life_.wrap([this](Result<> put) {
            if (!put) hooks_.close("the agent's state can't be written: " + put.error().message);
        }));
    }
    for (const Put& put : desired.puts) take_put(put, desired.revision);
    for (const Release& end : desired.releases)
        take_end(end.kind, end.id, end.epoch, Verdict::release, desired.revision);
    for (const Destroy& end : desired.destroys)
        take_end(end.kind, end.id, end.epoch, Verdict::destroy, desired.revision);
    for (const Confirm& confirm : desired.confirms) hooks_.confirm(confirm);
}

void Intake::take_put(const Put& put, std::uint64_t order) {
    const DocumentKey key{put.kind, put.id};
    const DocumentRecord* before = held(key);
    if (auto why = refusal(put, before, identity_.cluster); !why.empty()) {
        seams_.log(log::Level::warning, fmt::format("{} {} is refused: {}", text_of(put.kind), put.id.str(), why));
        if (before != nullptr && before->verdict == Verdict::gone) reporter_.gone(key, before->epoch);
        return;
    }
    store({.kind = put.kind,
           .id = put.id,
           .epoch = put.epoch,
           .verdict = Verdict::keep,
           .hash = put.hash,
           .order = order,
           .content = put.content});
}

void Intake::end(DocumentKind kind, const Uuid& id, Epoch epoch, std::string content) {
    const Verdict verdict = kind == DocumentKind::volume ? Verdict::destroy : Verdict::release;
    take_end(kind, id, epoch, verdict, ledger_.seen().revision, std::move(content));
}

void Intake::take_end(DocumentKind kind, const Uuid& id, Epoch epoch, Verdict verdict, std::uint64_t order,
                      std::string content) {
    const DocumentKey key{kind, id};
    const DocumentRecord* before = held(key);
    if (!may_end(epoch, before)) {
        seams_.log(log::Level::warning,
                   fmt::format("{} of {} {} is refused: its epoch {} is lower than {}", text_of(verdict), text_of(kind),
                               id.str(), text(epoch), text(before->epoch)));
        return;
    }
    const bool unknown = before == nullptr || before->verdict == Verdict::gone;
    if (unknown && !has_epoch(kind)) return reporter_.gone(key, epoch);
    DocumentRecord record = before == nullptr ? DocumentRecord{.kind = kind, .id = id} : *before;
    const bool file_left = kind == DocumentKind::volume && verdict == Verdict::destroy && !record.destroyed;
    if (unknown && before != nullptr && before->epoch == epoch && !file_left) return reporter_.gone(key, epoch);
    if (before != nullptr && before->verdict == Verdict::destroy) verdict = Verdict::destroy;  // never weakened
    record.epoch = std::max(record.epoch, epoch);
    record.verdict = verdict;
    record.destroyed = false;
    if (unknown && !content.empty()) record.content = std::move(content);
    record.hash.clear();
    record.order = order;
    store(std::move(record));
}

void Intake::store(DocumentRecord record) {
    const DocumentKey key = record.key();
    on_their_way_[key] = record;
    ledger_.put(record, life_.wrap([this, key, record](Result<> put) {
        auto mine = on_their_way_.find(key);
        const bool newest = mine != on_their_way_.end() && !ledger_.writing(key);
        if (newest) on_their_way_.erase(mine);
        if (put) return hooks_.apply(record);
        seams_.log(log::Level::error, fmt::format("{} {} can't be stored: {}", text_of(record.kind), record.id.str(),
                                                  put.error().message));
        hooks_.close("the agent's state can't be written: " + put.error().message);
    }));
}

}  // namespace axle
