// What hosts have and no record knows, through the API: listed, adopted, removed.
#include <doctest/doctest.h>

#include "tests/contract/api/api_fixture.hpp"

using namespace axle;
using namespace axle::test;

namespace {

Uuid id_of(int n) {
    return *Uuid::parse(fmt::format("01890000-0000-7000-9000-{:012x}", n));
}

template <typename T>
UnclaimedThing held(DocumentKind kind, int n, const std::string& name, T document) {
    UnclaimedThing thing{.kind = kind, .id = id_of(n), .name = name, .held = true};
    document.id.bytes = id_of(n).bytes;
    thing.document = to_json_text(document);
    return thing;
}

// A pool, a network, and a guest with a disk; and a disk of nobody.
UnclaimedReport forgotten() {
    PoolDocument pool{.name = "old", .path = "/pools/old"};
    NetworkDocument network{.name = "default/green",
                            .cidr = "10.91.0.0/24",
                            .gateway = "10.91.0.1",
                            .gateway_mac = "52:54:00:00:00:01",
                            .mtu = 1450,
                            .vni = 7};
    VolumeDocument root{.size = kGiB, .image_digest = std::string(64, 'a'), .made = true, .name = "default/lost-root"};
    root.pool = PoolId{id_of(1)};
    VmDocument guest{.name = "default/lost", .cpus = 2, .memory = kGiB, .machine = "pc-q35-7.2", .cpu_model = "EPYC"};
    VmDocumentDisk disk{.name = "root", .slot = 3, .boot_order = 1};
    disk.volume = VolumeId{id_of(3)};
    guest.disks = {disk};
    VmDocumentNic nic{.name = "eth0", .mac = "52:54:00:aa:bb:cc", .address = "10.91.0.9", .slot = 4};
    nic.network = NetworkId{id_of(2)};
    guest.nics = {nic};
    guest.seed = {.hostname = "lost", .user_data = "#cloud-config\nsecret"};
    guest.start_serial = 4;
    UnclaimedReport report;
    report.things = {held(DocumentKind::pool, 1, "old", pool),
                     held(DocumentKind::network, 2, "default/green", network),
                     held(DocumentKind::vm, 4, "default/lost", guest),
                     held(DocumentKind::volume, 3, "default/lost-root", root),
                     {.kind = DocumentKind::volume,
                      .id = id_of(5),
                      .path = "/pools/old/volumes/5.qcow2",
                      .pool = id_of(1),
                      .size = 2 * kGiB}};
    report.things[2].state = DomainState::running;
    report.things[2].volumes = {id_of(3)};
    report.things[3].pool = id_of(1);
    report.things[3].size = kGiB;
    report.things[3].image_digest = root.image_digest;
    report.things[3].user = "default/lost";
    report.total = 6;
    return report;
}

std::string id_body(int n, const std::string& more = "") {
    return fmt::format(R"({{"id":"{}"{}}})", id_of(n).str(), more);
}

}  // namespace

TEST_CASE("what hosts have and no record knows is listed for administrators, without secrets") {
    CloudServer cloud;
    auto client = cloud.client();
    cloud.add_host("h1", {.unclaimed = forgotten()});
    const auto all = ask(client, "GET", "/v1/unclaimed");
    REQUIRE(all.status == 200);
    CAPTURE(all.body.dump());
    CHECK(all.body["items"].size() == 5);
    CHECK(all.body["untold"] == 1);
    CHECK(all.body["hostsAway"] == 0);
    CHECK(all.body.dump().find("secret") == std::string::npos);
    const auto vms = ask(client, "GET", "/v1/unclaimed?kind=vm&host=h1");
    REQUIRE(vms.body["items"].size() == 1);
    const json& guest = vms.body["items"][0];
    CHECK(guest["host"] == "h1");
    CHECK(guest["name"] == "default/lost");
    CHECK(guest["state"] == "running");
    CHECK(guest["volumes"][0] == id_of(3).str());
    CHECK_FALSE(guest.contains("obstacle"));
    CHECK(ask(client, "GET", "/v1/unclaimed?limit=2").body["items"].size() == 2);
    CHECK(ask(client, "GET", "/v1/unclaimed?host=nobody").status == 404);
    CHECK(ask(client, "GET", "/v1/unclaimed?kind=image").status == 400);
    const auto token = ask(client, "POST", "/v1/tokens", R"({"name":"ed","spec":{"role":"editor"}})");
    auto editor = cloud.client(token.body.value("secret", ""));
    CHECK(ask(editor, "GET", "/v1/unclaimed").status == 403);
    CHECK(ask(editor, "POST", "/v1/hosts/h1/actions/adopt", id_body(4)).status == 403);
    CHECK(ask(editor, "POST", "/v1/hosts/h1/actions/remove-unclaimed", id_body(4)).status == 403);
}

TEST_CASE("status names unclaimed things with the next command") {
    CloudServer cloud;
    auto client = cloud.client();
    cloud.add_host("h1", {.unclaimed = forgotten()});
    bool told = false;
    const json status = ask(client, "GET", "/v1/status").body;
    for (const json& problem : status["problems"])
        told = told || (problem["type"] == "Unclaimed" && problem["hint"] == "axle unclaimed list --host h1");
    CHECK(told);
}

