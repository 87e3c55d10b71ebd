// The work behind DirectoryStateFiles. Every call blocks: its thread only.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/state/state_files.hpp"

namespace axle {

class StateDirectory {
  public:
    StateDirectory(std::string path, std::int64_t reserve_bytes, std::int64_t file_size_max)
        : path_(std::move(path)), reserve_bytes_(reserve_bytes), file_size_max_(file_size_max) {}

    Result<std::vector<StateFile>> load();
    // Content synced under its name, or the name removed; durable with the next sync().
    Result<> change(const std::string& name, const std::optional<std::string>& content);
    Result<> sync();
    // Makes the reserve if it is missing and at least as much again would stay free. Not getting it is no error.
    void keep_reserve();

  private:
    Result<> load_folder(const std::string& folder, std::vector<StateFile>& into);
    Result<> write(const std::string& path, const std::string& content);
    std::string reserve_path() const { return path_ + "/reserve"; }

    std::string path_;
    std::int64_t reserve_bytes_, file_size_max_;
    std::set<std::string> unsynced_;  // directories
    bool reserved_ = false;
};

}  // namespace axle
