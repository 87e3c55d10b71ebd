#include "agent/migration/move_folder.hpp"

#include <cerrno>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.hpp"

namespace axle {

Result<> make_move_folder(const std::string& path, const std::optional<FileOwner>& guests) {
    TRY_VOID(make_directories(parent_of(path), 0711));
    TRY_VOID(remove_move_folder(path));
    if (::mkdir(path.c_str(), 0700) != 0) return fail(system_error("make " + path, errno));
    if (guests && ::chown(path.c_str(), guests->uid, guests->gid) != 0)
        return fail(system_error("give " + path + " to QEMU's user", errno));
    return {};
}

Result<> remove_move_folder(const std::string& path) {
    std::error_code trouble;
    std::filesystem::remove_all(path, trouble);
    if (trouble) return fail(system_error("remove " + path, trouble.value()));
    return {};
}

}  // namespace axle
