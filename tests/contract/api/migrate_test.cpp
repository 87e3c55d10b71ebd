// Moves of VMs over the API: what is taken, what is refused and how, what is shown of one, and its end by a person.
#include "tests/contract/api/api_fixture.hpp"

using namespace axle;
using namespace axle::test;

namespace {

const std::string kVm = "/v1/projects/default/vms/web1";

std::string words_of(const Answer& answer) {
    return answer.body.value("detail", "") + " | " + answer.body.value("hint", "");
}

// Two hosts that move guests, and a VM on the first of them.
struct MovingCloud {
    MovingCloud() : client(cloud.client()) {
        target = &cloud.add_host("h2", {.features = {"migrate"}, .underlay = "10.0.0.2"});
        REQUIRE(ask(client, "POST", "/v1/hosts/h2/actions/cordon").status == 200);
        source = &cloud.add_host("h1", {.features = {"migrate"}, .underlay = "10.0.0.1"});
        REQUIRE(ask(client, "POST", "/v1/pools", R"({"name":"main","spec":{"path":"/pools/main","default":true}})")
                    .status == 201);
        REQUIRE(ask(client, "POST", "/v1/projects/default/networks", kNetwork).status == 201);
        REQUIRE(ask(client, "POST", "/v1/projects/default/vms?wait=20s",
                    R"({"name":"web1","spec":{"disks":{"root":{"size":"1GiB"}},"nics":{"eth0":{"network":"blue"}},)"
                    R"("userData":"#cloud-config\nkeep: me"}})")
                    .status == 201);
    }
    // What a host reports of the VM's move at this epoch of its own.
    void report(ScriptedHost& host, bool incoming, MoveReport move) {
        cloud.core().call([&] {
            const auto& world = cloud.orchestrator().world();
            const auto vm = std::static_pointer_cast<const Vm>(
                world.named(Kind::vm, world.named(Kind::project, {}, "default")->meta.id, "web1"));
            if (move.epoch == Epoch{}) move.epoch = vm->status.migration->epoch;
            VmReport report = vm->status.report;
            report.move = move;
            host.say(Status{DocumentKind::vm, vm->meta.id,
                            incoming ? vm->status.migration->epoch : vm->status.placement->epoch, false,
                            to_json_text(report)});
        });
        cloud.core().call([] {});
    }

    CloudServer cloud;
    http::Client client;
    ScriptedHost *source = nullptr, *target = nullptr;
};

}  // namespace

TEST_CASE("a host whose agent moves no guests hands none over") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    REQUIRE(ask(client, "POST", "/v1/projects/default/vms?wait=20s", vm_document("web1")).status == 201);
    const auto answer = ask(client, "POST", kVm + "/actions/migrate");
    CAPTURE(answer.body.dump());
    CHECK(answer.status == 409);
    CHECK(words_of(answer).find("moves no guests") != std::string::npos);
    CHECK(ask(client, "POST", kVm + "/actions/migrate", R"({"hots":"h2"})").status == 422);
    CHECK(ask(client, "POST", kVm + "/actions/migrate", R"({"bandwidth":-1})").status == 422);
}

