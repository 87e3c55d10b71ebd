// The store's directory as a place: who has it, and whether the cloud that it holds is at home here. Marks are small
// files in it, durable before what they tell of begins. Every call blocks.
//
//   DIRECTORY/lock       flock of the process that has the store
//   DIRECTORY/moved      the cloud is served elsewhere by now: where. What lies here is a dead copy
//   DIRECTORY/arriving   a cloud is being brought here, and not all of it is there
//   DIRECTORY/announced  where hosts are told to look for the orchestrator as well, before it moves there
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/file.hpp"
#include "common/base/result.hpp"

namespace axle {

// Held while the process lives; the kernel gives it back however it ends. Code::busy: another process has it.
Result<Fd> lock_store(const std::string& directory);

struct MovedMark {
    std::vector<std::string> endpoints;  // where it is served
    std::string archive;                 // the file that it went in
    WallTime at;
};
// With the lock held.
Result<> mark_moved(const std::string& directory, const MovedMark& mark);
Result<> mark_arriving(const std::string& directory);  // in the place of the other mark
// No mark any more; hosts are told to look for it at this place, too.
Result<> mark_arrived(const std::string& directory, const std::string& endpoint);
Result<std::optional<MovedMark>> read_moved(const std::string& directory);
bool is_arriving(const std::string& directory);
// Code::conflict, with the remedy, where the store must not be opened. Only with the lock held is it true for longer.
Result<> check_at_home(const std::string& directory);

Result<> announce(const std::string& directory, const std::vector<std::string>& endpoints);
Result<std::vector<std::string>> announced(const std::string& directory);

}  // namespace axle
