// What was met of all pairs of a thing's state and what is done to it; and acts that go where least was met.
#pragma once
#include <map>
#include <string>

#include "tests/support/cloud/acts.hpp"

namespace axle::test {

class Stage;
using Coverage = std::map<std::string, int>;  // "vm running: vm-stop" -> how often

// "" where the verb's subject has no states.
std::string pair_of(Stage& stage, const Act& act);
std::size_t possible_pairs();
// Makes of it another act: the one of whose pair least was met, in `before` and `now` together. Leaves it as it is
// where all that can be done now was met as often as a pair is on average.
void go_where_least_was_met(Stage& stage, const Coverage& before, const Coverage& now, Act& act);

}  // namespace axle::test
