#include "agent/state/state_directory.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/state/names.hpp"
#include "common/base/file.hpp"
#include "common/base/io.hpp"
#include "common/base/space.hpp"

namespace axle {
namespace {

bool is_directory(const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

Result<std::string> read_state(const std::string& path, std::int64_t limit) {
    auto content = read_file(path, limit);
    const std::string hint =
        "bring the file back from a backup, or move it away: the orchestrator then sends what it has";
    if (!content)
        return fail(
            error(Code::corrupt, "state file {} can't be read: {}", path, content.error().message).with_hint(hint));
    if (content->empty() || content->find('\0') != std::string::npos)
        return fail(error(Code::corrupt, "state file {} is damaged: its {} bytes are no text", path, content->size())
                        .with_hint(hint));
    return content;
}

}  // namespace

Result<> StateDirectory::load_folder(const std::string& folder, std::vector<StateFile>& into) {
    const std::string directory = folder.empty() ? path_ : path_ + "/" + folder;
    TRY(names, list_directory(directory));
    bool removed = false;
    for (const auto& entry : names) {
        const std::string path = directory + "/" + entry, name = folder.empty() ? entry : folder + "/" + entry;
        if (is_directory(path)) {
            if (folder.empty()) TRY_VOID(load_folder(entry, into));
        } else if (entry.ends_with(".new")) {
            if (io::unlink(path.c_str()) != 0) return fail(system_error("remove " + path, errno));
            removed = true;
        } else if (is_state_file_name(name) && path != reserve_path()) {
            TRY(content, read_state(path, file_size_max_));
            into.push_back({.name = name, .content = std::move(content)});
        }
    }
    return removed ? sync_directory(directory) : Result<>{};
}

Result<std::vector<StateFile>> StateDirectory::load() {
    TRY_VOID(make_directories(path_, 0700));
    TRY_VOID(remove_file_durably(reserve_path()));
    reserved_ = false;
    std::vector<StateFile> all;
    TRY_VOID(load_folder("", all));
    return all;
}

Result<> StateDirectory::write(const std::string& path, const std::string& content) {
    const std::string temporary = path + ".new";
    const auto give_up = [&](const char* what) {
        const int error_number = errno;
        ::unlink(temporary.c_str());
        return fail(system_error(fmt::format("{} {}", what, temporary), error_number));
    };
    const Fd fd(io::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    if (!fd) return fail(system_error("create " + temporary, errno));
    for (std::string_view rest = content; !rest.empty();) {
        const ssize_t n = io::write(fd.get(), rest.data(), rest.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return give_up("write");
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
    if (io::fsync(fd.get()) != 0) return give_up("sync");
    KILL_POINT("state.before-rename");
    if (io::rename(temporary.c_str(), path.c_str()) != 0) return give_up("rename");
    KILL_POINT("state.after-rename");
    return {};
}

Result<> StateDirectory::change(const std::string& name, const std::optional<std::string>& content) {
    const std::string path = path_ + "/" + name, directory = parent_of(path);
    if (content) {
        if (static_cast<std::int64_t>(content->size()) > file_size_max_)
            return fail(Code::internal, "state file {} has {} bytes, at most {} are kept", name, content->size(),
                        file_size_max_);
        TRY_VOID(make_directories(directory, 0700));
        TRY_VOID(write(path, *content));
    } else if (io::unlink(path.c_str()) != 0) {
        if (errno == ENOENT) return {};
        return fail(system_error("remove " + path, errno));
    }
    unsynced_.insert(directory);
    return {};
}

Result<> StateDirectory::sync() {
    for (const auto& directory : unsynced_) TRY_VOID(sync_directory(directory));
    unsynced_.clear();
    KILL_POINT("state.synced");
    return {};
}

void StateDirectory::keep_reserve() {
    if (reserved_ || reserve_bytes_ == 0) return;
    if (const auto free = free_bytes(path_); !free || *free < 2 * reserve_bytes_) return;
    const Fd fd(::open(reserve_path().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    reserved_ = fd && ::posix_fallocate(fd.get(), 0, reserve_bytes_) == 0 && ::fsync(fd.get()) == 0;
    if (!reserved_) ::unlink(reserve_path().c_str());
}

}  // namespace axle