TEST_CASE("a guest is adopted with what it needs; a dry run says what that is and changes nothing") {
    CloudServer cloud;
    auto client = cloud.client();
    cloud.add_host("h1", {.unclaimed = forgotten()});
    const auto plan = ask(client, "POST", "/v1/hosts/h1/actions/adopt?dryRun=true", id_body(4));
    CAPTURE(plan.body.dump());
    REQUIRE(plan.status == 200);
    CHECK(plan.body["consequences"].dump().find("network green comes with it") != std::string::npos);
    CHECK(ask(client, "GET", "/v1/unclaimed").body["items"].size() == 5);
    const auto made = ask(client, "POST", "/v1/hosts/h1/actions/adopt?wait=10s", id_body(4));
    CAPTURE(made.body.dump());
    REQUIRE(made.status == 200);
    CHECK(made.body["kind"] == "vm");
    CHECK(made.body["id"] == id_of(4).str());
    const json vm = ask(client, "GET", "/v1/projects/default/vms/lost").body;
    CHECK(vm["spec"]["cpus"] == 2);
    CHECK(vm["spec"]["startSerial"] == 4);
    CHECK(vm["spec"]["disks"]["root"]["volume"] == "lost-root");
    CHECK(vm["status"]["placement"]["host"] == "h1");
    CHECK(vm["status"]["nics"]["eth0"]["mac"] == "52:54:00:aa:bb:cc");
    CHECK(vm["status"]["addresses"][0] == "10.91.0.9");
    CHECK(vm["status"]["cpuModel"] == "EPYC");
    CHECK(ask(client, "GET", "/v1/pools/old").body["spec"]["path"] == "/pools/old");
    CHECK(ask(client, "GET", "/v1/projects/default/networks/green").body["id"] == id_of(2).str());
    CHECK(ask(client, "GET", "/v1/projects/default/volumes/lost-root").body["status"]["attachedTo"] == "lost");
    CHECK(ask(client, "GET", "/v1/unclaimed").body["items"].size() == 1);
    const auto again = ask(client, "POST", "/v1/hosts/h1/actions/adopt", id_body(4));
    CHECK(again.status == 409);
}

TEST_CASE("what can't be adopted is refused with its reason, and nothing of it is made") {
    CloudServer cloud;
    auto client = cloud.client();
    cloud.add_host("h1", {.unclaimed = forgotten()});
    const auto refused = [&](const std::string& body) {
        const auto answer = ask(client, "POST", "/v1/hosts/h1/actions/adopt", body);
        CAPTURE(answer.body.dump());
        CHECK(answer.status >= 400);
        return answer.body.value("detail", "") + " | " + answer.body.value("hint", "");
    };
    CHECK(refused(R"({})").find("id") != std::string::npos);
    CHECK(refused(R"({"id":"web"})") != "");
    CHECK(refused(id_body(99)).find("nothing unclaimed") != std::string::npos);
    CHECK(refused(id_body(3)).find("guest default/lost has it") != std::string::npos);
    CHECK(refused(id_body(4, R"(,"project":"other")")).find("\"other\"") != std::string::npos);
    CHECK(refused(id_body(4, R"(,"name":"Not A Name")")) != "");
    CHECK(ask(client, "POST", "/v1/pools", R"({"name":"old","spec":{"path":"/pools/other"}})").status == 201);
    CHECK(refused(id_body(4)).find("another pool \"old\"") != std::string::npos);
    CHECK(ask(client, "GET", "/v1/projects/default/networks").body["items"].empty());
    CHECK(ask(client, "GET", "/v1/projects/default/vms").body["items"].empty());
}

TEST_CASE("a removal is a task with the word of who asked, an event and what exactly goes") {
    CloudServer cloud;
    auto client = cloud.client();
    cloud.add_host("h1", {.unclaimed = forgotten()});
    const auto busy = ask(client, "POST", "/v1/hosts/h1/actions/remove-unclaimed", id_body(3));
    CHECK(busy.status == 409);
    CHECK(busy.body["detail"].get<std::string>().find("guest default/lost") != std::string::npos);
    const auto removed = ask(client, "POST", "/v1/hosts/h1/actions/remove-unclaimed", id_body(5));
    REQUIRE(removed.status == 202);
    const json task = ask(client, "GET", removed.location() + "?wait=10s").body;
    CAPTURE(task.dump());
    CHECK(task["status"]["phase"] == "succeeded");
    CHECK(task["spec"]["goal"] == "unclaimed-removed");
    CHECK(task["spec"]["removal"]["path"] == "/pools/old/volumes/5.qcow2");
    CHECK(task["spec"]["removal"]["host"] == "h1");
    CHECK(ask(client, "GET", "/v1/events?reason=RemovingUnclaimed").body["items"].size() == 1);
    CHECK(ask(client, "GET", "/v1/events?reason=UnclaimedRemoved").body["items"].size() == 1);
    CHECK(ask(client, "GET", "/v1/unclaimed").body["items"].size() == 4);
}

TEST_CASE("what its host refuses to remove fails with the host's reason") {
    CloudServer cloud;
    auto client = cloud.client();
    cloud.add_host("h1", {.unclaimed = forgotten(), .removes_not = "domain theirs has it"});
    const auto removed = ask(client, "POST", "/v1/hosts/h1/actions/remove-unclaimed", id_body(5));
    REQUIRE(removed.status == 202);
    const json task = ask(client, "GET", removed.location() + "?wait=10s").body;
    CHECK(task["status"]["phase"] == "failed");
    CHECK(task["status"]["error"]["message"] == "domain theirs has it");
}
