// What a newcomer tries and reads: where things go, what is refused and what to do instead.
#include <cstdlib>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "tests/contract/cli/person.hpp"
#include "tests/support/cloud_server.hpp"

using namespace axle;
using namespace axle::test;
using nlohmann::json;

TEST_CASE("a VM goes to the host that is named, or is told why it can't; it may be let go") {
    CloudServer cloud;
    Person me(cloud);
    furnish(cloud, me);
    cloud.add_host("h2");
    for (const char* host : {"h2", "h1"}) {
        const Ran made = me.ok({"vm", "create", fmt::format("on-{}", host), "--image", "debian-12", "--host", host});
        CHECK(made.out.find(fmt::format("is running on host {}", host)) != std::string::npos);
    }
    const Ran big = me.axle(
        {"vm", "create", "big", "--image", "debian-12", "--target", "h2", "--memory", "8TiB", "--timeout", "700ms"});
    CHECK(big.code == 7);
    CHECK(big.err.find("big asks for host h2: needs 8 TiB of memory") != std::string::npos);
    CHECK(me.ok({"vm", "explain", "big"}).out.find("h1: no (labels): is not host h2, which the VM asks for by name") !=
          std::string::npos);
    me.ok({"vm", "set", "on-h2", "hostSelector.axle/host="});
    CHECK(json::parse(me.ok({"vm", "show", "on-h2", "-o", "json"}).out)["spec"]["hostSelector"].empty());
}

TEST_CASE("a VM starts from a volume that is there") {
    CloudServer cloud;
    Person me(cloud);
    furnish(cloud, me);
    me.ok({"volume", "create", "disk", "--image", "debian-12", "--size", "2GiB"});
    me.ok({"vm", "create", "old", "--root-volume", "disk"});
    const json disk = json::parse(me.ok({"vm", "show", "old", "-o", "json"}).out)["spec"]["disks"]["root"];
    CHECK(disk["volume"] == "disk");
    CHECK(json::parse(me.ok({"volume", "list", "-o", "json"}).out).size() == 1);
    CHECK(me.axle({"vm", "create", "second", "--root-volume", "disk"}).err.find("is attached to VM old") !=
          std::string::npos);
}

TEST_CASE("of several hosts none is chosen for a volume before a VM comes: its maker is told, and does not wait") {
    CloudServer cloud;
    Person me(cloud);
    furnish(cloud, me);
    cloud.add_host("h2");
    CHECK(me.ok({"volume", "create", "data", "--size", "1GiB"})
              .out.find("volume data is pending: it is made on the host of the first VM that uses it") !=
          std::string::npos);
    me.ok({"vm", "create", "a", "--image", "debian-12"});
    me.ok({"vm", "attach", "a", "data"});
    CHECK(json::parse(me.ok({"volume", "show", "data", "-o", "json"}).out)["status"]["phase"] == "ready");
}

TEST_CASE("a task that has ended can't be cancelled any more, and it is said how it ended") {
    CloudServer cloud;
    Person me(cloud);
    furnish(cloud, me);
    me.ok({"vm", "create", "a", "--image", "debian-12"});
    CHECK(me.axle({"image", "create", "far", "--url", "http://images/broken"}).code == 1);
    int seen = 0;
    for (const json& task : json::parse(me.ok({"task", "list", "-o", "json"}).out)) {
        const std::string id = task["id"], goal = task["spec"]["goal"], ended = task["status"]["ended"];
        const Ran ran = me.axle({"task", "cancel", id});
        CAPTURE(ran.err);
        CHECK(ran.code == 4);
        if (goal == "vm-running")
            seen += ran.err.find("(vm-running of vm a) has ended: it succeeded at " + ended) != std::string::npos;
        if (task["spec"]["target"]["name"] == "far")
            seen += ran.err.find("has ended: it failed at " + ended + ": the image is broken") != std::string::npos;
    }
    CHECK(seen == 2);
    CHECK(me.axle({"task", "cancel", "01890000-0000-7000-9000-000000000001"}).code == 3);
}

TEST_CASE("where no orchestrator runs, a machine says what it is and where to run the command") {
    Person me;
    me.environment["AXLE_SOCKET"] = me.home() + "/none.sock";
    const std::string path = std::getenv("PATH");
    ::setenv("PATH", (me.home() + ":" + path).c_str(), 1);
    const auto said_by_agent = [&](const std::string& status) {
        const std::string agent = me.file("axle-agent", "#!/bin/sh\necho '" + status + "'\n");
        REQUIRE(::chmod(agent.c_str(), 0755) == 0);
        const Ran ran = me.axle({"vm", "list"});
        CHECK(ran.code == 1);
        return ran.err;
    };
    const std::string joined =
        said_by_agent(R"({"joined":true,"host":{"name":"h2"},"endpoint":"https://192.0.2.1:7443","connected":true})");
    CHECK(joined.find("this machine is host h2 of a cloud whose orchestrator is at https://192.0.2.1:7443") !=
          std::string::npos);
    CHECK(joined.find("axle login https://192.0.2.1:7443") != std::string::npos);
    CHECK(said_by_agent(R"({"joined":false})").find("its agent has joined none") != std::string::npos);
    CHECK(said_by_agent("").find("systemctl status axle-allinone axle-orchestrator") != std::string::npos);
    ::setenv("PATH", path.c_str(), 1);
}

TEST_CASE("what leads into a guest of a host that is away is refused in a sentence") {
    CloudServer cloud;
    Person me(cloud);
    furnish(cloud, me);
    ScriptedHost& h2 = cloud.add_host("h2");
    me.ok({"vm", "create", "a", "--image", "debian-12", "--host", "h2"});
    cloud.core().call([&] { h2.leave(); });
    const Ran ran = me.axle({"forward", "a", "22", "--stdio"});
    CHECK(ran.code == 1);
    CHECK(
        ran.err.starts_with("error: host h2, which has VM a, is not connected: nothing reaches its guests from here\n"
                            "hint: wait until it is back"));
}

TEST_CASE("what is only worth knowing stands last in the status, which says that all is well") {
    CloudServer cloud;
    Person me(cloud);
    const ScriptedHost::Script slow = {
        .conditions = {{.type = "NoAccelerator", .reason = "NoKvm", .message = "no KVM: guests are emulated, slowly"}}};
    cloud.add_host("h2", slow);
    cloud.add_host("h3", slow);
    furnish(cloud, me);
    const Ran well = me.ok({"status"});
    CHECK(well.out.find("0 VMs (0 running), 0 volumes, 1 image, 1 network, 3 hosts\n") != std::string::npos);
    CHECK(well.out.find("all is well\nworth knowing:\n  NoAccelerator: 2 hosts (h2, h3): no KVM: guests are emulated, "
                        "slowly\n    => ") != std::string::npos);
    CHECK(me.axle({"doctor"}).out.find("note     NoAccelerator: 2 hosts (h2, h3)") != std::string::npos);
    me.axle({"vm", "create", "huge", "--image", "debian-12", "--memory", "8TiB", "--timeout", "700ms"});
    const Ran bad = me.axle({"status"});
    CHECK(bad.code == 1);
    const auto trouble = bad.out.find("1 thing wants attention:\n  NoCapacity: vm default/huge: ");
    CHECK(trouble < bad.out.find("worth knowing:"));
    CHECK(me.axle({"status", "--help"}).out.find("Exit status: 0 all is well") != std::string::npos);
}
