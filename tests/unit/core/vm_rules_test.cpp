// When the goal of a task is reached, from what a VM is wished to be and what its host reports.
#include "orchestrator/core/vm_rules.hpp"

#include <string>

#include <doctest/doctest.h>

using namespace axle;

TEST_CASE("a VM that was to run or to go on does so only when it is seen to: not while it is yet to be resumed") {
    struct Row {
        std::string name;
        DomainState state;
        bool settled;
        std::int64_t observed;
        bool reached;
    };
    for (const Row& row : {
             Row{"it runs", DomainState::running, true, 2, true},
             Row{"it runs, other work goes on", DomainState::running, false, 2, true},
             Row{"the host has the wish, the guest is still paused", DomainState::paused, false, 2, false},
             Row{"the host has done all that it could", DomainState::paused, true, 2, true},
             Row{"the report is of before the wish", DomainState::running, true, 1, false},
             Row{"it is off", DomainState::shut_off, false, 2, false},
         }) {
        CAPTURE(row.name);
        Task task;
        task.spec.goal = TaskGoal::vm_running;
        task.spec.generation = 2;
        Vm vm;
        vm.status.placement = VmPlacement{{Uuid{}, "h1"}, {1, 2}};
        vm.status.observed_generation = row.observed;
        vm.status.report.state = row.state;
        vm.status.report.settled = row.settled;
        CHECK((goal_of(task, vm).state == GoalState::reached) == row.reached);
    }
}
