#include "orchestrator/scheduler/host_table.hpp"

#include <algorithm>
#include <unordered_set>

#include "common/base/counted.hpp"
#include "orchestrator/scheduler/chain.hpp"

namespace axle {
namespace {

// Of the fullest hosts of a class, so many may refuse a VM that is packed; then those with the most room are asked.
constexpr std::size_t kFullMax = 256;
// So many of those that would do are told with their scores.
constexpr std::size_t kTold = 16;

// All that a static rule looks at. Hosts with the same signature get the same answer to each of them.
std::string signature_of(const HostState& host) {
    std::string out;
    const auto add = [&](std::string_view text) { out.append(text).push_back('\0'); };
    add(host.connected ? "c" : "");
    add(host.ready ? "" : host.not_ready_why);
    add(host.unschedulable ? "u" : "");
    add(host.accelerator == Accelerator::kvm ? "k" : "");
    add(host.guest_machine);
    add(host.guest_cpu_model);
    add(std::string_view(reinterpret_cast<const char*>(host.zone.bytes.data()), host.zone.bytes.size()));
    for (const auto& [key, value] : host.labels) {
        add(key);
        add(value);
    }
    for (const auto* list : {&host.bridges, &host.features}) {
        add("");
        for (const std::string& word : *list) add(word);
    }
    for (const auto& [id, pool] : host.pools) {
        add(std::string_view(reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()));
        add(pool.ready ? "" : pool.why);
    }
    return out;
}

// The weighted room of a host before the VM is there, as the scores would have it.
double room_of(const HostState& host) {
    VmRequest nothing{.cpus = 0};
    for (const auto& [id, pool] : host.pools) nothing.volumes.push_back({.pool = id});
    double room = 0;
    for (const NamedScore& score : kScores) {
        if (score.packed != nullptr) room += score.weight * score.of(nothing, host).value_or(0);
    }
    return room;
}

// The same VM without what depends on how full a host is.
VmRequest without_sizes(VmRequest request) {
    request.cpus = request.memory = 0;
    for (VolumeRequest& volume : request.volumes) volume.size = volume.copied = 0;
    return request;
}

}  // namespace

void HostTable::leave_class(Entry& entry) {
    if (entry.in == nullptr) return;
    entry.in->hosts.erase(&entry);
    if (entry.in->hosts.empty()) classes_.erase(entry.in->signature);
    entry.in = nullptr;
}

void HostTable::put(HostState state) {
    auto& entry = hosts_[state.id];
    if (!entry) entry = std::make_unique<Entry>();
    std::string signature = signature_of(state);
    // Out of the set before what it is ordered by changes. Its class stays, where it goes back into the same.
    Class& to = classes_[signature];
    if (entry->in == &to)
        to.hosts.erase(entry.get());
    else
        leave_class(*entry);
    to.signature = std::move(signature);
    entry->room = room_of(state);
    entry->state = std::move(state);
    entry->in = &to;
    to.hosts.insert(entry.get());
}

void HostTable::erase(const HostId& id) {
    const auto found = hosts_.find(id);
    if (found == hosts_.end()) return;
    leave_class(*found->second);
    hosts_.erase(found);
}

const HostState* HostTable::find(const HostId& id) const {
    const auto found = hosts_.find(id);
    return found == hosts_.end() ? nullptr : &found->second->state;
}

const HostState* HostTable::find_named(const std::string& name) const {
    for (const auto& [id, entry] : hosts_) {
        if (entry->state.name == name) return &entry->state;
    }
    return nullptr;
}

// One decision over classes.
class HostTable::Search {
  public:
    Search(const VmRequest& request, std::size_t classes)
        : request_(request),
          any_size_(without_sizes(request)),
          each_(std::clamp<std::size_t>(kCloseMax / std::max<std::size_t>(classes, 1), 1, kCloseEach)) {}

    // A host that is not like the others of its class: VMs stand there that a rule is about.
    void look_apart(const Entry* entry) {
        if (!apart_.insert(entry).second) return;
        ++apart_in_[entry->in];
        look_closely(entry->state);
    }

    void look_into(const Class& hosts) {
        const auto apart = apart_in_.find(&hosts);
        const std::size_t alike = hosts.hosts.size() - (apart == apart_in_.end() ? 0 : apart->second);
        if (alike == 0) return;
        const auto one = std::ranges::find_if(hosts.hosts, [&](const Entry* e) { return !apart_.contains(e); });
        if (const auto refusal = refusal_of(any_size_, (*one)->state))
            return note(refusals_, *refusal, (*one)->state, alike);
        Look look{alike};
        if (request_.strategy == Strategy::pack) look_along(hosts.hosts.rbegin(), hosts.hosts.rend(), look, kFullMax);
        look_along(hosts.hosts.begin(), hosts.hosts.end(), look, alike);
        fewer_room_ += look.left;
    }