TEST_CASE("a move is refused for each host with its reason, taken once, shown without its secrets, and cancelled") {
    MovingCloud both;
    http::Client& client = both.client;

    const auto nowhere = ask(client, "POST", kVm + "/actions/migrate");
    CAPTURE(nowhere.body.dump());
    CHECK(nowhere.status == 409);
    CHECK(nowhere.code() == "no-host");
    CHECK(nowhere.body["hint"] == "axle host list shows how hosts are, or join another host: axle host token create");
    REQUIRE(nowhere.body["errors"].size() == 2);
    CHECK(nowhere.body["errors"][0]["detail"].get<std::string>() == "h1: the VM is there already");
    CHECK(nowhere.body["errors"][1]["detail"].get<std::string>().find("h2: it is cordoned") != std::string::npos);
    const auto unknown = ask(client, "POST", kVm + "/actions/migrate", R"({"host":"h9"})");
    CHECK(unknown.status == 422);
    CHECK(unknown.pointer() == "/host");
    REQUIRE(ask(client, "PATCH", kVm, R"({"spec":{"hostSelector":{"axle/host":"h1"}}})",
                http::Headers{{"Content-Type", "application/merge-patch+json"}})
                .status < 300);
    const auto bound = ask(client, "POST", kVm + "/actions/migrate", R"({"host":"h2"})");
    CHECK(bound.body["detail"] == "no host for web1: h2: is not host h1, which the VM asks for by name");
    CHECK(bound.body["hint"] ==
          "the VM asks for host h1 by name; to let it go elsewhere: axle vm set web1 hostSelector.axle/host=");
    REQUIRE(ask(client, "PATCH", kVm, R"({"spec":{"hostSelector":null}})",
                http::Headers{{"Content-Type", "application/merge-patch+json"}})
                .status < 300);

    const auto plan = ask(client, "POST", kVm + "/actions/migrate?dryRun=true", R"({"host":"h2"})");
    CAPTURE(plan.body.dump());
    CHECK(plan.status == 200);
    CHECK(plan.body.dump().find("/status/placement/host") != std::string::npos);
    CHECK(!ask(client, "GET", kVm).body["status"].contains("migration"));

    const auto begun = ask(client, "POST", kVm + "/actions/migrate", R"({"host":"h2","bandwidth":"100MiB"})");
    CAPTURE(begun.body.dump());
    REQUIRE(begun.status == 202);
    CHECK(begun.body["status"]["migration"]["host"] == "h2");
    CHECK(begun.body["status"]["migration"]["live"] == true);
    CHECK(begun.body["status"]["placement"]["host"] == "h1");
    for (const char* secret : {"ticket", "document", "keep: me"})
        CHECK(begun.body.dump().find(secret) == std::string::npos);
    const auto again = ask(client, "POST", kVm + "/actions/migrate", R"({"host":"h2"})");
    CHECK(again.status == 409);
    CHECK(again.code() == "busy");
    CHECK(again.body["hint"].get<std::string>().find("or give it up: axle task cancel ") != std::string::npos);
    CHECK(ask(client, "DELETE", "/v1/hosts/h2").status == 409);

    REQUIRE(ask(client, "POST", begun.location() + "/actions/cancel?wait=20s").status < 300);
    const auto ended = ask(client, "GET", begun.location() + "?wait=20s");
    CHECK(ended.body["status"]["phase"] == "cancelled");
    CHECK(!ask(client, "GET", kVm).body["status"].contains("migration"));
}

TEST_CASE("the task of a move tells how much of the guest has come over, as its source reports it") {
    MovingCloud both;
    REQUIRE(ask(both.client, "POST", "/v1/hosts/h2/actions/uncordon").status == 200);
    const auto begun = ask(both.client, "POST", kVm + "/actions/migrate", R"({"host":"h2"})");
    REQUIRE(begun.status == 202);
    const auto status = [&] { return ask(both.client, "GET", begun.location()).body["status"]; };
    both.report(*both.target, true, {.phase = MovePhase::ready});
    CHECK(status()["step"] == "waiting");
    const Revision head = both.cloud.orchestrator().pipeline().head();
    struct Row {
        std::int64_t done, total, percent;
    };
    for (const Row& row : {Row{0, 0, 0}, Row{256 * kMiB, kGiB, 25}, Row{768 * kMiB, kGiB, 75},
                           Row{768 * kMiB, 3 * kGiB, 25},  // the guest has written: there is more to copy
                           Row{3 * kGiB, 3 * kGiB, 99},    // until it has been taken over there
                           Row{4 * kGiB, 3 * kGiB, 99}}) {
        CAPTURE(row.done);
        CAPTURE(row.total);
        both.report(*both.source, false, {.phase = MovePhase::moving, .done = row.done, .total = row.total});
        const json now = status();
        CHECK(now["percent"] == row.percent);
        CHECK(now["bytes"] == row.done);
        CHECK(now["step"] == (row.done > 0 ? "copying to host h2" : "waiting"));
    }
    CHECK(both.cloud.orchestrator().pipeline().head() <= head + 1);  // of all that only the step is stored
    both.report(*both.source, false, {.epoch = {1, 1}, .phase = MovePhase::moving, .done = 1, .total = 2});
    CHECK(status()["bytes"] == 4 * kGiB);  // of another move
    both.report(*both.source, false, {.phase = MovePhase::aborted, .message = "the line was cut"});
    const json ended = status();
    CHECK(ended["phase"] == "failed");
    CHECK(ended["error"]["message"] == "the line was cut");
    CHECK(ended["percent"] != 99);
}
