// What waits to be looked at, in which order.
#include "orchestrator/core/work_queue.hpp"

#include <vector>

#include <doctest/doctest.h>

using namespace axle;

namespace {

Key key(std::uint8_t number) {
    Key k{Kind::vm, {}};
    k.id.bytes[15] = number;
    return k;
}
std::vector<int> taken(WorkQueue& queue) {
    std::vector<int> out;
    while (const auto next = queue.take()) out.push_back(next->id.bytes[15]);
    return out;
}

}  // namespace

TEST_CASE("what has changed is looked at in its order, each once, and before all that is looked at to be sure") {
    WorkQueue queue;
    CHECK(queue.empty());
    queue.add_later(key(7));
    queue.add_later(key(8));
    queue.add(key(1));
    queue.add(key(2));
    queue.add(key(1));
    queue.add(key(8));  // now it has changed, too
    CHECK_FALSE(queue.empty());
    CHECK(taken(queue) == std::vector{1, 2, 8, 7, 8});
    CHECK(queue.empty());
    CHECK(taken(queue).empty());
}

TEST_CASE(
    "a change that comes while others are looked at to be sure is next, and one that was looked at can come again") {
    WorkQueue queue;
    for (std::uint8_t n = 1; n < 4; ++n) queue.add_later(key(n));
    CHECK(queue.take()->id.bytes[15] == 1);
    queue.add(key(9));
    CHECK(queue.take()->id.bytes[15] == 9);
    queue.add(key(9));
    CHECK(taken(queue) == std::vector{9, 2, 3});
}
