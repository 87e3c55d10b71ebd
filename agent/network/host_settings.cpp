#include "agent/network/host_settings.hpp"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "common/base/file.hpp"

namespace axle {
namespace {

Result<std::string> current(const std::string& path) {
    TRY(text, read_file(path, 4096));
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

Result<> write_one(const std::string& path, const std::string& value) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd || ::write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
        return fail(system_error("set " + path, errno));
    return {};
}

// The kernel changes a second setting along with one of ours (inet_forward_change), on and off: it is left as it was.
constexpr const char* kForward = "/proc/sys/net/ipv4/ip_forward";
constexpr const char* kChangedAlong = "/proc/sys/net/ipv4/conf/all/accept_redirects";

Result<> write_setting(const std::string& path, const std::string& value) {
    if (path != kForward) return write_one(path, value);
    TRY(along, current(kChangedAlong));
    TRY_VOID(write_one(path, value));
    return write_one(kChangedAlong, along);
}

}  // namespace

Result<HostSettings::Record> HostSettings::recorded() const {
    auto text = read_file(record_);
    if (!text && text.error().code == Code::not_found) return Record{};
    if (!text) return fail(std::move(text.error()));
    const auto parsed = nlohmann::json::parse(*text, nullptr, false);
    if (!parsed.is_object())
        return fail(Code::corrupt, "{} can't be read: it holds the host's settings from before Axle", record_);
    Record out;
    for (const auto& [path, value] : parsed.items()) {
        const bool whole = value.is_object() && value.contains("was") && value.contains("set") &&
                           value["was"].is_string() && value["set"].is_string();
        if (whole) out[path] = {value["was"].get<std::string>(), value["set"].get<std::string>()};
    }
    return out;
}

Result<> HostSettings::set(const std::string& path, const std::string& value) {
    TRY(now, current(path));
    if (now == value) return {};
    TRY(record, recorded());
    if (record.emplace(path, Change{now, value}).second) {
        nlohmann::json out = nlohmann::json::object();
        for (const auto& [name, change] : record) out[name] = {{"was", change.was}, {"set", change.set}};
        TRY_VOID(make_directories(parent_of(record_)));
        TRY_VOID(write_file_durably(record_, out.dump(2) + "\n"));
    }
    return write_setting(path, value);
}

Result<> HostSettings::restore_all(const std::set<std::string>& needed) {
    TRY(record, recorded());
    for (const auto& [path, change] : record) {
        if (needed.contains(path)) continue;
        const auto now = current(path);
        // Not there, or somebody has set it to something else since: theirs now.
        if (now && *now == change.set) TRY_VOID(write_setting(path, change.was));
    }
    return remove_file_durably(record_);
}

}  // namespace axle
