// Things on hosts that no record knows (common/channel/unclaimed.hpp): what connected hosts tell of them, which of that
// is nobody's in this world, and a person's word on one of them: adopted as a resource (adopt.cpp), or removed for
// good.
//
// What hosts tell is soft: kept while they are connected and told anew by each hello, never stored. Core thread.
#pragma once
#include <map>

#include "common/channel/unclaimed.hpp"
#include "orchestrator/core/transaction.hpp"

namespace axle {

class UnclaimedBook {
  public:
    void told(const Uuid& host, UnclaimedReport report);
    void left(const Uuid& host) { reports_.erase(host); }
    void gone(const Uuid& host, DocumentKind kind, const Uuid& id);  // before the host tells so itself
    const UnclaimedReport* of(const Uuid& host) const;
    const UnclaimedThing* find(const Uuid& host, DocumentKind kind, const Uuid& id) const;
    const std::map<Uuid, UnclaimedReport>& all() const { return reports_; }

  private:
    std::map<Uuid, UnclaimedReport> reports_;
};

// Kinds of documents are kinds of resources.
Kind kind_of(DocumentKind kind);
// A record of this world has it: as something of this host, or as a file that several hosts see.
bool is_claimed(const World& world, const Uuid& host, const UnclaimedThing& thing);
// Why it is nobody's, in a sentence.
std::string why_unclaimed(const World& world, const UnclaimedThing& thing);
// Why it can't be made a resource again as it is; empty: it can, as far as the thing itself says.
std::string why_not_adoptable(const UnclaimedThing& thing);
// An unfinished removal of it; zero: there is none.
Uuid open_removal(const World& world, const Uuid& host, DocumentKind kind, const Uuid& id);

Result<Mutated> adopt_unclaimed(Transaction& tx, const Mutation& m, const Host& host, const UnclaimedBook& book);
Result<Mutated> remove_unclaimed(Transaction& tx, const Mutation& m, const Host& host, const UnclaimedBook& book);

// The one that is named by its id, and is nobody's.
Result<UnclaimedThing> find_unclaimed(const World& world, const Host& host, const UnclaimedBook& book,
                                      const std::string& id);

}  // namespace axle
