#include "orchestrator/store/directory.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "common/base/ensure.hpp"
#include "common/base/log.hpp"
#include "common/base/units.hpp"

namespace axle {
namespace {

using nlohmann::json;

constexpr std::int64_t kMarkMax = 64 << 10;

std::string moved_path(const std::string& directory) {
    return directory + "/moved";
}
std::string arriving_path(const std::string& directory) {
    return directory + "/arriving";
}
std::string announced_path(const std::string& directory) {
    return directory + "/announced";
}

Result<std::vector<std::string>> texts_of(const json& list, const std::string& path) {
    std::vector<std::string> out;
    for (const json& item : list.is_array() ? list : json::array()) {
        if (item.is_string()) out.push_back(item.get<std::string>());
    }
    if (out.empty()) return fail(Code::corrupt, "{} names no place", path);
    return out;
}

std::string joined(const std::vector<std::string>& texts) {
    std::string out;
    for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + text;
    return out;
}

}  // namespace

Result<Fd> lock_store(const std::string& directory) {
    const std::string path = directory + "/lock";
    Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return fail(system_error("open " + path, errno));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return fail(system_error("lock " + path, errno));
        const auto owner = read_file(path, 64);
        return fail(error(Code::busy, "the store {} is in use by process {}", directory,
                          owner && !owner->empty() ? *owner : "unknown")
                        .with_hint("an orchestrator already runs on it: use that one, or stop it first"));
    }
    const std::string pid = std::to_string(::getpid());
    if (::ftruncate(fd.get(), 0) != 0 || ::pwrite(fd.get(), pid.data(), pid.size(), 0) < 0)
        log::debug("the process id could not be written into " + path);
    return fd;
}

Result<> mark_moved(const std::string& directory, const MovedMark& mark) {
    const json out = {{"endpoints", mark.endpoints}, {"archive", mark.archive}, {"at", mark.at.ms}};
    return write_file_durably(moved_path(directory), out.dump() + "\n", 0644);
}

Result<> mark_arriving(const std::string& directory) {
    TRY_VOID(write_file_durably(arriving_path(directory), "", 0644));
    KILL_POINT("store.arriving.both-marks");
    return remove_file_durably(moved_path(directory));
}

Result<> mark_arrived(const std::string& directory, const std::string& endpoint) {
    TRY_VOID(announce(directory, {endpoint}));
    return remove_file_durably(arriving_path(directory));
}

Result<std::optional<MovedMark>> read_moved(const std::string& directory) {
    const std::string path = moved_path(directory);
    const auto text = read_file(path, kMarkMax);
    if (!text && text.error().code == Code::not_found) return std::optional<MovedMark>{};
    if (!text) return fail(text.error());
    const json in = json::parse(*text, nullptr, false);
    if (!in.is_object())
        return fail(Code::corrupt, "{} can't be read: this cloud has moved, nobody can tell where", path);
    MovedMark mark;
    TRY(endpoints, texts_of(in.value("endpoints", json::array()), path));
    mark.endpoints = std::move(endpoints);
    mark.archive = in.value("archive", "");
    mark.at = WallTime{in.value("at", std::int64_t{0})};
    return std::optional(std::move(mark));
}

bool is_arriving(const std::string& directory) {
    return file_exists(arriving_path(directory));
}

Result<> check_at_home(const std::string& directory) {
    if (is_arriving(directory))
        return fail(error(Code::conflict, "a cloud was being brought into {}, and not all of it is there", directory)
                        .with_hint("do it again: axle-orchestrator import FILE"));
    TRY(moved, read_moved(directory));
    if (!moved) return {};
    return fail(error(Code::conflict, "the orchestrator of this cloud has moved to {} (at {}, in the file {})",
                      joined(moved->endpoints), format_time(moved->at), moved->archive)
                    .with_hint(fmt::format("log in there: axle login {}. If it never served there: axle-orchestrator "
                                           "import {}, on this machine",
                                           moved->endpoints.front(), moved->archive)));
}

Result<> announce(const std::string& directory, const std::vector<std::string>& endpoints) {
    return write_file_durably(announced_path(directory), json(endpoints).dump() + "\n", 0644);
}

Result<std::vector<std::string>> announced(const std::string& directory) {
    const auto text = read_file(announced_path(directory), kMarkMax);
    if (!text && text.error().code == Code::not_found) return std::vector<std::string>{};
    if (!text) return fail(text.error());
    return texts_of(json::parse(*text, nullptr, false), announced_path(directory));
}

}  // namespace axle
