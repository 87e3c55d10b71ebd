// Where guests go to each other: groups, rules by label, zones, packed or spread; and that waiting ends by itself.
#include <set>

#include <doctest/doctest.h>

#include "orchestrator/core/decisions.hpp"
#include "orchestrator/core/vm_rules.hpp"
#include "tests/sim/cloud/fixture.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::minutes;

namespace {

struct Placing : Furnished {
    explicit Placing(int count = 3) : Furnished({.seed = 21, .hosts = count}) {}

    std::string host_of(const std::string& name) const {
        const Vm* found = vm(name);
        return found != nullptr && found->status.placement ? found->status.placement->host.name : "";
    }
    std::string why_waits(const std::string& name) const {
        const Condition* scheduled = find_condition(vm(name)->status.conditions, "Scheduled");
        return scheduled != nullptr ? scheduled->message : "";
    }
    bool gets_a_place(const std::string& name) {
        return run_until([&] { return !host_of(name).empty(); }, minutes{2});
    }
    void zone(const std::string& name, std::initializer_list<const char*> with) {
        REQUIRE(does(create(Kind::zone, "", fmt::format(R"({{"name":"{}"}})", name))) == "ok");
        for (const char* host : with)
            REQUIRE(does(patch(Kind::host, "", host, fmt::format(R"({{"spec":{{"zone":"{}"}}}})", name))) == "ok");
    }
    void group(const std::string& spec) {
        REQUIRE(does(create(Kind::placementgroup, "default", fmt::format(R"({{"name":"g","spec":{}}})", spec))) ==
                "ok");
    }
};

constexpr const char* kInGroup = R"(,"placementGroup":"g")";

}  // namespace

TEST_CASE("a group that is kept apart has no two VMs on a host; one too many waits, and ends waiting by itself") {
    Placing cloud;
    cloud.group("{}");
    for (const char* name : {"a", "b", "c", "d"}) REQUIRE(cloud.makes_vm(name, kInGroup) == "ok");
    REQUIRE(cloud.settles());
    CHECK(std::set{cloud.host_of("a"), cloud.host_of("b"), cloud.host_of("c")}.size() == 3);
    CHECK(cloud.host_of("d").empty());
    CHECK(cloud.why_waits("d").find(
              "3 refused by affinity (e.g. h0: host h0 has 1 VM that placement group g keeps apart)") !=
          std::string::npos);
    SUBCASE("one of them is deleted") {
        const std::string freed = cloud.host_of("b");
        CHECK(cloud.deletes("b") == "ok");
        CHECK(cloud.gets_a_place("d"));
        CHECK(cloud.host_of("d") == freed);
    }
    SUBCASE("one of them leaves the group") {
        const std::string freed = cloud.host_of("c");
        CHECK(cloud.does(Cloud::patch(Kind::vm, "default", "c", R"({"spec":{"placementGroup":null}})")) == "ok");
        CHECK(cloud.gets_a_place("d"));
        CHECK(cloud.host_of("d") == freed);
    }
    SUBCASE("the group becomes a wish") {
        CHECK(cloud.does(Cloud::patch(Kind::placementgroup, "default", "g", R"({"spec":{"required":false}})")) == "ok");
        CHECK(cloud.gets_a_place("d"));
    }
    SUBCASE("a group in use isn't deleted") {
        CHECK(cloud.does(Cloud::remove(Kind::placementgroup, "default", "g")).find("is used by vm a, vm b") !=
              std::string::npos);
    }
    CHECK(cloud.violation() == "");
}

TEST_CASE("a group that is kept together goes where its first went, and moves nowhere alone") {
    Placing cloud;
    cloud.group(R"({"policy":"together"})");
    for (const char* name : {"a", "b", "c"}) REQUIRE(cloud.makes_vm(name, kInGroup) == "ok");
    REQUIRE(cloud.settles());
    CHECK(cloud.host_of("a") != "");
    CHECK(cloud.host_of("b") == cloud.host_of("a"));
    CHECK(cloud.host_of("c") == cloud.host_of("a"));
    CHECK(cloud.acts("b", "migrate").find("has none of the 2 VMs that placement group g wants to be with") !=
          std::string::npos);
    CHECK(cloud.violation() == "");
}

TEST_CASE("a rule to be apart holds for both, whoever came first, and for where a guest moves to") {
    Placing cloud;
    constexpr const char* kApart = R"(,"affinity":{"db":{"policy":"apart","selector":{"tier":"db"}}})";
    REQUIRE(cloud.makes_vm("web", kApart) == "ok");
    REQUIRE(cloud.settles());
    for (const char* name : {"db1", "db2"}) {
        REQUIRE(cloud.does(Cloud::create(
                    Kind::vm, "default",
                    fmt::format(
                        R"({{"name":"{}","labels":{{"tier":"db"}},"spec":{{"disks":{{"root":{{"size":"1GiB"}}}}}}}})",
                        name))) == "ok");
        REQUIRE(cloud.settles());
        CHECK(cloud.host_of(name) != cloud.host_of("web"));
        CHECK(cloud.host_of(name) != "");
    }
    const std::string to_web = fmt::format(R"({{"host":"{}"}})", cloud.host_of("web"));
    CHECK(cloud.acts("db1", "migrate", to_web).find("keeps apart") != std::string::npos);
    // In another project nobody minds.
    REQUIRE(cloud.does(Cloud::create(Kind::project, "", R"({"name":"other"})")) == "ok");
    for (const char* host : {"h0", "h1", "h2"}) {
        if (host != cloud.host_of("web")) REQUIRE(cloud.does(Cloud::act(Kind::host, "", host, "cordon")) == "ok");
    }
    REQUIRE(cloud.does(Cloud::create(
                Kind::vm, "other",
                R"({"name":"x","labels":{"tier":"db"},"spec":{"disks":{"root":{"size":"1GiB"}}}})")) == "ok");
    CHECK(cloud.run_until([&] {
        const auto x = cloud.world().named(Kind::vm, cloud.world().named(Kind::project, {}, "other")->meta.id, "x");
        return static_cast<const Vm&>(*x).status.placement.has_value();
    }));
    CHECK(cloud.violation() == "");
}

