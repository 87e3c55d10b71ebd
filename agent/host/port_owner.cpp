#include "agent/host/port_owner.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <sstream>

#include <fmt/format.h>

#include "common/base/file.hpp"

namespace axle {
namespace {

constexpr std::string_view kListens = "0A";

std::string program_of(const std::string& process) {
    std::string name = read_file("/proc/" + process + "/comm", 64).value_or("");
    while (!name.empty() && name.back() == '\n') name.pop_back();
    return name;
}

bool holds_one(const std::string& process, const std::set<std::string>& inodes) {
    std::error_code gone;  // processes end while we look
    for (std::filesystem::directory_iterator fd("/proc/" + process + "/fd", gone), end; !gone && fd != end;
         fd.increment(gone)) {
        std::error_code unreadable;
        const std::string target = std::filesystem::read_symlink(fd->path(), unreadable);
        if (target.starts_with("socket:[") && inodes.contains(target.substr(8, target.size() - 9))) return true;
    }
    return false;
}

}  // namespace

std::set<std::string> listening_inodes(std::string_view text, int port) {
    std::set<std::string> out;
    std::istringstream lines{std::string(text)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string number, local, remote, state, queues, timer, retransmits, user, timeout, inode;
        words >> number >> local >> remote >> state >> queues >> timer >> retransmits >> user >> timeout >> inode;
        const auto colon = local.find(':');
        if (!words || state != kListens || colon == std::string::npos) continue;
        int there = 0;
        std::from_chars(local.data() + colon + 1, local.data() + local.size(), there, 16);
        if (there == port) out.insert(inode);
    }
    return out;
}

std::string foreign_owner_of(int port) {
    std::set<std::string> inodes;
    for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"})
        inodes.merge(listening_inodes(read_file(table, 64 << 20).value_or(""), port));
    if (inodes.empty()) return "";
    std::error_code ignored;
    for (std::filesystem::directory_iterator entry("/proc", ignored), end; entry != end; entry.increment(ignored)) {
        const std::string process = entry->path().filename();
        const bool number = std::ranges::all_of(process, [](unsigned char c) { return std::isdigit(c) != 0; });
        if (!number || !holds_one(process, inodes)) continue;
        const std::string program = program_of(process);
        return program.starts_with("axle") ? "" : fmt::format("{} (process {})", program, process);
    }
    return "a program that can't be seen from here";
}

}  // namespace axle
