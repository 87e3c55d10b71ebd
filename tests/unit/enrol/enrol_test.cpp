// Who may join, as a rule without wires.
#include "orchestrator/core/enrol.hpp"

#include <doctest/doctest.h>

#include "tests/support/seeded_random.hpp"

using namespace axle;

namespace {

Uuid uuid(int number) {
    Uuid id;
    id.bytes[15] = static_cast<std::uint8_t>(number);
    id.bytes[0] = 1;
    return id;
}

struct Room {
    World world;
    test::SeededRandom random{1};
    std::int64_t now = 1'000'000;

    Result<Enrolled> take(const Enrolment& request) {
        Transaction tx(world, 1, {.wall = {now}}, random);
        auto taken = take_in(tx, request, "c");
        if (taken) tx.commit({});
        return taken;
    }
    void token(const std::string& hash, std::int64_t expires, std::int64_t left) {
        auto made = std::make_shared<JoinToken>();
        made->meta.id = uuid(100);
        made->meta.name = "t";
        made->status = {.hash = hash, .expires = expires, .left = left};
        world.put(made);
    }
};

}  // namespace

TEST_CASE("a token ends at its time, by the wall clock") {
    Room room;
    room.token("hash", 2'000'000, 5);
    CHECK(room.take({"hash", "r1", uuid(1), "h1"}).has_value());
    room.now = 2'000'000;
    const auto late = room.take({"hash", "r2", uuid(2), "h2"});
    REQUIRE_FALSE(late.has_value());
    CHECK(late.error().reason == "expired-token");
    // The same request again is an answer that was lost, not a new use.
    CHECK(room.take({"hash", "r1", uuid(1), "h1"}).has_value());
}

TEST_CASE("names of machines become names of hosts, each once") {
    Room room;
    room.token("hash", 2'000'000, 5);
    CHECK(room.take({"hash", "r1", uuid(1), "Web.Example"})->host_name == "web.example");
    CHECK(room.take({"hash", "r2", uuid(2), "web.example"})->host_name == "web.example-2");
    CHECK(room.take({"hash", "r3", uuid(3), "no name at all!"})->host_name == "host");
    CHECK(room.world.find<JoinToken>(uuid(100))->status.left == 2);
}

TEST_CASE("a certificate from before the host joined again is not taken") {
    Room room;
    room.token("hash", 2'000'000, 5);
    REQUIRE(room.take({"hash", "r1", uuid(1), "h1"}).has_value());
    CHECK(holder_of(room.world, {uuid(1), 1'000'000}).has_value());
    CHECK_FALSE(holder_of(room.world, {uuid(1), 999'000}).has_value());
    CHECK(holder_of(room.world, {uuid(2), 1'000'000}).error().reason == "unknown-host");
}