TEST_CASE("who wants to be with others waits for the first of them") {
    Placing cloud;
    REQUIRE(cloud.makes_vm("web", R"(,"affinity":{"db":{"policy":"together","selector":{"tier":"db"}}})") == "ok");
    cloud.run_for(minutes{2});
    CHECK(cloud.host_of("web").empty());
    CHECK(cloud.why_waits("web").find("affinity.db wants to be where no VM is yet") != std::string::npos);
    REQUIRE(cloud.makes_vm("db") == "ok");
    REQUIRE(cloud.gets_a_place("db"));
    cloud.run_for(minutes{1});
    CHECK(cloud.host_of("web").empty());
    REQUIRE(cloud.does(Cloud::patch(Kind::vm, "default", "db", R"({"labels":{"tier":"db"}})")) == "ok");
    CHECK(cloud.run_until([&] { return cloud.host_of("web") == cloud.host_of("db"); }, std::chrono::seconds{5}));
    CHECK(cloud.violation() == "");
}

TEST_CASE("apart by zones: one VM a zone, and a host without a zone takes none") {
    Placing cloud(4);
    cloud.zone("east", {"h0", "h1"});
    cloud.zone("west", {"h2"});
    cloud.group(R"({"over":"zone"})");
    for (const char* name : {"a", "b", "c"}) REQUIRE(cloud.makes_vm(name, kInGroup) == "ok");
    for (const char* name : {"a", "b"}) REQUIRE(cloud.gets_a_place(name));
    cloud.run_for(minutes{1});
    const auto in_east = [&](const char* name) { return cloud.host_of(name) == "h0" || cloud.host_of(name) == "h1"; };
    CHECK(in_east("a") + in_east("b") == 1);
    CHECK((cloud.host_of("a") == "h2") + (cloud.host_of("b") == "h2") == 1);
    CHECK(cloud.host_of("c").empty());
    REQUIRE(cloud.does(Cloud::create(Kind::zone, "", R"({"name":"north"})")) == "ok");
    REQUIRE(cloud.does(Cloud::patch(Kind::host, "", "h3", R"({"spec":{"zone":"north"}})")) == "ok");
    CHECK(cloud.gets_a_place("c"));
    CHECK(cloud.host_of("c") == "h3");
    CHECK(cloud.does(Cloud::remove(Kind::zone, "", "west")).find("zone west is used by host h2") != std::string::npos);
    CHECK(cloud.violation() == "");
}

TEST_CASE("packed VMs fill a host before they take the next; the project says where the VM doesn't") {
    Placing cloud;
    REQUIRE(cloud.does(Cloud::patch(Kind::project, "", "default", R"({"spec":{"strategy":"pack"}})")) == "ok");
    for (const char* name : {"a", "b", "c"}) {
        REQUIRE(cloud.makes_vm(name) == "ok");
        REQUIRE(cloud.gets_a_place(name));
    }
    CHECK(cloud.host_of("b") == cloud.host_of("a"));
    CHECK(cloud.host_of("c") == cloud.host_of("a"));
    REQUIRE(cloud.makes_vm("d", R"(,"strategy":"spread")") == "ok");
    REQUIRE(cloud.gets_a_place("d"));
    CHECK(cloud.host_of("d") != cloud.host_of("a"));
    CHECK(cloud.violation() == "");
}

TEST_CASE("an image that is at hand counts for its host, and for no other") {
    Placing cloud(2);
    REQUIRE(cloud.makes_vm("a") == "ok");
    REQUIRE(cloud.gets_a_place("a"));
    REQUIRE(cloud.makes_vm("b") == "ok");
    REQUIRE(cloud.gets_a_place("b"));
    cloud.run_for(milliseconds{100});  // it is durable
    const auto decision = decision_of(cloud.store(), cloud.vm("b")->meta.id, cloud.vm("b")->status.placement->epoch);
    REQUIRE(decision.has_value());
    for (const Candidate& c : decision->candidates)
        CHECK((c.scores.at("image-at-hand") > 0) == (c.host == cloud.host_of("a")));
    CHECK(cloud.violation() == "");
}

TEST_CASE(
    "no VM is placed where libvirt does not answer: it waits, is told why, and gets its machine type afterwards") {
    Furnished cloud({.hosts = 1});
    cloud.machine().faults.fails = 100;
    cloud.crash_agent(0);  // the new one asks libvirt what guests can have, in vain
    REQUIRE(cloud.run_until([&] {
        const Host* host = static_cast<const Host*>(cloud.world().all(Kind::host).begin()->second.get());
        return host->status.facts.guest_machine.empty();
    }));
    REQUIRE(cloud.makes_vm("web") == "ok");
    cloud.run_for(minutes{1});
    CHECK_FALSE(cloud.vm("web")->status.placement);
    const Condition* scheduled = find_condition(cloud.vm("web")->status.conditions, "Scheduled");
    REQUIRE(scheduled != nullptr);
    CHECK(scheduled->message.find("can't make guests now") != std::string::npos);
    cloud.machine().faults = {};
    CHECK(cloud.settles());
    CHECK(cloud.is_running("web"));
    CHECK(cloud.vm("web")->status.machine == "pc-q35-7.2");
    CHECK(cloud.violation() == "");
}
