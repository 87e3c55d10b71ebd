#include "agent/storage/epoch_file.hpp"

#include <charconv>

#include "agent/storage/paths.hpp"

namespace axle {
namespace {

constexpr std::string_view kMark = "axle-epoch 1 ";

std::optional<std::uint64_t> take_number(std::string_view& text, char end) {
    std::uint64_t number = 0;
    const auto [stop, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
    const auto digits = static_cast<std::size_t>(stop - text.data());
    if (wrong != std::errc{} || digits >= text.size() || text[digits] != end) return std::nullopt;
    text.remove_prefix(digits + 1);
    return number;
}

std::string words_of(Epoch epoch) {
    return fmt::format("{}.{}", epoch.incarnation, epoch.revision);
}

}  // namespace

std::string epoch_path(const PoolDocument& pool, VolumeId volume) {
    return fmt::format("{}/{}.epoch", volumes_directory(pool), volume.str());
}

std::string epoch_file_text(VolumeId volume, Epoch epoch) {
    return fmt::format("{}{} {} {}\n", kMark, volume.str(), epoch.incarnation, epoch.revision);
}

std::optional<Epoch> parse_epoch_file(std::string_view text, VolumeId volume) {
    std::string_view rest = text;
    const std::string head = fmt::format("{}{} ", kMark, volume.str());
    if (!rest.starts_with(head)) return std::nullopt;
    rest.remove_prefix(head.size());
    const auto incarnation = take_number(rest, ' ');
    const auto revision = incarnation ? take_number(rest, '\n') : std::nullopt;
    if (!revision) return std::nullopt;
    const Epoch epoch{*incarnation, *revision};
    return epoch_file_text(volume, epoch) == text ? std::optional(epoch) : std::nullopt;
}

Result<bool> is_claimed(const PoolDocument& pool, const VolumeDocument& volume,
                        const std::optional<std::string>& text) {
    if (!text) return false;
    const auto there = parse_epoch_file(*text, volume.id);
    if (!there) return fail(epoch_file_unreadable(pool, volume, "it is no epoch file of this volume"));
    if (*there <= volume.epoch) return *there == volume.epoch;
    const std::string path = epoch_path(pool, volume.id);
    return fail(error(Code::conflict,
                      "volume {}: {} says that the disk was given to placement {}, which is later than {}, the one "
                      "that this host knows",
                      volume.name, path, words_of(*there), words_of(volume.epoch))
                    .with_hint(fmt::format("its guest runs where `axle vm show` says; only if it is certain that it "
                                           "runs on no host, and this one is to have it, remove {}",
                                           path))
                    .with_reason("EpochLower"));
}

Error epoch_file_unreadable(const PoolDocument& pool, const VolumeDocument& volume, const std::string& how) {
    const std::string path = epoch_path(pool, volume.id);
    return error(Code::corrupt,
                 "volume {}: {} can't be read, so it isn't known which placement has the disk (this one is {}): {}",
                 volume.name, path, words_of(volume.epoch), how)
        .with_hint(fmt::format("make certain that its guest runs on no other host, and remove {}", path));
}

}  // namespace axle
