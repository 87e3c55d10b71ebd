// The real edge behind state_files.hpp: files below one directory, written by one thread, in order, synced in groups.
//
//   <directory>/<folder>/<name>       a document
//   <directory>/<folder>/<name>.new   being written; a load removes it
//   <directory>/reserve               room that a start gives back before it needs any
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "agent/state/state_files.hpp"
#include "common/base/clock.hpp"

namespace axle {

struct DirectoryStateOptions {
    std::string directory = "/var/lib/axle/agent";
    std::int64_t reserve_bytes = std::int64_t{8} << 20;  // 0: none is kept
    std::int64_t file_size_max = std::int64_t{16} << 20;
    // Called on the core thread after the answer of a write or sync that failed for another reason than want of space.
    // What is on disk is then known only by starting again.
    std::function<void(Error)> on_fatal;
};

// Constructed, called and destroyed on the core thread. The destructor finishes what was asked for; its answers come if
// the core still runs.
class DirectoryStateFiles final : public StateFiles {
  public:
    DirectoryStateFiles(Executor& core, DirectoryStateOptions options);
    ~DirectoryStateFiles() override;
    // First of all. Code::corrupt names a file that holds no text; nothing is changed then.
    void load(std::function<void(Result<std::vector<StateFile>>)> answer) override;
    void put(std::string name, std::string content, std::function<void(Result<>)> done) override;
    void remove(std::string name, std::function<void(Result<>)> done) override;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace axle
