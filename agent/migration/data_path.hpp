// What a request to the data port is about. Pure; any thread.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "common/base/id.hpp"

namespace axle {

constexpr const char* kTicketHeader = "Axle-Ticket";
constexpr const char* kSumHeader = "Axle-Sha256";
constexpr const char* kLibvirtStream = "libvirt";
constexpr const char* kMemoryStream = "memory";
constexpr const char* kDiskStream = "disk";
constexpr const char* kVolumeStream = "volume";
constexpr const char* kHandedOverStream = "handed-over";

struct DataPath {
    VmId vm;
    std::string stream;  // "libvirt", "memory", "disk", "disk-<name>", "volume", "handed-over"
    std::optional<VolumeId> volume = {};
    bool operator==(const DataPath&) const = default;
};

std::string write_data_path(const DataPath& path);
std::optional<DataPath> read_data_path(std::string_view path);
bool is_duplex(const DataPath& path);
const char* method_of(const DataPath& path);

}  // namespace axle
