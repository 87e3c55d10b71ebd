// The fake behind the Migration seam: pure, driven by a clock. Agents are joined by FakeLines; what a move does to a
// machine goes through FakeMoveMachine, which simulators implement. Destroying one is the end of the agent's process:
// its streams are cut, its answers reach nobody.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "agent/migration/migration.hpp"
#include "common/base/clock.hpp"

namespace axle {

class FakeMoveMachine {
  public:
    virtual ~FakeMoveMachine() = default;
    virtual bool move_runs(VmId vm) const = 0;
    virtual bool move_is_off(VmId vm) const = 0;
    virtual Result<> move_arrives(const DomainPlan& plan) = 0;  // it comes up paused; it is paused already: success
    virtual void move_fails(VmId vm) = 0;                       // what came up paused is gone
    virtual void move_leaves(VmId vm) = 0;                      // gone by migration
    virtual std::uint64_t move_reads(VolumeId volume) const = 0;
    virtual void move_writes(VolumeId volume, std::uint64_t content) = 0;
};

class FakeMigration;
struct FakeLines {
    Clock& world;  // of the simulation: goes on when a process ends
    std::map<HostId, FakeMigration*> agents;
    std::function<bool(HostId from, HostId to)> stands = [](HostId, HostId) { return true; };
};

// What befalls one call, or one stretch of a stream.
struct MigrationFault {
    bool acts = true;            // false: nothing is done; of a stream: it breaks
    bool answers = true;         // false: it hangs for ever
    std::optional<Error> error;  // answered in place of the truth
    milliseconds delay{0};       // besides the usual
};
struct FakeMigrationOptions {
    // call: name of the method; "stream" for each stretch, "leave" when the guest is about to go.
    std::function<MigrationFault(const std::string& call, VmId vm)> fault = [](const std::string&, VmId) {
        return MigrationFault{};
    };
    int stretches = 4;
    milliseconds usual{20};
};

class FakeMigration final : public Migration {
  public:
    // clock: of the agent's process.
    FakeMigration(HostId self, FakeMoveMachine& machine, FakeLines& lines, Clock& clock, FakeMigrationOptions options)
        : self_(self), machine_(machine), lines_(lines), clock_(clock), options_(std::move(options)) {
        lines_.agents[self_] = this;
    }
    ~FakeMigration() override {
        if (lines_.agents[self_] == this) lines_.agents.erase(self_);
        for (const auto& [vm, in] : expected_) {
            if (in.open) machine_.move_fails(vm);
        }
        for (const auto& [vm, sending] : sending_) take_back(*sending);
    }
    FakeMigration(const FakeMigration&) = delete;
    FakeMigration& operator=(const FakeMigration&) = delete;

    void expect(MoveIn in, Done done) override {
        call("expect", in.plan.document.id, std::move(done), [this, in]() -> Result<> {
            auto [it, fresh] = expected_.try_emplace(in.plan.document.id, Incoming{in, false});
            if (!fresh && it->second.in.move.ticket != in.move.ticket) it->second = {in, false};
            return {};
        });
    }
    void dismiss(VmId vm, Done done) override {
        call("dismiss", vm, std::move(done), [this, vm]() -> Result<> {
            if (auto in = expected_.extract(vm); !in.empty() && in.mapped().open) machine_.move_fails(vm);
            return {};
        });
    }
    void on_handed_over(std::function<void(VmId, Epoch)> told) override { told_ = std::move(told); }

    void send(MoveOut out, std::function<void(MoveProgress)> progress, Done done) override {
        auto sending = std::make_shared<Sending>(std::move(out), std::move(progress), std::move(done));
        sending_[sending->vm()] = sending;
        if (sending->out.move.live ? !machine_.move_runs(sending->vm()) : !machine_.move_is_off(sending->vm()))
            return broken(sending, error(Code::conflict, "the guest is in no state to be moved"));
        stretch(sending, 0);
    }
    void cancel(VmId vm, Done done) override {
        call("cancel", vm, std::move(done), [this, vm]() -> Result<> {
            if (auto it = sending_.find(vm); it != sending_.end()) it->second->cancelled = true;
            return {};
        });
    }
    void tell_handed_over(MoveOut out, Done done) override {
        const VmId vm = out.plan.document.id;
        call("tell", vm, std::move(done), [this, out, vm]() -> Result<> {
            Incoming* in = incoming_of(out);
            if (in == nullptr) return fail(Code::unavailable, "the target does not listen");
            FakeMigration& target = *lines_.agents.at(out.move.peer);
            in->open = false;  // from now on it is nobody's to take away
            target.clock_.after(options_.usual, [&target, vm, epoch = out.move.epoch] {
                if (target.told_) target.told_(vm, epoch);
            });
            return {};
        });
    }

