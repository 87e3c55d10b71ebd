// Images for hosts: only those that are needed there, whole, and gone on with where they stopped.
#include <sys/stat.h>

#include <doctest/doctest.h>

#include "agent/link/image_fetch.hpp"
#include "tests/contract/hosts/door_fixture.hpp"

using namespace axle;
using namespace axle::test;

namespace {

// A host with a pool, on which a VM made from the image is placed.
struct Room {
    Room() : agent(server, server.joined(1)) {
        server.request("POST", "/v1/pools", {{"name", "p"}, {"spec", {{"path", "/pools/p"}, {"default", true}}}}, 201);
        server.request("POST", "/v1/projects/default/images?wait=10s",
                       {{"name", "tiny"}, {"spec", {{"url", "http://127.0.0.1/tiny.qcow2"}}}}, 201);
        agent.say(agent.hello());
        for (bool told = false; !told;) {
            for (const Put& put : agent.expect<Desired>().puts) {
                if (put.kind != DocumentKind::pool) continue;
                const SimpleReport ready{.ready = true, .size = kTiB, .free = kTiB};
                agent.say(Status{put.kind, put.id, put.epoch, false, to_json_text(ready)});
                told = true;
            }
        }
        server.request("POST", "/v1/projects/default/vms",
                       {{"name", "web"},
                        {"spec", {{"cpus", 1}, {"memory", "128MiB"}, {"disks", {{"root", {{"image", "tiny"}}}}}}}});
    }
    // The image document that the host gets.
    ImageDocument told() {
        for (;;) {
            for (const Put& put : agent.expect<Desired>().puts) {
                if (put.kind == DocumentKind::image) return *from_json_text<ImageDocument>(put.content);
            }
        }
    }
    DoorServer server;
    RawAgent agent;
    const std::string digest = std::string(64, 'a');
};

}  // namespace

TEST_CASE("a host gets the image of what is placed on it, from any byte on, and no other") {
    Room room;
    CHECK(room.told().source == kImageFromOrchestrator + room.digest);
    std::string content;
    for (int i = 0; i < 300'000; ++i) content += static_cast<char>('a' + i % 23);
    REQUIRE(write_file_durably(room.server.folder / room.digest, content));
    const std::string path = room.server.folder / "fetched";
    ImageFetch wish{.digest = room.digest, .path = path};
    REQUIRE(fetch_from_orchestrator(room.agent.identity, wish).has_value());
    CHECK(*read_file(path) == content);

    REQUIRE(write_file_durably(path, content.substr(0, 100'001) + "and what a crash may leave behind it"));
    wish.have = 100'001;
    REQUIRE(fetch_from_orchestrator(room.agent.identity, wish).has_value());
    CHECK(*read_file(path) == content);

    wish = {.digest = std::string(64, 'b'), .path = path};
    const auto refused = fetch_from_orchestrator(room.agent.identity, wish);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().message.find("is made from image") != std::string::npos);
    const auto other = fetch_from_orchestrator(room.server.joined(2), {.digest = room.digest, .path = path});
    REQUIRE_FALSE(other.has_value());
    CHECK(other.error().code == Code::forbidden);
}

TEST_CASE("odd ranges, files that are gone and names that lead elsewhere are refused") {
    Room room;
    room.told();
    http::Client client(client_options(room.agent.identity, *http::Endpoint::parse(room.server.endpoint())));
    const auto get = [&](const std::string& digest, const char* range) {
        const auto answer = client.request("GET", kImagesPath + digest, {{"Range", range}});
        return answer ? answer->status : 0;
    };
    for (const char* range : {"bytes=-5", "bytes=1-2", "bytes=x-", "pages=1-", "bytes=99999999999999999999-"})
        CHECK(get(room.digest, range) == 400);
    CHECK(get(room.digest, "bytes=0-") == 404);  // lost
    REQUIRE(write_file_durably(room.server.folder / room.digest, "12345"));
    CHECK(get(room.digest, "bytes=6-") == 416);
    CHECK(get(room.digest, "bytes=4-") == 206);
    CHECK(get("..%2f..%2fetc%2fpasswd", "bytes=0-") == 403);
}
