#include "agent/migration/outgoing_moves.hpp"

#include <algorithm>
#include <filesystem>

#include "agent/migration/data_path.hpp"
#include "agent/migration/move_folder.hpp"

namespace axle {
namespace {

LiveMoveWish live_wish(const OutgoingOptions& options, const MoveOut& out, const std::string& folder) {
    return {.libvirt_uri = options.libvirt_uri,
            .plan = out.plan,
            .copies = out.move.copies,
            .bandwidth = out.move.bandwidth,
            .libvirt_socket = folder + "/libvirt.sock",
            .memory_socket = folder + "/memory.sock",
            .disk_socket = folder + "/disk.sock"};
}

std::int64_t size_of(const std::string& path) {
    std::error_code trouble;
    const auto size = std::filesystem::file_size(path, trouble);
    return trouble ? 0 : static_cast<std::int64_t>(size);
}

}  // namespace

OutgoingMove::OutgoingMove(OutgoingOptions options, MoveOut out, const DataClient& client, Loop& io, Workers& dials)
    : options_(std::move(options)),
      out_(std::move(out)),
      folder_(options_.folder + "/" + out_.plan.document.id.str() + ".out"),
      client_(client),
      io_(io),
      dials_(dials),
      live_(live_wish(options_, out_, folder_)) {}

void OutgoingMove::cancel() {
    stop_.request_stop();
    live_.cancel();
}

Result<> OutgoingMove::run(const Progress& progress) {
    if (stop_.stop_requested()) return fail(Code::conflict, "the move was given up before it began");
    return out_.move.live ? run_live(progress) : run_copies(progress);
}

Result<std::unique_ptr<LocalDoor>> OutgoingMove::open_door(const std::string& stream) {
    const DataTarget target = target_of(out_.plan.document.id, out_.move);
    return LocalDoor::open(io_, dials_, folder_ + "/" + stream + ".sock", options_.guests,
                           {.dial = [this, target, stream] { return client_.open(target, stream); },
                            .ended =
                                [this, stream](const std::string& why) {
                                    if (why.empty()) return;
                                    const std::lock_guard lock(mutex_);
                                    if (line_trouble_.empty()) line_trouble_ = fmt::format("{}: {}", stream, why);
                                }});
}

// libvirt sees a socket that closed; why it did is known here.
Error OutgoingMove::explained(Error e) {
    const std::lock_guard lock(mutex_);
    if (!line_trouble_.empty()) e.message += fmt::format(" (the line to {}, {})", out_.move.peer_name, line_trouble_);
    return e;
}

Result<> OutgoingMove::run_live(const Progress& progress) {
    TRY_VOID(make_move_folder(folder_, options_.guests));
    Result<> moved;
    {
        std::vector<std::string> streams = {kLibvirtStream, kMemoryStream};
        if (!out_.move.copies.empty()) streams.emplace_back(kDiskStream);
        std::vector<std::unique_ptr<LocalDoor>> doors;
        for (const std::string& stream : streams) {
            TRY(door, open_door(stream));
            doors.push_back(std::move(door));
        }
        moved = live_.run(
            [&](LiveMoveProgress p) { progress({.done = p.done, .total = p.total, .downtime_ms = p.downtime_ms}); });
    }
    (void)remove_move_folder(folder_);  // sockets that stay are removed by the next move of this guest
    if (!moved) return fail(explained(std::move(moved.error())));
    return {};
}

Result<> OutgoingMove::run_copies(const Progress& progress) {
    const DataTarget target = target_of(out_.plan.document.id, out_.move);
    MoveProgress told;
    struct Copy {
        VolumeId volume;
        std::string path;
        std::int64_t size;
    };
    std::vector<Copy> disks;
    for (const auto& disk : out_.plan.disks) {
        if (std::ranges::find(out_.move.copies, disk.document.volume) == out_.move.copies.end()) continue;
        disks.push_back({disk.document.volume, disk.path, size_of(disk.path)});
        told.total += disks.back().size;
    }
    if (disks.size() != out_.move.copies.size())
        return fail(Code::conflict, "{} of {} disks that are to be copied are disks of this guest", disks.size(),
                    out_.move.copies.size());
    std::int64_t before = 0;
    for (const Copy& disk : disks) {
        const auto sent = [&](std::int64_t bytes) {
            told.done = before + bytes;
            progress(told);
        };
        TRY_VOID(client_.send_volume(target, disk.volume, disk.path,
                                     {.progress = sent, .bandwidth = out_.move.bandwidth, .stop = stop_.get_token()}));
        before += disk.size;
    }
    return {};
}

}  // namespace axle
