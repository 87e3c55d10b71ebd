#include <doctest/doctest.h>

#include "agent/link/in_process_link.hpp"
#include "tests/support/virtual_clock.hpp"

using namespace axle;
using namespace axle::test;

namespace {

struct Ears {
    explicit Ears(Channel& channel) {
        channel.on_message([this](Message message) { heard.push_back(std::move(message)); });
        channel.on_closed([this](std::string why) { closed.push_back(std::move(why)); });
    }
    std::vector<Message> heard;
    std::vector<std::string> closed;
};

}  // namespace

TEST_CASE("messages arrive on the other end, in order, and never inside send") {
    VirtualTime time;
    VirtualClock agent(time), orchestrator(time);
    auto ends = join_in_process(agent, orchestrator);
    Ears there(*ends.orchestrator);
    for (int i = 1; i <= 3; ++i) ends.agent->send(TaskNews{.percent = i});
    CHECK(there.heard.empty());
    time.run_for(milliseconds{1});
    REQUIRE(there.heard.size() == 3);
    for (int i = 1; i <= 3; ++i) CHECK(std::get<TaskNews>(there.heard[static_cast<std::size_t>(i - 1)]).percent == i);
}

TEST_CASE("bytes of a stream pass unchanged") {
    VirtualTime time;
    VirtualClock agent(time), orchestrator(time);
    auto ends = join_in_process(agent, orchestrator);
    Ears there(*ends.agent);
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
    ends.orchestrator->send(StreamData{.stream = 1, .bytes = bytes});
    time.run_for(milliseconds{1});
    REQUIRE(there.heard.size() == 1);
    CHECK(std::get<StreamData>(there.heard[0]).bytes == bytes);
}

TEST_CASE("both ends hear of the close once, and nothing after it") {
    VirtualTime time;
    VirtualClock agent(time), orchestrator(time);
    auto ends = join_in_process(agent, orchestrator);
    Ears here(*ends.agent), there(*ends.orchestrator);
    ends.agent->close("enough");
    ends.agent->close("again");
    ends.agent->send(TaskNews{});
    ends.orchestrator->send(TaskNews{});
    time.run_for(milliseconds{1});
    CHECK(here.closed == std::vector<std::string>{"enough"});
    CHECK(there.closed == std::vector<std::string>{"enough"});
    CHECK(here.heard.empty());
    CHECK(there.heard.empty());
}

TEST_CASE("an end that is destroyed closes the other, and what was under way to it is dropped") {
    VirtualTime time;
    VirtualClock orchestrator(time);
    auto agent = std::make_unique<VirtualClock>(time);
    auto ends = join_in_process(*agent, orchestrator);
    Ears there(*ends.orchestrator);
    ends.orchestrator->send(TaskNews{});
    ends.agent.reset();
    agent.reset();  // the executor goes with its process
    ends.orchestrator->send(TaskNews{});
    time.run_for(milliseconds{1});
    CHECK(there.closed.size() == 1);
}

TEST_CASE("who does not keep up is cut off") {
    VirtualTime time;
    VirtualClock agent(time), orchestrator(time);
    auto ends = join_in_process(agent, orchestrator);
    Ears here(*ends.agent), there(*ends.orchestrator);
    for (int i = 0; i <= kMaxUndelivered; ++i) ends.agent->send(TaskNews{});
    time.run_for(milliseconds{1});
    CHECK(here.closed.size() == 1);
}
