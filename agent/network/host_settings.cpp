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

Result<> write_setting(const std::string& path, const std::string& value) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd || ::write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
        return fail(system_error("set " + path, errno));
    return {};
}

}  // namespace

Result<std::map<std::string, std::string>> HostSettings::recorded() const {
    auto text = read_file(record_);
    if (!text && text.error().code == Code::not_found) return std::map<std::string, std::string>{};
    if (!text) return fail(std::move(text.error()));
    const auto parsed = nlohmann::json::parse(*text, nullptr, false);
    if (!parsed.is_object())
        return fail(Code::corrupt, "{} can't be read: it holds the host's settings from before Axle", record_);
    std::map<std::string, std::string> out;
    for (const auto& [path, value] : parsed.items()) {
        if (value.is_string()) out[path] = value.get<std::string>();
    }
    return out;
}

Result<> HostSettings::set(const std::string& path, const std::string& value) {
    TRY(now, current(path));
    if (now == value) return {};
    TRY(record, recorded());
    if (record.emplace(path, now).second) TRY_VOID(write_file_durably(record_, nlohmann::json(record).dump(2) + "\n"));
    return write_setting(path, value);
}

Result<> HostSettings::restore_all() {
    TRY(record, recorded());
    for (const auto& [path, value] : record) {
        if (file_exists(path)) TRY_VOID(write_setting(path, value));
    }
    return remove_file_durably(record_);
}

}  // namespace axle
