#include "orchestrator/images/shelf.hpp"

#include "common/base/file.hpp"

namespace axle {

void Shelf::claim(const std::string& digest) {
    std::unique_lock hold(mutex_);
    asked_.erase(digest);
    ++claims_[digest];
    removed_.wait(hold, [&] { return !going_.contains(digest); });
}

void Shelf::release(const std::string& digest) {
    const std::lock_guard hold(mutex_);
    asked_.erase(digest);
    if (--claims_[digest] == 0) claims_.erase(digest);
}

void Shelf::ask_removal(const std::string& digest) {
    const std::lock_guard hold(mutex_);
    asked_.insert(digest);
}

Result<> Shelf::remove(const std::string& digest, const std::string& path) {
    {
        const std::lock_guard hold(mutex_);
        if (asked_.erase(digest) == 0 || claims_.contains(digest)) return {};
        going_.insert(digest);
    }
    auto removed = remove_file_durably(path);
    const std::lock_guard hold(mutex_);
    going_.erase(digest);
    removed_.notify_all();
    return removed;
}

}  // namespace axle
