// The epoch file beside a volume on a shared pool: of which placement the disk is (RELIABILITY 5.3). Its form, and what
// real and fake storage decide by it. Pure; any thread.
//
//   axle-epoch 1 <volume> <incarnation> <revision>\n
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "common/channel/documents.hpp"

namespace axle {

constexpr std::int64_t kEpochFileMax = 4'096;  // bytes that are read of one

std::string epoch_path(const PoolDocument& pool, VolumeId volume);
std::string epoch_file_text(VolumeId volume, Epoch epoch);
// Only what epoch_file_text() writes, to the last byte: a number that lost a digit would be a lower epoch.
std::optional<Epoch> parse_epoch_file(std::string_view text, VolumeId volume);

// Whether the disk is taken already by the document's epoch; false: its file is to be written. text: what the file
// holds, none where there is no file. Code::conflict (reason EpochLower) where a later placement has the disk,
// Code::corrupt where the file can't tell.
Result<bool> is_claimed(const PoolDocument& pool, const VolumeDocument& volume, const std::optional<std::string>& text);
Error epoch_file_unreadable(const PoolDocument& pool, const VolumeDocument& volume, const std::string& how);

}  // namespace axle
