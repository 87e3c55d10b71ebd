// When there is no room for all: memory goes to small requests first, places to whoever has few of them.
#include <algorithm>

#include "common/base/log.hpp"
#include "common/http/server_core.hpp"

namespace axle::http {

namespace {

constexpr std::size_t kSmallBody = 16 << 10;     // such requests are taken as long as workers have a queue for them
constexpr std::size_t kPlacesAtOnce = 256;       // so that a flood of newcomers costs one search for so many of them
constexpr std::size_t kPlacesForOurOwn = 1'000;  // on the unix socket, beyond what strangers can fill
constexpr milliseconds kTellEvery{60'000};

}  // namespace

bool ServerCore::tell_now(BootTime& told) {
    if (loop.boot() - told < kTellEvery) return false;
    told = loop.boot();
    return true;
}

// ---- memory

void ServerCore::hold(std::size_t before, std::size_t now) {
    held += now - before;
    stat_held.store(held + in_work(), std::memory_order_relaxed);
    if (now > before && held + in_work() > options.held_max) make_room();
}

bool ServerCore::has_room_for(std::size_t body) const {
    return body <= kSmallBody || in_work() + body <= options.held_max / 2;
}

std::shared_ptr<void> ServerCore::take_room(std::size_t body) {
    if (body <= kSmallBody) return nullptr;
    work_held->fetch_add(body, std::memory_order_relaxed);
    return {static_cast<void*>(this), [count = work_held, body](void*) { count->fetch_sub(body); }};
}

// Down to an eighth below the limit, so that the search is not made for each piece that comes.
void ServerCore::make_room() {
    if (std::exchange(making_room, true)) return;
    std::vector<std::pair<std::size_t, std::shared_ptr<Connection>>> holders;
    for (const auto& [id, connection] : connections)
        if (connection->held() > 0) holders.emplace_back(connection->held(), connection);
    std::ranges::sort(holders, std::greater{}, [](const auto& holder) { return holder.first; });
    const std::size_t enough = options.held_max / 8 * 7;
    std::size_t gone = 0;
    for (const auto& [bytes, connection] : holders) {
        if (held + in_work() <= enough) break;
        connection->shed(
            fmt::format("the server has no room: it holds {} MiB of requests and answers, this connection "
                        "most of it",
                        options.held_max >> 20));
        ++gone;
    }
    stat_shed.fetch_add(gone, std::memory_order_relaxed);
    if (gone > 0 && tell_now(told_no_room))
        log::warning(fmt::format("{} connections are cut off: requests and answers held over {} MiB, the limit", gone,
                                 options.held_max >> 20));
    making_room = false;
}

// ---- places

bool ServerCore::may_enter(const Peer& peer) {
    if (closing) return false;
    const bool ours = peer.kind == Peer::Kind::unix_socket;
    const auto of_address = per_address.find(peer.ip);
    const bool too_many =
        !ours && of_address != per_address.end() && of_address->second >= options.connections_per_address_max;
    if (!too_many && open() >= options.connections_max) make_places();
    if (!too_many && open() < options.connections_max + (ours ? kPlacesForOurOwn : 0)) return true;
    stat_turned_away.fetch_add(1, std::memory_order_relaxed);
    if (tell_now(told_full))
        log::warning(too_many
                         ? fmt::format("a connection from {} is turned away: it has {} open, the limit for one address",
                                       peer.ip, of_address->second)
                         : fmt::format("a connection is turned away: {} are open, the limit", open()));
    return false;
}

// Idle ones of the address that has most, the oldest first: their clients dial again when they have something to say.
void ServerCore::make_places() {
    const auto most = std::ranges::max_element(per_address, {}, [](const auto& entry) { return entry.second; });
    if (most == per_address.end()) return;
    const std::string ip = most->first;
    std::vector<std::pair<std::uint64_t, std::shared_ptr<Connection>>> idle;
    for (const auto& [id, connection] : connections)
        if (connection->ip() == ip && connection->waits_for_a_request()) idle.emplace_back(id, connection);
    const std::size_t count = std::min(idle.size(), std::min(kPlacesAtOnce, options.connections_max / 8 + 1));
    std::ranges::partial_sort(idle, idle.begin() + static_cast<std::ptrdiff_t>(count), {},
                              &decltype(idle)::value_type::first);
    for (std::size_t i = 0; i < count; ++i) idle[i].second->kill("its place is needed");
    stat_shed.fetch_add(count, std::memory_order_relaxed);
    if (count > 0 && tell_now(told_places))
        log::warning(fmt::format("{} idle connections of {} are closed: {} were open, the limit", count, ip,
                                 options.connections_max));
}

}  // namespace axle::http
