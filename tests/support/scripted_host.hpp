// A host without a hypervisor: takes every document and says at once that it is so. In the process, on the core's
// thread. For tests of what lies above the agents.
#pragma once
#include <map>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "common/channel/messages.hpp"
#include "orchestrator/core/orchestrator.hpp"
#include "tests/support/scripted_answers.hpp"

namespace axle::test {

class ScriptedHost {
  public:
    struct Script {
        std::int64_t cpus = 64;
        std::int64_t memory = 256 * kGiB;
        std::int64_t pool_free = 10 * kTiB;
        bool keeps_vms_waiting = false;  // says nothing of VMs
        std::string log = "hello from the guest\n";
        std::vector<std::string> features;
        std::string underlay;
        UnclaimedReport unclaimed;               // told after the hello
        std::string removes_not;                 // why it removes nothing; empty: it does
        std::vector<Condition> conditions = {};  // of the machine
        bool keeps_tasks_waiting = false;        // begins what it is ordered, and ends nothing
    };

    // Connects; on the core's thread.
    ScriptedHost(Orchestrator& orchestrator, Executor& core, std::string name, std::uint64_t number, Script script)
        : core_(core), script_(std::move(script)), wire_(std::make_shared<Wire>()) {
        wire_->host = this;
        auto channel = std::make_unique<End>(wire_, core);
        orchestrator.attach(std::move(channel));
        Hello hello;
        hello.host.bytes = {1, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(number)};
        hello.boot_id = "boot";
        hello.version = AXLE_VERSION;
        hello.connection = 1;
        hello.facts.hostname = std::move(name);
        hello.facts.cpus = script_.cpus;
        hello.facts.memory = script_.memory;
        hello.facts.accelerator = Accelerator::kvm;
        hello.facts.guest_machine = "pc-q35-7.2";
        hello.facts.guest_cpu_model = "qemu64";
        hello.facts.features = script_.features;
        hello.facts.features.push_back(kUnclaimedFeature);
        hello.facts.underlay = script_.underlay;
        hello.facts.data_port = script_.features.empty() ? 0 : 7444;
        hello.facts.conditions = script_.conditions;
        if (script_.unclaimed.total > 0)
            hello.facts.conditions.push_back({.type = "Unclaimed", .reason = "Unclaimed", .message = "some things"});
        say(std::move(hello));
        if (script_.unclaimed.total > 0) say(script_.unclaimed);
    }
    ~ScriptedHost() { wire_->host = nullptr; }
    void leave() { wire_->closed("the line was cut"); }  // on the core's thread
    ScriptedHost(const ScriptedHost&) = delete;
    ScriptedHost& operator=(const ScriptedHost&) = delete;
    // Beside what its script says.
    void say(Message message) {
        core_.post([wire = wire_, message = std::move(message)] {
            if (wire->to_orchestrator) wire->to_orchestrator(message);
        });
    }

    std::size_t vms_told = 0;
    std::map<std::uint64_t, std::string> streams;  // what was written to each open one

  private:
    struct Wire {
        ScriptedHost* host = nullptr;
        std::function<void(Message)> to_orchestrator;
        std::function<void(std::string)> closed;
    };
    struct End final : Channel {
        End(std::shared_ptr<Wire> w, Executor& c) : wire(std::move(w)), core(c) {}
        void send(Message message) override {
            core.post([w = wire, message = std::move(message)] {
                if (w->host != nullptr) w->host->take(message);
            });
        }
        void on_message(std::function<void(Message)> told) override { wire->to_orchestrator = std::move(told); }
        void on_closed(std::function<void(std::string)> told) override { wire->closed = std::move(told); }
        void close(std::string) override { wire->host = nullptr; }
        std::shared_ptr<Wire> wire;
        Executor& core;
    };

    void take(const Message& message) {
        if (const auto* desired = std::get_if<Desired>(&message)) {
            for (const Put& put : desired->puts) keep(put);
            for (const Release& r : desired->releases) say(Status{r.kind, r.id, r.epoch, true, ""});
            for (const Destroy& d : desired->destroys) say(Status{d.kind, d.id, d.epoch, true, ""});
        } else if (const auto* removal = std::get_if<RemoveOrder>(&message)) {
            if (script_.removes_not.empty()) return say(Status{removal->kind, removal->id, removal->epoch, true, ""});
            say(TaskNews{
                .id = removal->task, .state = TaskState::failed, .code = "in-use", .message = script_.removes_not});
        } else if (const auto* order = std::get_if<TaskOrder>(&message)) {
            const bool waits = script_.keeps_tasks_waiting;
            say(TaskNews{.id = order->id,
                         .state = waits ? TaskState::running : TaskState::succeeded,
                         .percent = waits ? 0 : 100});
        } else if (const auto* open = std::get_if<StreamOpen>(&message)) {
            begin_stream(*open);
        } else if (const auto* data = std::get_if<StreamData>(&message)) {
            streams[data->stream] += data->bytes;
            say(StreamData{data->stream, "echo:" + data->bytes});
        }
    }

    void begin_stream(const StreamOpen& open) {
        if (open.kind == StreamKind::log || open.kind == StreamKind::screenshot) {
            say(StreamData{open.stream, open.kind == StreamKind::log ? script_.log : "\x89PNG picture"});
            if (!open.follow) say(StreamClose{open.stream, ""});
        } else {
            streams[open.stream];
            say(StreamData{open.stream, "welcome\n"});
        }
    }

    void keep(const Put& put) {
        if (put.kind == DocumentKind::vm) ++vms_told;
        if (put.kind == DocumentKind::vm && script_.keeps_vms_waiting) return;
        say(answer_to(put, script_.pool_free));
    }

    Executor& core_;
    Script script_;
    std::shared_ptr<Wire> wire_;
};

}  // namespace axle::test
