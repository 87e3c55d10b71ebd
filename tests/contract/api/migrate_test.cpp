// Moves of VMs over the API: what is taken, what is refused and how, what is shown of one, and its end by a person.
#include "tests/contract/api/api_fixture.hpp"

using namespace axle;
using namespace axle::test;

namespace {

const std::string kVm = "/v1/projects/default/vms/web1";

std::string words_of(const Answer& answer) {
    return answer.body.value("detail", "") + " | " + answer.body.value("hint", "");
}

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
    CloudServer cloud;
    auto client = cloud.client();
    cloud.add_host("h2", {.features = {"migrate"}, .underlay = "10.0.0.2"});
    REQUIRE(ask(client, "POST", "/v1/hosts/h2/actions/cordon").status == 200);
    cloud.add_host("h1", {.features = {"migrate"}, .underlay = "10.0.0.1"});
    REQUIRE(
        ask(client, "POST", "/v1/pools", R"({"name":"main","spec":{"path":"/pools/main","default":true}})").status ==
        201);
    REQUIRE(ask(client, "POST", "/v1/projects/default/networks", kNetwork).status == 201);
    REQUIRE(ask(client, "POST", "/v1/projects/default/vms?wait=20s",
                R"({"name":"web1","spec":{"disks":{"root":{"size":"1GiB"}},"nics":{"eth0":{"network":"blue"}},)"
                R"("userData":"#cloud-config\nkeep: me"}})")
                .status == 201);

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
