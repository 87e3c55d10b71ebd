// The folder of one move's unix sockets. Every call blocks shortly.
#pragma once
#include <optional>
#include <string>

#include "agent/storage/pool_directory.hpp"

namespace axle {

// Empty, of QEMU's user (it listens there, or connects), mode 0700: what was there of an earlier move is removed.
Result<> make_move_folder(const std::string& path, const std::optional<FileOwner>& guests);
Result<> remove_move_folder(const std::string& path);  // not there: success

}  // namespace axle
