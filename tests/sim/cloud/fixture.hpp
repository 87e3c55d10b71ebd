// A furnished cloud and the few documents that scenarios use.
#pragma once
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/cloud/eyes.hpp"

namespace axle::test {

struct Furnished : Cloud {
    explicit Furnished(CloudOptions with = {}) : Cloud(with) { furnish(); }

    bool settles(milliseconds limit = std::chrono::minutes{20}) {
        return run_until([this] { return eyes->unsettled().empty(); }, limit);
    }
    bool expunges(milliseconds limit = std::chrono::minutes{20}) {
        return run_until(
            [this] {
                return world().all(Kind::vm).empty() && world().all(Kind::volume).empty() && eyes->left_over().empty();
            },
            limit);
    }
    // "ok", "lost" or the message.
    std::string does(Mutation mutation) {
        last = ask_and_wait(std::move(mutation));
        return last.lost ? "lost" : last.result ? "ok" : last.result.error().message;
    }
    std::string makes_vm(const std::string& name, const std::string& more = "") {
        return does(
            create(Kind::vm, "default",
                   fmt::format(R"({{"name":"{}","spec":{{"disks":{{"root":{{"image":"debian","size":"2GiB"}}}},)"
                               R"("nics":{{"eth0":{{"network":"blue"}}}},"stopTimeout":"20s"{}}}}})",
                               name, more)));
    }
    std::string acts(const std::string& vm, const std::string& action, const std::string& arguments = "") {
        return does(act(Kind::vm, "default", vm, action, arguments));
    }
    std::string deletes(const std::string& vm, bool now = false) { return does(remove(Kind::vm, "default", vm, now)); }
    // The id of a VM that was made, came to rest, and was deleted.
    Uuid makes_and_deletes(const std::string& name, const std::string& more = "") {
        REQUIRE(makes_vm(name, more) == "ok");
        REQUIRE(settles());
        const Uuid id = vm(name)->meta.id;
        REQUIRE(deletes(name) == "ok");
        return id;
    }
    // The task once it has ended; null: not within the time.
    std::shared_ptr<const Task> ended(const Uuid& task, milliseconds limit = std::chrono::minutes{5}) {
        auto found = std::make_shared<ObjectPtr>();
        orchestrator().wait_task(admin(), task, limit, [found](Result<ObjectPtr> t) {
            if (t) *found = *t;
        });
        run_until([&] { return *found != nullptr; }, limit + std::chrono::minutes{1});
        return std::static_pointer_cast<const Task>(*found);
    }
    SimulatedMachine& machine(std::size_t host = 0) { return *hosts[host].machine; }

    Reply last;
};

}  // namespace axle::test
