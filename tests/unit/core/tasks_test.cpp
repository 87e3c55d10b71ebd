// Tasks as the store has them.
#include "orchestrator/core/tasks.hpp"

#include <doctest/doctest.h>

#include "tests/support/plain_codec.hpp"

using namespace axle;
using namespace axle::test;

TEST_CASE("whether a task has ended is seen in its record without reading it, whatever its texts say") {
    for (std::size_t i = 0; i < names(TaskPhase{}).size(); ++i) {
        Task task;
        task.meta.name = R"(,"status":{"phase":"failed"})";
        task.spec.target.name = R"(x","status":{"phase":"succeeded")";
        task.status.phase = static_cast<TaskPhase>(i);
        task.status.step = R"(,"status":{"phase":"cancelled"})";
        CAPTURE(text_of(task.status.phase));
        CHECK(has_ended(store_form(task, kPlainCodec)) == is_terminal(task.status.phase));
    }
    CHECK_FALSE(has_ended(""));
    CHECK_FALSE(has_ended(R"({"v":1,"meta":{},"spec":{},"status":{}})"));
    CHECK_FALSE(has_ended(R"({"v":1,"meta":{},"spec":{},"status":{"phase":"succeed)"));
}
