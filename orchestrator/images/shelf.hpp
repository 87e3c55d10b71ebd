// Which contents may be taken off the shelf: a removal that was decided before somebody brought the same content again
// must not take it away under them. Methods from any thread.
#pragma once
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "common/base/result.hpp"

namespace axle {

class Shelf {
  public:
    // Before it is published: a removal that was asked for is void, one under way is waited for (blocks: workers only),
    // and none takes place until release().
    void claim(const std::string& digest);
    // The core is about to learn of it, in the same turn: what it asks for from now on counts.
    void release(const std::string& digest);
    void ask_removal(const std::string& digest);
    // Removes it if that is still asked for. Blocks: workers only.
    Result<> remove(const std::string& digest, const std::string& path);

  private:
    std::mutex mutex_;
    std::condition_variable removed_;
    std::map<std::string, int> claims_;
    std::set<std::string> asked_, going_;
};

}  // namespace axle
