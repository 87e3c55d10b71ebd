// With a stolen key of a host nothing of another host can be written or read.
#include <doctest/doctest.h>

#include "tests/contract/hosts/door_fixture.hpp"

using namespace axle;
using namespace axle::test;

namespace {

const std::string kProject = "/v1/projects/default";

// A guest with a disk and a network on a host, and a thief who has the key of another host.
struct Theft {
    Theft() : real(&server.cloud.add_host("real", {.keeps_tasks_waiting = true})) {
        server.request("POST", "/v1/pools", {{"name", "p"}, {"spec", {{"path", "/pools/p"}, {"default", true}}}}, 201);
        server.request("POST", kProject + "/networks",
                       {{"name", "n"}, {"spec", {{"type", "nat"}, {"cidr", "10.77.0.0/24"}}}}, 201);
        server.request("POST", kProject + "/images?wait=10s",
                       {{"name", "tiny"}, {"spec", {{"url", "http://127.0.0.1/tiny.qcow2"}}}}, 201);
        server.request("POST", kProject + "/vms?wait=20s",
                       {{"name", "web"},
                        {"spec",
                         {{"cpus", 1},
                          {"memory", "128MiB"},
                          {"disks", {{"root", {{"image", "tiny"}}}}},
                          {"nics", {{"eth0", {{"network", "n"}}}}}}}});
        REQUIRE(eventually([&] { return vm()["status"].value("phase", "") == "running"; }));
        REQUIRE(vm()["status"]["placement"]["host"] == "real");
        thief.emplace(server, server.joined(2));
        Hello hello = thief->hello();
        hello.facts.features = {kUnclaimedFeature};
        thief->say(hello);
        thief->expect<Welcome>();
        const Uuid id = id_of(vm());
        server.cloud.core().call(
            [&] { epoch = server.cloud.orchestrator().world().find<Vm>(id)->status.placement->epoch; });
    }
    json vm() { return server.request("GET", kProject + "/vms/web"); }
    json volume() { return server.request("GET", kProject + "/volumes/web-root"); }
    json network() { return server.request("GET", kProject + "/networks/n"); }
    static Uuid id_of(const json& object) { return *Uuid::parse(object["id"].get<std::string>()); }
    // The guest's own, a later one, and none.
    std::vector<Epoch> epochs() const { return {epoch, {epoch.incarnation + 9, 1}, {}}; }
    // Until an answer to what the thief asks for itself: all that it said before was heeded.
    void heed() {
        thief->say(CertificateRequest{"nonsense"});
        thief->expect<CertificateGrant>();
        server.cloud.core().call([] {});
    }

    DoorServer server;
    ScriptedHost* real;
    std::optional<RawAgent> thief;
    Epoch epoch;
};

}  // namespace

TEST_CASE("with a stolen key of a host no report of another host's guest, network or disk is taken") {
    Theft theft;
    const json vm = theft.vm(), network = theft.network(), volume = theft.volume();
    REQUIRE(volume["status"]["phase"] == "ready");
    const Uuid guest = Theft::id_of(vm), disk = Theft::id_of(volume);
    const std::string crashed = to_json_text(VmReport{.state = DomainState::crashed, .generation = 1});
    for (const Epoch& e : theft.epochs()) {
        theft.thief->say(Status{DocumentKind::vm, guest, e, false, crashed});
        theft.thief->say(Status{DocumentKind::vm, guest, e, true, ""});
        for (const VolumeState state : {VolumeState::lost, VolumeState::failed, VolumeState::pending}) {
            const VolumeReport lies{
                .state = state, .size = 1, .allocated = kTiB, .conditions = {{.type = "Lost", .message = "lies"}}};
            theft.thief->say(Status{DocumentKind::volume, disk, e, false, to_json_text(lies)});
        }
        theft.thief->say(Status{DocumentKind::volume, disk, e, true, ""});
    }
    theft.thief->say(Status{DocumentKind::network,
                            Theft::id_of(network),
                            {},
                            false,
                            to_json_text(SimpleReport{.conditions = {{.type = "Blocked", .message = "lies"}}})});
    theft.heed();
    CHECK(theft.vm()["status"] == vm["status"]);
    CHECK(theft.volume()["status"] == volume["status"]);
    CHECK(theft.network()["status"] == network["status"]);
    // The same words of its own host are heard.
    theft.real->say(
        Status{DocumentKind::volume, disk, theft.epoch, false, to_json_text(VolumeReport{.state = VolumeState::lost})});
    CHECK(eventually([&] { return theft.volume()["status"]["phase"] == "lost"; }));
}

