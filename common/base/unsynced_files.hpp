// Files of a pretended disk: what was changed and not yet synced is lost in a power cut, or isn't, each file on its own
// and whole. Of the fakes behind the agent's seams. One thread.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/base/clock.hpp"

namespace axle {

template <typename File>
class UnsyncedFiles {
  public:
    std::map<std::string, File> files;  // by name, as a reader sees them

    // A change that isn't durable yet. No value: the file is removed.
    void apply(const std::string& name, std::optional<File> file) {
        const auto found = files.find(name);
        before_.try_emplace(name, found == files.end() ? std::nullopt : std::optional(found->second));
        set(name, std::move(file));
    }
    void sync(const std::string& name) { before_.erase(name); }
    void power_cut(Random& random) {
        for (auto& [name, file] : before_) {
            if (random.below(2) != 0) set(name, std::move(file));
        }
        before_.clear();
    }

  private:
    void set(const std::string& name, std::optional<File> file) {
        if (file)
            files[name] = *std::move(file);
        else
            files.erase(name);
    }
    std::map<std::string, std::optional<File>> before_;  // on the platter, of what isn't synced
};

}  // namespace axle
