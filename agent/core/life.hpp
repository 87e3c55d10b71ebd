// Callbacks that outlive their owner do nothing. Edges and timers may answer after a part of the core is gone (an entry
// was erased, the agent was stopped); what they hold is wrapped in the owner's Life.
#pragma once
#include <memory>
#include <utility>

namespace axle {

class Life {
  public:
    template <typename F>
    auto wrap(F job) const {
        return [life = std::weak_ptr<int>(token_), job = std::move(job)](auto&&... args) mutable {
            if (life.expired()) return;
            job(std::forward<decltype(args)>(args)...);
        };
    }
    std::weak_ptr<int> token() const { return token_; }

  private:
    std::shared_ptr<int> token_ = std::make_shared<int>(0);
};

}  // namespace axle
