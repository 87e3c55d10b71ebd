// A cloud with a VM "web" that is to move from the host where it is to another.
#pragma once
#include <string>

#include "agent/storage/epoch_file.hpp"
#include "tests/sim/cloud/fixture.hpp"

namespace axle::test {

struct Moving : Furnished {
    // shared: one of its disks lies on a pool that all hosts see.
    explicit Moving(CloudOptions with = {}, bool shared_disk = false) : Furnished(with) {
        if (shared_disk) {
            REQUIRE(does(create(Kind::pool, "", R"({"name":"nfs","spec":{"path":"/nfs","shared":true}})")) == "ok");
            run_for(std::chrono::minutes{1});
        }
        REQUIRE(does(create(Kind::vm, "default",
                            fmt::format(R"({{"name":"web","spec":{{"disks":{{"root":{{"image":"debian",)"
                                        R"("size":"2GiB"}},"data":{{"size":"1GiB"{}}}}},"nics":{{"eth0":)"
                                        R"({{"network":"blue"}}}},"stopTimeout":"20s"}}}})",
                                        shared_disk ? R"(,"pool":"nfs")" : ""))) == "ok");
        REQUIRE(settles());
        from = host_of("web");
        to = from == "h0" ? "h1" : "h0";
    }
    std::string host_of(const std::string& name) { return vm(name)->status.placement->host.name; }
    std::string migrates(const std::string& more = "") {
        const std::string said = acts("web", "migrate", fmt::format(R"({{"host":"{}"{}}})", to, more));
        if (said == "ok") task_id = last.result->task;
        return said;
    }
    std::string third() const {
        for (const char* host : {"h0", "h1", "h2"})
            if (host != from && host != to) return host;
        return "";
    }
    std::size_t number(const std::string& host) const { return static_cast<std::size_t>(host[1] - '0'); }
    // Exactly one guest runs, at the place that is recorded, and nothing is left anywhere else.
    void check_one() {
        CHECK(settles());
        CHECK(eyes->unsettled() == "");
        CHECK(is_running("web"));
        int running = 0;
        for (auto& host : hosts) running += host.machine->is_running(VmId{vm("web")->meta.id}) ? 1 : 0;
        CHECK(running == 1);
        if (!shared->volumes.empty()) CHECK(taken_by() == vm("web")->status.placement->epoch);
        CHECK(violation() == "");
    }
    // What the epoch file beside its shared disk says.
    std::optional<Epoch> taken_by() const {
        const VolumeId data{volume("web-data")->meta.id};
        const auto file = shared->epoch_files.find(data);
        return file == shared->epoch_files.end() ? std::nullopt : parse_epoch_file(file->second, data);
    }
    TaskPhase end_of_task() {
        const auto task = ended(task_id, std::chrono::minutes{20});
        return task == nullptr || !is_terminal(task->status.phase) ? TaskPhase::queued : task->status.phase;
    }
    std::string from, to;
    Uuid task_id{};
};

}  // namespace axle::test
