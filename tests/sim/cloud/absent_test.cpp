// A host that is away for longer than anything is kept, and what it finds when it comes back.
#include <map>

#include "tests/sim/cloud/fixture.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::hours;
using std::chrono::minutes;

namespace {

// Hours pass, of which ten minutes are kept.
CloudOptions with_short_memory() {
    CloudOptions options{.seed = 5, .hosts = 2};
    options.retention.changes = options.retention.events = minutes{10} / milliseconds{1};
    return options;
}

}  // namespace

TEST_CASE("a host that was away for longer than history is kept is brought to the present without a hand") {
    for (const bool power_lost : {false, true}) {
        CAPTURE(power_lost);
        Furnished cloud(with_short_memory());
        const auto ask = [&](Mutation m) { REQUIRE(cloud.does(std::move(m)) == "ok"); };
        ask(Cloud::act(Kind::host, "", "h1", "cordon"));
        for (const char* name : {"stays", "changes", "goes", "stops"})
            REQUIRE(cloud.makes_vm(name, R"(,"retention":"10m")") == "ok");
        REQUIRE(cloud.settles());
        ask(Cloud::act(Kind::host, "", "h1", "uncordon"));
        std::map<std::string, VmId> ids;
        for (const char* name : {"stays", "changes", "goes", "stops"}) ids[name] = VmId{cloud.vm(name)->meta.id};
        const std::uint64_t run = cloud.machine(0).domains[ids["stays"]].run;

        if (power_lost)
            cloud.power_cut(0, hours{4});
        else
            cloud.partition(0, true);
        cloud.run_for(minutes{5});
        ask(Cloud::patch(Kind::vm, "default", "changes",
                         R"({"labels":{"a":"b"},"spec":{"nics":{"eth1":{"network":"blue"}}}})"));
        ask(Cloud::patch(Kind::volume, "default", "stays-root", R"({"spec":{"size":"5GiB"}})"));
        ask(Cloud::remove(Kind::vm, "default", "goes"));
        ask(Cloud::patch(Kind::vm, "default", "stops", R"({"spec":{"power":"stopped"}})"));
        ask(Cloud::create(Kind::network, "default", R"({"name":"green"})"));
        REQUIRE(cloud.does(Cloud::create(Kind::vm, "default",
                                         R"({"name":"new","spec":{"disks":{"root":{"size":"1GiB"}},)"
                                         R"("nics":{"eth0":{"network":"blue"},"eth1":{"network":"green"}}}})")) ==
                "ok");
        const Revision then = cloud.orchestrator().pipeline().head();
        cloud.run_for(hours{3});
        CHECK(cloud.is_running("new"));
        Revision oldest = 0;
        REQUIRE(cloud.store().scan(Table::changes, "", "", false, [&](std::string_view key, std::string_view) {
            oldest = parse_revision_key(key).value_or(0);
            return false;
        }));
        CHECK((oldest == 0 || oldest > then));  // what was done then is history no more

        cloud.run_for(hours{1});
        cloud.partition(0, false);
        CHECK(cloud.settles());
        CHECK(cloud.eyes->unsettled() == "");
        CHECK(cloud.eyes->left_over() == "");
        const SimulatedMachine& host = cloud.machine(0);
        CHECK(host.domains.at(ids["stays"]).state == DomainState::running);
        CHECK((host.domains.at(ids["stays"]).run == run) == !power_lost);  // untouched, but for the power
        CHECK(host.domains.at(ids["changes"]).live.nics.size() == 2);
        CHECK(host.domains.at(ids["stops"]).state == DomainState::shut_off);
        CHECK(host.has_nothing_of(ids["goes"]));
        CHECK(cloud.volume("stays-root")->status.size == 5 * kGiB);
        CHECK(cloud.violation() == "");
    }
}
