#include "agent/guest/guest_files.hpp"

#include "common/base/file.hpp"

namespace axle {

Result<> remove_with_rotated(const std::string& path) {
    const std::string directory = parent_of(path) + "/";
    TRY(names, list_directory(directory));
    for (const std::string& name : names) {
        const std::string found = directory + name;
        if (found == path || found.starts_with(path + ".")) TRY_VOID(remove_file_durably(found));
    }
    return {};
}

}  // namespace axle
