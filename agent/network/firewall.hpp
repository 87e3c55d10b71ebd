// The rules of this host's tables `inet axle` and `bridge axle`, made anew as a whole from the plan, and put in place
// in one transaction. rules_for() is pure.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "agent/network/network.hpp"

namespace axle {

// The whole of both tables in nft's language. Names and addresses are checked and formatted by us, never copied.
// strays: taps of ours that are there and not in the plan (a guest that still runs); nothing passes from them.
std::string rules_for(const NetworkPlan& plan, const std::vector<std::string>& strays = {});

class Firewall {
  public:
    Firewall();
    ~Firewall();
    // Puts the rules in place, unless the same ones stand there untouched. Blocks; one thread at a time. True: they
    // were put there now.
    Result<bool> apply(const std::string& rules);
    Result<> remove();  // both tables; not there: success
    // The whole ruleset of the network namespace as JSON, without the elements of sets (foreign_rules.hpp reads it).
    Result<std::string> list_ruleset();

  private:
    struct Context;
    Result<std::string> run(const std::string& commands);
    std::string listing();
    std::unique_ptr<Context> context_;
    std::string applied_, listed_;  // what we applied, and how the kernel showed it then
};

}  // namespace axle