    // A disk that lies on a host, or its name that is asked for, leaves nothing to choose.
    void look_only_at(const HostState& host, std::size_t others, const char* filter, std::string why_not_others) {
        look_closely(host);
        if (others == 0) return;
        elsewhere_ = Candidate{.host = counted(others, "other"), .filter = filter, .reason = std::move(why_not_others)};
    }

    Decision end(std::size_t all) && {
        const std::size_t told = std::min(close_.size(), kTold);
        std::ranges::partial_sort(close_, close_.begin() + static_cast<std::ptrdiff_t>(told),
                                  [](const Close& a, const Close& b) {
                                      return a.total != b.total ? a.total > b.total : a.host->name < b.host->name;
                                  });
        std::vector<Candidate> candidates;
        for (std::size_t i = 0; i < told; ++i) candidates.push_back(scored(request_, *close_[i].host));
        if (close_.size() > told)
            candidates.push_back(
                {.host = fmt::format("{} hosts", close_.size() - told), .reason = "would do, with lower scores"});
        if (elsewhere_) candidates.push_back(std::move(*elsewhere_));
        for (const auto& [filter, seen] : refusals_) {
            std::string host = seen.count > 1 ? fmt::format("{} hosts, such as {}", seen.count, seen.host) : seen.host;
            candidates.push_back({.host = std::move(host), .filter = filter, .reason = seen.reason});
        }
        if (fewer_room_ > 0)
            candidates.push_back({.host = fmt::format("{} hosts", fewer_room_),
                                  .reason = request_.strategy == Strategy::pack
                                                ? "are like those that fit; not looked at closely"
                                                : "are like those that fit, with less room; not looked at closely"});
        return conclude(request_, std::move(candidates), refusals_, all);
    }

  private:
    struct Look {          // into one class
        std::size_t left;  // not looked at yet
        std::size_t fit = 0;
        std::size_t refused = 0;
    };
    // In this order, until enough fit, too many don't, or all were looked at (from the other end, too).
    template <typename Iterator>
    void look_along(Iterator at, Iterator end, Look& look, std::size_t refused_max) {
        for (; at != end && look.fit < each_ && look.refused < refused_max && look.left > 0; ++at) {
            if (apart_.contains(*at)) continue;
            --look.left;
            ++(look_closely((*at)->state) ? look.fit : look.refused);
        }
    }
    bool look_closely(const HostState& host) {
        if (const auto refusal = refusal_of(request_, host)) return note(refusals_, *refusal, host), false;
        close_.push_back({&host, total_of(request_, host)});
        return true;
    }

    struct Close {
        const HostState* host;
        double total;
    };
    const VmRequest& request_;
    const VmRequest any_size_;
    const std::size_t each_;  // of a class, as many are looked for that fit
    std::vector<Close> close_;
    std::optional<Candidate> elsewhere_;
    Refusals refusals_;
    std::size_t fewer_room_ = 0;
    std::unordered_set<const Entry*> apart_;  // looked at by themselves
    std::unordered_map<const Class*, std::size_t> apart_in_;
};

Decision HostTable::decide(const VmRequest& request) const {
    if (size() <= kCloseMax) {
        std::vector<const HostState*> all;
        for (const auto& [id, entry] : hosts_) all.push_back(&entry->state);
        std::ranges::sort(all, {}, &HostState::name);
        return decide_among(request, all);
    }
    Search search(request, classes_.size());
    const std::string named = named_host(request);
    const auto pinned = std::ranges::find_if(request.volumes, [](const VolumeRequest& v) { return bool(v.pinned); });
    if (const HostState* asked = named.empty() ? nullptr : find_named(named)) {
        search.look_only_at(*asked, size() - 1, "labels", fmt::format("the VM asks for host {} by name", named));
    } else if (pinned == request.volumes.end()) {
        for (const NeighbourRule& rule : request.rules) {
            for (const Neighbour& n : rule.neighbours) {
                if (const auto entry = hosts_.find(n.host); rule.over == Domain::host && entry != hosts_.end())
                    search.look_apart(entry->second.get());
            }
        }
        for (const auto& [signature, hosts] : classes_) search.look_into(hosts);
    } else if (const HostState* host = find(pinned->pinned)) {
        search.look_only_at(*host, size() - 1, "pools", fmt::format("a disk of the VM lies on host {}", host->name));
    }
    return std::move(search).end(size());
}

}  // namespace axle
