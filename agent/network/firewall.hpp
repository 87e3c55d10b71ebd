// The rules of this host's tables `inet axle` and `bridge axle`, made anew as a whole from the plan, and put in place
// in one transaction. rules_for() is pure.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "agent/network/network.hpp"

namespace axle {

// The whole of both tables in nft's language. Names and addresses are checked and formatted by us, never copied.
std::string rules_for(const NetworkPlan& plan);

class Firewall {
  public:
    Firewall();
    ~Firewall();
    // Puts the rules in place, unless the same ones stand there untouched. Blocks; one thread at a time.
    Result<> apply(const std::string& rules);
    Result<> remove();  // both tables; not there: success
    // The whole ruleset of the host as JSON, for the detection of foreign rules.
    Result<std::string> list_ruleset();

  private:
    struct Context;
    Result<std::string> run(const std::string& commands);
    std::string listing();
    std::unique_ptr<Context> context_;
    std::string applied_, listed_;  // what we applied, and how the kernel showed it then
};

// Why guests of nat networks can't get out or in although our rules allow it: chains of others that drop what is
// forwarded. ruleset: JSON of list_ruleset(). Empty: nothing is in the way. Pure.
struct ForeignBlock {
    std::string who;      // "docker", "ufw", "firewalld", or the table's name
    std::string message;  // cause
    std::string remedy;
};
std::vector<ForeignBlock> foreign_blocks(const std::string& ruleset);

}  // namespace axle
