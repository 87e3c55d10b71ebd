// The orchestrator's core put together: pipeline, commands, links, controllers, streams, behind Service. One object,
// one thread, all its surroundings by reference.
#pragma once
#include <atomic>
#include <map>
#include <memory>

#include "orchestrator/core/commands.hpp"
#include "orchestrator/core/controllers.hpp"
#include "orchestrator/core/enrol.hpp"
#include "orchestrator/core/housekeeper.hpp"

namespace axle {

class Orchestrator final : public Service {
  public:
    struct Seams {
        Store& store;
        Clock& clock;
        Random& random;
        Executor& core;
        Importer& importer;
        SecretCodec secrets;
        // Where an agent in our own process gets an image from; others ask for it over their channel's connection.
        std::function<std::string(const std::string& digest)> image_source;
        std::string seal_key = {};  // of what agents are told to remember; empty: nothing is sealed
        Retention retention = {};   // of what is over
    };

    explicit Orchestrator(Seams seams);
    ~Orchestrator() override;

    // Reads the store. On the core thread (or before it runs). An error: don't start; it says what to do.
    Result<> load(const Spread& spread = one_by_one);
    // First start: project "default", token "admin" with this secret, and a default pool at this path (empty: none).
    // Harmless to repeat: what a user has deleted since is not made again, by this start or a later one.
    bool is_founded() const { return founded_; }  // that has been done once: this store's admin token may be gone
    void bootstrap(const std::string& admin_secret, const std::string& pool_path = "");
    void start();

    // An agent's connection.
    void attach(std::unique_ptr<Channel> channel, std::function<void()> ended = {}, LinkPeer peer = {}) {
        links_.attach(std::move(channel), std::move(ended), std::move(peer));
    }
    // Machines that join, and hosts that show a certificate. What orchestrator/hosts asks; core thread, answered
    // durably.
    void enrol(Enrolment request, Answered<Enrolled> answer);
    void admit_host(const HostCertificate& shown, Answered<Enrolled> answer);
    // The file of an image that something placed on this host refers to.
    void image_for_host(const HostCertificate& shown, const std::string& digest, Answered<std::string> answer);
    const World& world() const { return pipeline_.world(); }
    Pipeline& pipeline() { return pipeline_; }
    const HostLinks& links() const { return links_; }
    // What load() found, for the importer's sweep at a start.
    UnfinishedImports unfinished_imports() const;

    std::shared_ptr<const AccessSnapshot> access() const override;
    void mutate(Mutation mutation, Answered<Mutated> answer) override {
        commands_.mutate(std::move(mutation), std::move(answer));
    }
    void get(Principal who, Locator what, Answered<Viewed> answer) override;
    void list(ListQuery query, Answered<Listing> answer) override;
    void wait_task(Principal who, Uuid task, milliseconds at_most, Answered<ObjectPtr> answer) override;
    void explain(Principal who, Locator vm, Answered<Decision> answer) override;
    void capacity(CapacityQuery query, Answered<CapacityAnswer> answer) override;
    void unclaimed(UnclaimedQuery query, Answered<UnclaimedAnswer> answer) override;
    Result<SubscriptionId> subscribe(Principal who, Revision since, std::shared_ptr<ChangeSink> sink) override;
    void unsubscribe(SubscriptionId id) override { pipeline_.unsubscribe(id); }
    Revision oldest_change() const override { return pipeline_.oldest_change(); }
    bool may_see(const Principal& who, Kind kind, const Uuid& project) const override {
        return may_read(who, kind, project);
    }
    void check_upload(Principal who, Locator image, Answered<Viewed> answer) override;
    void image_uploaded(Principal who, Locator image, Answered<Mutated> answer) override;
    void open_stream(StreamQuery query, StreamHandlers handlers, Answered<StreamId> answer) override;
    void stream_write(StreamId stream, std::string bytes) override;
    void stream_close(StreamId stream) override;
    void overview(Principal who, Answered<Overview> answer) override;
    void accept_clock(Principal who, Answered<ClockState> answer) override;
    void accept_loss(Principal who, Answered<StoreState> answer) override;

  private:
    struct Waiter {
        Uuid task{};
        TimerId timer = 0;
        Answered<ObjectPtr> answer;
    };
    struct Stream {
        Uuid host{};
        StreamHandlers handlers;
    };

    LinkEvents link_events();
    Result<> check_hello(const Hello& hello);
    bool is_of_another_run(const Hello& hello) const;
    void note_twin(const Uuid& host, const std::string& twin);
    void changed(const ChangeEvent& event);
    void answer_waiters(const Uuid& task, const ObjectPtr& object);
    Result<ObjectPtr> find(const Principal& who, const Locator& what) const;
    Result<ObjectPtr> find_for_upload(const Principal& who, const Locator& what);
    ObjectPtr shown(const ObjectPtr& object) const;
    ObjectPtr ended_task(const Uuid& id) const;
    Decision foresee(const Vm& vm);
    std::vector<VmRequest> guests_of(const Uuid& host) const;
    Result<CapacityAnswer> capacity_of(const CapacityQuery& query) const;
    Result<UnclaimedAnswer> unclaimed_things(const UnclaimedQuery& query) const;  // unclaimed.cpp
    void add_unclaimed(const Host& host, const UnclaimedQuery& query, UnclaimedAnswer& answer) const;
    bool is_shared(const Uuid& pool) const;
    void publish_access();
    void close_streams_of(const Uuid& host);
    void add_store_problems(Overview& overview) const;
    void add_host_problems(Overview& overview) const;
    void add_object_problems(Overview& overview) const;
    ClockState clock_state() const;
    template <typename T>
    void answer_durably(Answered<T> answer, Result<T> result) {
        pipeline_.when_durable(
            [answer = std::move(answer), result = std::move(result)]() mutable { answer(std::move(result)); });
    }

    Executor& core_;
    Pipeline pipeline_;
    const std::function<std::string(const std::string& digest)> image_source_;
    UnclaimedBook book_;
    Commands commands_;
    HostLinks links_;
    Controllers controllers_;
    Housekeeper housekeeper_;
    bool founded_ = false;  // bootstrap() was done on this store
    std::atomic<std::shared_ptr<const AccessSnapshot>> access_;
    std::map<std::uint64_t, Waiter> waiters_;
    std::uint64_t last_waiter_ = 0;
    Seen seen_by_hosts_;  // the highest of all hellos since the start
    std::map<StreamId, Stream> streams_;
    StreamId last_stream_ = 0;
    std::deque<ObjectPtr> ended_tasks_;  // newest last; others are read from the store
    std::map<Uuid, ObjectPtr> ended_by_id_;
};

}  // namespace axle
