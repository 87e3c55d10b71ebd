#include "agent/migration/incoming_moves.hpp"

#include <algorithm>

#include "agent/migration/data_path.hpp"
#include "agent/migration/libvirt_filter.hpp"
#include "agent/migration/move_folder.hpp"
#include "agent/migration/volume_copy.hpp"
#include "common/base/digest.hpp"
#include "common/base/log.hpp"

namespace axle {
namespace {

constexpr std::size_t kJoinsMax = 32;  // of one guest; libvirt opens one, memory one, disks one each

Error nobody_expected(VmId vm) {
    return error(Code::not_found, "no guest {} is expected here", vm.str());
}

bool is_disk(const std::string& stream) {
    return stream == kDiskStream || stream.starts_with("disk-");
}

// What a move of this kind has use for.
Result<> check_stream(const MoveIn& in, const std::string& stream) {
    if (stream == kHandedOverStream) return {};
    const bool live = stream == kLibvirtStream || stream == kMemoryStream || is_disk(stream);
    if (in.move.live != live)
        return fail(Code::conflict, "guest {} comes {}: a stream \"{}\" has no place in it", in.plan.document.id.str(),
                    in.move.live ? "live" : "as files", stream);
    if (is_disk(stream) && in.move.copies.empty())
        return fail(Code::conflict, "no disk of guest {} is copied", in.plan.document.id.str());
    return {};
}

}  // namespace

IncomingMoves::IncomingMoves(IncomingOptions options, Loop& io) : options_(std::move(options)), io_(io) {}

IncomingMoves::~IncomingMoves() {
    const std::lock_guard lock(state_->mutex);
    for (auto& [vm, expected] : state_->moves) cut(expected, "the agent stops");
    state_->moves.clear();
}

void IncomingMoves::cut(Expected& expected, const std::string& why) {
    for (auto& [number, join] : expected.joins) {
        if (join.second) join.second->cut(why);
    }
    expected.joins.clear();
}

std::string IncomingMoves::folder_of(VmId vm) const {
    return options_.folder + "/" + vm.str() + ".in";
}

Result<> IncomingMoves::expect(MoveIn in) {
    const VmId vm = in.plan.document.id;
    if (in.move.ticket.empty()) return fail(Code::invalid, "a move without a ticket lets nobody in");
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->moves.find(vm);
    if (found != state_->moves.end() && equal_in_constant_time(found->second.in.move.ticket, in.move.ticket)) {
        found->second.in = std::move(in);
        return {};
    }
    if (found != state_->moves.end()) {
        cut(found->second, "another move of this guest is expected");
        state_->moves.erase(found);
    }
    TRY_VOID(make_move_folder(folder_of(vm), options_.disks.guests));
    state_->moves[vm].in = std::move(in);
    return {};
}

Result<> IncomingMoves::dismiss(VmId vm) {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->moves.find(vm);
    if (found != state_->moves.end()) {
        cut(found->second, "the guest is not expected any more");
        state_->moves.erase(found);
    }
    return remove_move_folder(folder_of(vm));
}

Result<MoveIn> IncomingMoves::find(VmId vm) const {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->moves.find(vm);
    if (found == state_->moves.end()) return fail(nobody_expected(vm));
    return found->second.in;
}

Result<> IncomingMoves::admit(HostId from, VmId vm, const std::string& ticket, const std::string& stream) const {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->moves.find(vm);
    if (found == state_->moves.end()) return fail(nobody_expected(vm));
    const MoveIn& in = found->second.in;
    if (from != in.move.peer)
        return fail(Code::forbidden, "guest {} comes from another host than {}", vm.str(), from.str());
    if (!equal_in_constant_time(in.move.ticket, ticket))
        return fail(Code::forbidden, "this is not the ticket of the move of guest {}", vm.str());
    TRY_VOID(check_stream(in, stream));
    const auto& joins = found->second.joins;
    if (joins.size() >= kJoinsMax)
        return fail(Code::conflict, "{} streams of guest {} are open, the limit", joins.size(), vm.str());
    const bool again = stream == kLibvirtStream &&
                       std::ranges::any_of(joins, [](const auto& j) { return j.second.first == kLibvirtStream; });
    if (again) return fail(Code::conflict, "a migration of guest {} is under way", vm.str());
    return {};
}

JoinOptions IncomingMoves::options_of(const std::string& stream, const MoveIn& in) const {
    JoinOptions options;
    if (stream != kLibvirtStream) return options;
    const std::string folder = folder_of(in.plan.document.id);
    auto filter = std::make_shared<LibvirtFilter>(
        in, MigrationSockets{.memory = folder + "/memory.sock", .disks = folder + "/disk.sock"});
    options.to_socket = [filter](const std::string& bytes) { return filter->feed(bytes); };
    return options;
}

void IncomingMoves::opened(VmId vm, const std::string& stream, ByteStream bytes) {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->moves.find(vm);
    if (found == state_->moves.end()) return bytes.close("the guest is not expected any more");
    const std::uint64_t number = ++state_->last_join;
    const std::string path = stream == kLibvirtStream  ? options_.libvirt_socket
                             : stream == kMemoryStream ? folder_of(vm) + "/memory.sock"
                                                       : folder_of(vm) + "/disk.sock";
    // Noted before the join may end.
    auto& slot = found->second.joins[number];
    slot.first = stream;
    slot.second =
        Join::to_path(io_, std::move(bytes), path, options_of(stream, found->second.in),
                      [state = std::weak_ptr(state_), vm, number, stream](const std::string& why) {
                          if (!why.empty())
                              log::warning(fmt::format("stream {} of guest {} ended: {}", stream, vm.str(), why));
                          const auto there = state.lock();
                          if (!there) return;
                          const std::lock_guard guard(there->mutex);
                          if (const auto move = there->moves.find(vm); move != there->moves.end())
                              move->second.joins.erase(number);
                      });
}

Result<> IncomingMoves::take_volume(VmId vm, VolumeId volume, http::BodyStream& body, const std::string& sha256) {
    TRY(in, find(vm));
    const auto& disks = in.plan.disks;
    const auto disk = std::ranges::find(disks, volume, [](const auto& d) { return d.document.volume; });
    if (disk == disks.end() || std::ranges::find(in.move.copies, volume) == in.move.copies.end())
        return fail(Code::not_found, "volume {} is not a disk that comes with guest {}", volume.str(), vm.str());
    return receive_volume(disk->path, body, sha256, options_.disks);
}

Result<> IncomingMoves::handed_over(VmId vm, Epoch epoch) {
    TRY(in, find(vm));
    if (epoch != in.move.epoch)
        return fail(Code::conflict, "guest {} is expected at epoch {}.{}, not at {}.{}", vm.str(),
                    in.move.epoch.incarnation, in.move.epoch.revision, epoch.incarnation, epoch.revision);
    if (options_.handed_over) options_.handed_over(vm, epoch);
    return {};
}

}  // namespace axle