TEST_CASE("with a stolen key of a host no task of another host's guest is ended") {
    Theft theft;
    theft.server.request("POST", kProject + "/vms/web/actions/reboot", json::object(), 202);
    const auto task = [&]() -> json {
        const json all = theft.server.request("GET", "/v1/tasks");
        for (const json& one : all["items"]) {
            if (one["spec"]["goal"] == "vm-reboot") return one;
        }
        return json::object();
    };
    const auto phase = [&] { return task().value(json::json_pointer("/status/phase"), ""); };
    REQUIRE(eventually([&] { return phase() == "running"; }));
    const json before = task();
    TaskNews news{.percent = 50, .code = "lies", .message = "lies"};
    news.id = TaskId{Theft::id_of(before)};
    for (const TaskState state : {TaskState::running, TaskState::succeeded, TaskState::failed, TaskState::cancelled}) {
        news.state = state;
        theft.thief->say(news);
    }
    theft.heed();
    CHECK(task()["status"] == before["status"]);
    news.state = TaskState::succeeded;
    theft.real->say(news);
    CHECK(eventually([&] { return phase() == "succeeded"; }));
}

TEST_CASE("with a stolen key of a host another host's guest can't be claimed as unclaimed") {
    Theft theft;
    const json vm = theft.vm(), volume = theft.volume();
    const Epoch later{theft.epoch.incarnation, theft.epoch.revision + 1};
    VmDocument document{.epoch = later, .name = "default/web", .memory = 128 * kMiB, .machine = "pc-q35-7.2"};
    document.id = VmId{Theft::id_of(vm)};
    UnclaimedReport report{.things = {{.kind = DocumentKind::vm,
                                       .id = Theft::id_of(vm),
                                       .name = "default/web",
                                       .held = true,
                                       .epoch = later,
                                       .state = DomainState::running,
                                       .document = to_json_text(document)},
                                      {.kind = DocumentKind::volume,
                                       .id = Theft::id_of(volume),
                                       .name = "default/mine",
                                       .held = true,
                                       .epoch = later,
                                       .size = kGiB}},
                           .total = 2,
                           .files = {Theft::id_of(volume)}};
    theft.thief->say(report);
    theft.heed();
    CHECK(theft.vm()["status"] == vm["status"]);
    CHECK(theft.volume()["status"] == volume["status"]);
    // Whoever looks is told whose they are, and nobody gets them by a word of this host's alone.
    const json listed = theft.server.request("GET", "/v1/unclaimed")["items"];
    REQUIRE(listed.size() == 2);
    for (const json& line : listed) {
        CAPTURE(line.dump());
        CHECK(line["host"] == "h2");
        CHECK(line["why"].get<std::string>().ends_with("host real"));
        for (const char* action : {"adopt", "adopt?dryRun=true"}) {
            const json refused =
                theft.server.request("POST", fmt::format("/v1/hosts/h2/actions/{}", action), {{"id", line["id"]}}, 409);
            CHECK(refused["code"] == (line["kind"] == "vm" ? "devices-differ" : "not-adoptable"));
        }
    }
    CHECK(theft.vm()["status"] == vm["status"]);
    CHECK(theft.volume()["status"] == volume["status"]);
}

TEST_CASE("with a stolen key of a host nothing is put into an open console of another host's guest, nor is it closed") {
    Theft theft;
    auto console = theft.server.cloud.client().websocket(kProject + "/vms/web/console");
    REQUIRE(console.has_value());
    const auto next = [&]() -> std::string {
        const auto message = console->read(milliseconds{10'000});
        if (!message) return message.error().message;
        return *message ? (*message)->data : "nothing came";
    };
    CHECK(next() == "welcome\n");
    std::uint64_t open = 0;
    theft.server.cloud.core().call([&] {
        for (const auto& [stream, written] : theft.real->streams) open = stream;
    });
    REQUIRE(open > 0);
    for (std::uint64_t stream = 0; stream < open + 3; ++stream) {
        theft.thief->say(StreamData{stream, "rm -rf /\n"});
        theft.thief->say(StreamClose{stream, "bye"});
    }
    theft.heed();
    REQUIRE(console->send("ping", true).has_value());
    CHECK(next() == "echo:ping");
    console->close();
}

TEST_CASE("with a stolen key of a host nothing of another host is told, and no image is given") {
    Theft theft;
    const json vm = theft.vm();
    for (const Epoch& e : theft.epochs()) theft.thief->say(Status{DocumentKind::vm, Theft::id_of(vm), e, false, "{}"});
    theft.heed();
    http::Client client(client_options(theft.thief->identity, *http::Endpoint::parse(theft.server.endpoint())));
    const auto image = client.request("GET", kImagesPath + std::string(64, 'a'));
    REQUIRE(image.has_value());
    CHECK(image->status == 403);
    CHECK(client.request("GET", "/v1/hosts")->status == 404);  // the API is not for agents
    std::vector<std::string>& heard = theft.thief->heard;
    for (;;) {
        auto got = theft.thief->socket->read(milliseconds{50});
        REQUIRE(got.has_value());
        if (!*got) break;
        heard.push_back((*got)->data);
    }
    // But to let go of what it says it has.
    for (const std::string& text : heard) {
        CAPTURE(text);
        const auto message = decode(text);
        REQUIRE((message && *message));
        if (const auto* desired = std::get_if<Desired>(&**message)) {
            for (const Put& put : desired->puts) CHECK(put.kind == DocumentKind::pool);  // which all hosts have
            CHECK((desired->destroys.empty() && desired->confirms.empty()));
            continue;
        }
        CHECK(text.find(vm["id"].get<std::string>()) == std::string::npos);
    }
}
