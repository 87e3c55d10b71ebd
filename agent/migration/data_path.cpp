#include "agent/migration/data_path.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace axle {
namespace {

constexpr std::string_view kPrefix = "/data/v1/moves/";
constexpr std::string_view kDisk = "disk-";
constexpr std::size_t kNameMax = 64;

bool is_disk_name(std::string_view name) {
    return !name.empty() && name.size() <= kNameMax && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
}

bool is_duplex_name(std::string_view name) {
    return name == "libvirt" || name == "memory" || name == "disk" ||
           (name.starts_with(kDisk) && is_disk_name(name.substr(kDisk.size())));
}

}  // namespace

std::string write_data_path(const DataPath& path) {
    return fmt::format("{}{}/{}{}", kPrefix, path.vm.str(), path.stream,
                       path.volume ? "/" + path.volume->str() : std::string{});
}

std::optional<DataPath> read_data_path(std::string_view path) {
    if (!path.starts_with(kPrefix)) return std::nullopt;
    path.remove_prefix(kPrefix.size());
    const std::size_t slash = path.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto vm = Uuid::parse(path.substr(0, slash));
    if (!vm) return std::nullopt;
    std::string_view rest = path.substr(slash + 1);
    DataPath out{.vm = VmId{*vm}, .stream = std::string(rest)};
    if (is_duplex_name(rest) || rest == kHandedOverStream) return out;
    const std::string_view volume = kVolumeStream;
    if (!rest.starts_with(volume) || rest.size() <= volume.size() || rest[volume.size()] != '/') return std::nullopt;
    const auto id = Uuid::parse(rest.substr(volume.size() + 1));
    if (!id) return std::nullopt;
    out.stream = volume;
    out.volume = VolumeId{*id};
    return out;
}

bool is_duplex(const DataPath& path) {
    return is_duplex_name(path.stream);
}

const char* method_of(const DataPath& path) {
    if (path.volume) return "PUT";
    return is_duplex(path) ? "GET" : "POST";
}

}  // namespace axle
