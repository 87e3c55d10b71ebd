// Mutations: what users ask to be changed, checked against and applied to the head as one transaction each. Core
// thread.
#pragma once
#include <deque>

#include "orchestrator/core/access.hpp"
#include "orchestrator/core/admit.hpp"
#include "orchestrator/core/pipeline.hpp"
#include "orchestrator/core/unclaimed.hpp"

namespace axle {

class Commands {
  public:
    using Foresee = std::function<Decision(const Vm&)>;  // where it would be placed now; changes nothing
    Commands(Pipeline& pipeline, Foresee foresee, const UnclaimedBook& book)
        : pipeline_(pipeline), foresee_(std::move(foresee)), book_(book) {}

    // Checks, applies, queues the commit. The answer comes when everything it was computed from is durable.
    void mutate(Mutation mutation, Answered<Mutated> answer);
    // At start: answers of the last day, so that a retry over a restart does nothing twice.
    Result<> load();

  private:
    struct Remembered {
        std::string body_hash;
        Locator target;
        Uuid task{};
        std::int64_t at = 0;  // cluster time: a wall clock that jumps forgets nothing
        bool had_secret = false;
        bool created = false;
    };

    Result<Mutated> perform(const Mutation& m);
    Result<Mutated> run(Transaction& tx, const Mutation& m);
    Result<Mutated> create(Transaction& tx, const Mutation& m, const Ref& project);
    void give_secret(Object& object, Mutated& done);
    Result<Mutated> change(Transaction& tx, const Mutation& m, const ObjectPtr& before);
    Result<Mutated> apply(Transaction& tx, const Mutation& m, const Ref& project);
    Result<Mutated> finish_change(Transaction& tx, const Mutation& m, const ObjectPtr& before,
                                  std::unique_ptr<Object> after);
    Result<> check_writable(const Mutation& m) const;
    Result<std::optional<Mutated>> replay(const Mutation& m) const;
    Result<ObjectPtr> still_known(Kind kind, const Uuid& id) const;
    void remember(Transaction& tx, const Mutation& m, const Mutated& done);
    void audit(Transaction& tx, const Mutation& m, const Mutated& done);
    Result<Ref> project_of(const Mutation& m) const;
    Result<ObjectPtr> target_of(const Mutation& m, const Ref& project) const;

    Pipeline& pipeline_;
    const Foresee foresee_;
    const UnclaimedBook& book_;
    void forget_old(Transaction& tx);
    std::map<std::string, Remembered> remembered_;
    std::deque<std::pair<std::int64_t, std::string>> by_age_;  // oldest first
};

// Parts of the work, one file each.
Result<> read_document(const Mutation& m, Object& into, bool merge);                    // document.cpp
std::optional<std::string> why_no_name(const KindInfo& kind, const std::string& name);  // document.cpp: the kind's rule
std::vector<std::string> fields_named(
    const nlohmann::json& document);  // document.cpp: leaf pointers under labels, annotations, spec
Result<Mutated> remove_object(Transaction& tx, const Mutation& m, const ObjectPtr& object);  // remove.cpp
std::string free_volume_name(const World& world, const Volume& volume, const std::string& vm,
                             const std::string& disk);                                // act.cpp
Result<Mutated> act_on(Transaction& tx, const Mutation& m, const ObjectPtr& object);  // act.cpp
Uuid task_for_change(Transaction& tx, const std::string& requester, const Object& after, const Object* before);

}  // namespace axle