  private:
    struct Incoming {
        MoveIn in;
        bool open = false;  // streams are: the guest that came up goes with them
    };
    struct Sending {
        Sending(MoveOut o, std::function<void(MoveProgress)> p, Done d)
            : out(std::move(o)), progress(std::move(p)), done(std::move(d)) {}
        VmId vm() const { return out.plan.document.id; }
        MoveOut out;
        std::function<void(MoveProgress)> progress;
        Done done;
        bool cancelled = false;
    };

    void call(const char* name, VmId vm, Done done, std::function<Result<>()> act) {
        const MigrationFault fault = options_.fault(name, vm);
        clock_.after(options_.usual + fault.delay, [done = std::move(done), act = std::move(act), fault] {
            Result<> result = fault.acts ? act() : fail(Code::unavailable, "nothing was done");
            if (fault.answers) done(fault.error ? Result<>(fail(*fault.error)) : result);
        });
    }

    // The target's expectation of this move; null: it is not let in, or the line is silent.
    Incoming* incoming_of(const MoveOut& out) {
        const auto target = lines_.agents.find(out.move.peer);
        if (target == lines_.agents.end() || !lines_.stands(self_, out.move.peer)) return nullptr;
        const auto in = target->second->expected_.find(out.plan.document.id);
        const bool let_in = in != target->second->expected_.end() && in->second.in.move.ticket == out.move.ticket &&
                            in->second.in.move.peer == self_;
        return let_in ? &in->second : nullptr;
    }

    void stretch(const std::shared_ptr<Sending>& sending, int number) {
        const MigrationFault fault = options_.fault(number < options_.stretches ? "stream" : "leave", sending->vm());
        clock_.after(options_.usual + fault.delay, [this, sending, number, fault] {
            const MoveOut& out = sending->out;
            if (!fault.answers) return;  // silent for ever
            if (sending->cancelled) return broken(sending, error(Code::conflict, "the move was cancelled"));
            Incoming* in = incoming_of(out);
            if (!fault.acts || in == nullptr) return broken(sending, error(Code::unavailable, "the stream broke"));
            FakeMoveMachine& there = lines_.agents.at(out.move.peer)->machine_;
            if (out.move.live) {
                if (auto arrived = there.move_arrives(in->in.plan); !arrived) return broken(sending, arrived.error());
                in->open = true;
            }
            sending->progress({.done = (number + 1) * 1000, .total = (options_.stretches + 1) * 1000});
            if (number < options_.stretches) return stretch(sending, number + 1);
            finish(sending, *in, there, fault);
        });
    }

    void finish(const std::shared_ptr<Sending>& sending, Incoming& in, FakeMoveMachine& there,
                const MigrationFault& fault) {
        const MoveOut& out = sending->out;
        if (out.move.live ? !machine_.move_runs(sending->vm()) : !machine_.move_is_off(sending->vm()))
            return broken(sending, error(Code::conflict, "the guest ended while it was moved"));
        for (const VolumeId volume : out.move.copies) there.move_writes(volume, machine_.move_reads(volume));
        in.open = false;  // it has all that it needs
        sending_.erase(sending->vm());
        // The guest is gone; whether this process lives to hear of it is another matter.
        if (out.move.live) machine_.move_leaves(sending->vm());
        answer(sending, fault.error ? Result<>(fail(*fault.error)) : Result<>{});
    }

    void broken(const std::shared_ptr<Sending>& sending, Error why) {
        take_back(*sending);
        if (auto it = sending_.find(sending->vm()); it != sending_.end() && it->second == sending) sending_.erase(it);
        answer(sending, fail(std::move(why)));
    }

    // On a silent line the target does not hear of it: its guest stays as it is, paused.
    void take_back(const Sending& sending) {
        if (Incoming* in = incoming_of(sending.out); in != nullptr && std::exchange(in->open, false))
            lines_.agents.at(sending.out.move.peer)->machine_.move_fails(sending.vm());
    }

    void answer(const std::shared_ptr<Sending>& sending, Result<> result) {
        clock_.after(options_.usual, [sending, result = std::move(result)] { sending->done(result); });
    }

    HostId self_;
    FakeMoveMachine& machine_;
    FakeLines& lines_;
    Clock& clock_;
    FakeMigrationOptions options_;
    std::map<VmId, Incoming> expected_;
    std::map<VmId, std::shared_ptr<Sending>> sending_;
    std::function<void(VmId, Epoch)> told_;
};

}  // namespace axle
