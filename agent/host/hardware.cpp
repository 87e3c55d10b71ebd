#include "agent/host/hardware.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "agent/host/kernel_text.hpp"
#include "common/base/file.hpp"

namespace axle {
namespace {

constexpr std::int64_t kSector = 512;  // that sysfs counts in, whatever the disk's own is

std::optional<std::int64_t> number_in(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (wrong != std::errc{} || end == text.data()) return std::nullopt;
    return value;
}
std::int64_t number_at(const std::string& path) {
    return number_in(kernel_text(path)).value_or(0);
}

// The entries "<prefix><number>" of a folder, by number.
std::vector<std::pair<std::int64_t, std::string>> numbered(const std::string& folder, std::string_view prefix) {
    std::vector<std::pair<std::int64_t, std::string>> out;
    for (const std::string& name : list_directory(folder).value_or(std::vector<std::string>{})) {
        if (!name.starts_with(prefix)) continue;
        if (const auto number = number_in(std::string_view(name).substr(prefix.size())))
            out.emplace_back(*number, name);
    }
    std::ranges::sort(out);
    return out;
}

// "Node 0 MemTotal:       32780304 kB"
std::int64_t memory_of_node(const std::string& meminfo) {
    const auto at = meminfo.find("MemTotal:");
    if (at == std::string::npos) return 0;
    const auto digits = meminfo.find_first_of("0123456789", at);
    return digits == std::string::npos ? 0 : number_in(std::string_view(meminfo).substr(digits)).value_or(0) * 1024;
}

bool is_built_of_others(const std::string& name) {
    static constexpr std::string_view kNot[] = {"loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "drbd", "rbd"};
    return std::ranges::any_of(kNot, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

}  // namespace

std::vector<NumaNode> read_numa_nodes(const std::string& sys) {
    const std::string folder = sys + "/devices/system/node";
    std::vector<NumaNode> out;
    for (const auto& [id, name] : numbered(folder, "node"))
        out.push_back({.id = id,
                       .cpus = kernel_text(folder + "/" + name + "/cpulist"),
                       .memory = memory_of_node(kernel_text(folder + "/" + name + "/meminfo"))});
    return out;
}

std::vector<HugePages> read_hugepages(const std::string& sys) {
    const std::string folder = sys + "/kernel/mm/hugepages";
    std::vector<HugePages> out;
    for (const auto& [kib, name] : numbered(folder, "hugepages-"))
        out.push_back({.size = kib * 1024, .total = number_at(folder + "/" + name + "/nr_hugepages")});
    return out;
}

std::vector<BlockDevice> read_block_devices(const std::string& sys) {
    std::vector<BlockDevice> out;
    for (const std::string& name : list_directory(sys + "/block").value_or(std::vector<std::string>{})) {
        const std::string folder = sys + "/block/" + name;
        const std::int64_t size = number_at(folder + "/size") * kSector;
        if (is_built_of_others(name) || size <= 0) continue;
        out.push_back({.name = name,
                       .model = kernel_text(folder + "/device/model"),
                       .size = size,
                       .rotational = kernel_text(folder + "/queue/rotational") == "1"});
    }
    return out;
}

std::string read_link_state(const std::string& sys, const std::string& interface) {
    std::string state = kernel_text(sys + "/class/net/" + interface + "/operstate");
    return state == "up" || state == "unknown" ? state : "down";
}

std::int64_t read_link_speed(const std::string& sys, const std::string& interface) {
    // -1 where there is no carrier, an error where the device can't tell.
    return std::max<std::int64_t>(number_at(sys + "/class/net/" + interface + "/speed"), 0);
}

}  // namespace axle
