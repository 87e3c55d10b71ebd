// One suite for the channel, on the in-process link and over mutual TLS.
#include "tests/contract/link/rooms.hpp"

using namespace axle;
using namespace axle::test;

#define ROOMS InProcessRoom, TlsRoom

TEST_CASE_TEMPLATE("messages arrive on the other end, in order, and never inside send", R, ROOMS) {
    R room;
    Ears there(*room.orchestrator), here(*room.agent);
    for (int i = 1; i <= 200; ++i) {
        const TaskNews news{.percent = i, .message = std::string(i % 2 == 0 ? 0 : 2000, 'm')};  // small and large
        room.agent->send(news);
        room.orchestrator->send(news);
    }
    CHECK(there.heard.empty());
    CHECK(here.heard.empty());
    REQUIRE(room.until([&] { return there.heard.size() == 200 && here.heard.size() == 200; }));
    for (int i = 1; i <= 200; ++i) {
        CHECK(std::get<TaskNews>(there.heard[static_cast<std::size_t>(i - 1)]).percent == i);
        CHECK(std::get<TaskNews>(here.heard[static_cast<std::size_t>(i - 1)]).percent == i);
    }
}

TEST_CASE_TEMPLATE("bytes of a stream pass unchanged", R, ROOMS) {
    R room;
    Ears there(*room.agent);
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
    room.orchestrator->send(StreamData{.stream = 1, .bytes = bytes});
    REQUIRE(room.until([&] { return !there.heard.empty(); }));
    CHECK(std::get<StreamData>(there.heard[0]).bytes == bytes);
}

TEST_CASE_TEMPLATE("both ends hear of the close once, with its whole reason, and nothing after it", R, ROOMS) {
    R room;
    Ears here(*room.agent), there(*room.orchestrator);
    const std::string why(1000, 'w');
    room.agent->send(TaskNews{.percent = 1});
    room.agent->close(why);
    room.agent->close("again");
    room.agent->send(TaskNews{.percent = 2});
    REQUIRE(room.until([&] { return !here.closed.empty() && !there.closed.empty(); }));
    room.orchestrator->send(TaskNews{});
    room.settle();
    CHECK(here.closed == std::vector<std::string>{why});
    CHECK(there.closed == std::vector<std::string>{why});
    CHECK(here.heard.empty());
    REQUIRE(there.heard.size() == 1);  // what was sent before the close arrives
    CHECK(std::get<TaskNews>(there.heard[0]).percent == 1);
}

TEST_CASE_TEMPLATE("an end that is destroyed closes the other", R, ROOMS) {
    R room;
    Ears there(*room.orchestrator);
    room.orchestrator->send(TaskNews{});
    room.agent.reset();
    REQUIRE(room.until([&] { return !there.closed.empty(); }));
    CHECK(there.closed.size() == 1);
}

TEST_CASE_TEMPLATE("an end may be destroyed inside its own callback", R, ROOMS) {
    R room;
    Ears there(*room.orchestrator);
    room.agent->on_message([&](const Message&) { room.agent.reset(); });
    room.orchestrator->send(TaskNews{});
    room.orchestrator->send(TaskNews{});
    REQUIRE(room.until([&] { return !there.closed.empty(); }));
    CHECK(room.agent == nullptr);
}

TEST_CASE_TEMPLATE("who does not keep up is cut off, and the sender's memory stays bounded", R, ROOMS) {
    R room;
    Ears here(*room.agent);
    const std::string bytes(1000, 'b');
    // The other core does nothing at all meanwhile.
    for (std::size_t i = 0; i < R::kTooMany && here.closed.empty(); ++i) {
        room.agent->send(StreamData{.stream = i, .bytes = i % 100 == 0 ? bytes : ""});
        if (i % 1000 == 0) room.agent_core.run();
    }
    REQUIRE(room.agent_core.run_until([&] { return !here.closed.empty(); }));
    CHECK(here.closed.size() == 1);
}
