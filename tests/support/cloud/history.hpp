// A history: a seed and acts. Played on a fresh cloud it ends in "" or in what went wrong; one that went wrong is made
// shorter by leaving out acts as long as it still goes wrong, and written down so that it can be played again.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/cloud/acts.hpp"
#include "tests/support/cloud/coverage.hpp"
#include "tests/support/cloud/reference.hpp"

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
    std::map<std::string, int> answers;  // "verb ok", "verb conflict", ...
    Coverage coverage;
    std::vector<Act> acts;  // as they were played
};
using Player = std::function<Play(const History&)>;

// Users and bad luck at random; then faults stop, everything must become as it is wished, everything is deleted, and
// nothing may be left.
History draw_history(std::uint64_t seed, std::size_t acts, bool with_faults);
Play play_with_faults(const History& history);

// The same, one act after the other, each answer held against a reference model; hosts fail, no answer is lost.
History draw_model_history(std::uint64_t seed, std::size_t acts);
Play play_against_reference(const History& history);
// Every other act of a user becomes the one of which least was met, in earlier histories (`met`) and in this one.
// Play::acts is what was played: played again by the first form it is the same.
Play play_where_least_was_met(const History& history, const Coverage& met);
// Where that is done: the simulated cloud, or a real one.
class Stage {
  public:
    struct Answer {
        std::string how = "lost";  // "ok" or the name of an error's code
        std::string why;
        Taken taken;
    };
    virtual ~Stage() = default;
    virtual std::optional<Answer> ask(const Act& act) = 0;  // nothing: its subject is not there to be named
    virtual void befall(const Act& act) = 0;
    virtual void pass(std::int64_t ms) = 0;
    virtual bool can_ask(const Act&) { return true; }  // its subject is there to be named, as far as is known
    virtual std::string phase(Kind kind, const std::string& name) = 0;  // "none" where there is none
    virtual std::string trouble() = 0;
    virtual std::string settle() = 0;  // faults stop; "" when all is as its users wish
    virtual Seen seen() = 0;
    virtual std::string clear_away() = 0;
    virtual void note(const std::string& line) = 0;
};
Play play_on(Stage& stage, const History& history, const Coverage* met = nullptr);

void finish(Play& play, const Cloud& cloud);   // figures and the log, merged from all machines
std::string how_answered(const Reply& reply);  // "ok", "lost" or the name of the error's code

// "" when the cloud is as its users wish within the limit.
std::string converge(Cloud& cloud, milliseconds limit);
// Deletes all that users made, waits until it is gone, and tells what is left.
std::string clear_away(Cloud& cloud);

// The same kind of trouble: in their first words, without names and numbers.
bool fail_alike(const std::string& trouble, const std::string& other);
History shorten(History history, const std::string& trouble, const Player& play, int tries = 150);
std::string write_history(const History& history, const std::string& trouble);
std::optional<History> read_history(const std::string& path);

// What a test does with a seed that fails: shortens, writes build/found/LEVEL-SEED.history, tells how to replay it.
std::string report(const History& history, const Play& first, const Player& play);

// Seeds to play: fixed ones and fresh ones; or SIM_HISTORIES in all from TEST_SEED on (one, if only that is said).
std::vector<std::uint64_t> seeds_to_play(std::size_t fixed, std::size_t fresh);

}  // namespace axle::test
