// An agent that takes part in no moves: none is let in, none begins.
#pragma once
#include "agent/migration/migration.hpp"
#include "common/base/clock.hpp"

namespace axle {

class NoMigration final : public Migration {
  public:
    explicit NoMigration(Clock& clock) : clock_(clock) {}
    void expect(MoveIn, Done done) override { refuse(std::move(done)); }
    void dismiss(VmId, Done done) override { answer(std::move(done), {}); }
    void on_handed_over(std::function<void(VmId, Epoch)>) override {}
    void send(MoveOut, std::function<void(MoveProgress)>, Done done) override { refuse(std::move(done)); }
    void cancel(VmId, Done done) override { answer(std::move(done), {}); }
    void tell_handed_over(MoveOut, Done done) override { refuse(std::move(done)); }

  private:
    void answer(Done done, Result<> result) {
        clock_.after(milliseconds{0}, [done = std::move(done), result = std::move(result)] { done(result); });
    }
    void refuse(Done done) { answer(std::move(done), fail(Code::unavailable, "this agent moves no guests")); }

    Clock& clock_;
};

}  // namespace axle
