// A history: a seed and acts. Played on a fresh cloud it ends in "" or in what went wrong; one that went wrong is made
// shorter by leaving out acts as long as it still goes wrong, and written down so that it can be played again.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/cloud/acts.hpp"

namespace axle::test {

struct History {
    std::string level = "sim";  // which program plays it: sim_cloud or model_cloud
    std::uint64_t seed = 1;
    int hosts = 3;
    std::vector<Act> acts;
};

struct Play {
    std::string trouble;  // "" or what went wrong
    std::uint64_t events = 0;
    std::int64_t virtual_ms = 0;
    std::vector<std::string> log;
    std::map<std::string, int> answers;   // "verb ok", "verb conflict", ...
    std::map<std::string, int> coverage;  // "phase of the VM: verb"
};
using Player = std::function<Play(const History&)>;

// Users and bad luck at random; then faults stop, everything must become as it is wished, everything is deleted, and
// nothing may be left.
History draw_history(std::uint64_t seed, std::size_t acts, bool with_faults);
Play play_with_faults(const History& history);

// The same, one act after the other, each answer held against a reference model; hosts fail, no answer is lost.
History draw_model_history(std::uint64_t seed, std::size_t acts);
Play play_against_reference(const History& history);

void finish(Play& play, const Cloud& cloud);   // figures and the log, merged from all machines
std::string how_answered(const Reply& reply);  // "ok", "lost" or the name of the error's code

// "" when the cloud is as its users wish within the limit.
std::string converge(Cloud& cloud, milliseconds limit);
// Deletes all that users made, waits until it is gone, and tells what is left.
std::string clear_away(Cloud& cloud);

History shorten(History history, const std::string& trouble, const Player& play, int tries = 150);
std::string write_history(const History& history, const std::string& trouble);
std::optional<History> read_history(const std::string& path);

// What a test does with a seed that fails: shortens, writes build/results/LEVEL-SEED.history, tells how to replay it.
std::string report(const History& history, const Play& first, const Player& play);

// Seeds to play: TEST_SEED alone, or fixed ones and fresh ones (SIM_HISTORIES in all).
std::vector<std::uint64_t> seeds_to_play(std::size_t fixed, std::size_t fresh);

}  // namespace axle::test
