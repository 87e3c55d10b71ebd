// What the orchestrator can be asked: the whole interface between the API and the core, as values.
//
// Everything is called on the core thread (post to its Executor) and answered on the core thread, exactly once, and
// only when all that the answer was computed from is durable. Syntax is checked by the caller (values arrive typed or
// as parsed JSON); references, authorisation, quota and state are checked here.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/base/result.hpp"
#include "common/channel/messages.hpp"
#include "common/model/compute.hpp"
#include "common/model/fleet.hpp"
#include "common/model/object.hpp"
#include "orchestrator/scheduler/fit.hpp"
#include "orchestrator/store/store.hpp"

namespace axle {

template <typename T>
using Answered = std::function<void(Result<T>)>;

// Who asks. Made by the API from the access snapshot (token) or from the unix socket's peer.
struct Principal {
    std::string name;  // "token:ci", "unix:root"
    Role role = Role::viewer;
    bool all_projects = false;
    std::vector<Uuid> projects;  // where the role holds, unless all_projects
    bool is_administrator() const { return role == Role::admin && all_projects; }  // of the whole cloud
};

// Immutable; a new one is published when tokens change. Any thread.
struct AccessSnapshot {
    struct Entry {
        Principal principal;
        std::int64_t expires = 0;  // wall clock ms; 0: never
    };
    std::map<std::string, Entry> by_token_hash;  // sha256 hex of the secret
};

// One object. project is a name or an id and empty for cluster-wide kinds.
struct Locator {
    Kind kind = Kind::vm;
    std::string project;
    std::string name;  // or id. A deleted object is found by id only.
};

enum class Verb { create, replace, patch, remove, action, apply };

struct Mutation {
    Principal who;
    Verb verb = Verb::create;
    Locator target;
    std::shared_ptr<const nlohmann::json>
        body;                   // create, replace, apply: the document; patch: merge patch; action: its arguments
    bool text_scalars = false;  // the body was YAML
    std::string action;         // start, stop, reboot, reset, pause, resume, restore, cancel, ...
    std::optional<Revision> if_match;
    bool dry_run = false;
    bool now = false;    // remove: skip the retention
    bool lost = false;   // remove of a host: it is dead, and nothing there runs any more
    bool force = false;  // apply: take fields that another set owns
    std::string apply_set = "default";
    std::string request_id;
    // Idempotency-Key of a POST: with the hash of the body. Same key, same hash: the first answer again.
    std::string idempotency_key, body_hash;
};
struct Mutated {
    ObjectPtr object;  // as it is now (as it was, when it was removed at once)
    bool created = false;
    bool changed = true;
    Uuid task{};                        // work that follows; zero: none
    std::vector<FieldChange> plan;      // what changed, or with dry_run what would
    std::vector<std::string> notes;     // what follows that the plan doesn't show, a sentence each
    std::optional<Decision> placement;  // with dry_run: where a new VM would go now, and why
    std::string secret;                 // a new token's secret: shown once
    std::string about;                  // for the audit: what the object doesn't say
    bool replayed = false;              // by idempotency key
};

struct Viewed {
    ObjectPtr object;
    Revision revision = 0;  // of the head when it was read
};

// One condition of a filter, checked by the API's grammar: path is a dotted field of the object as people see it.
struct ListQuery {
    Principal who;
    Kind kind = Kind::vm;
    std::string project;                         // empty: all that the principal may see
    std::function<bool(const Object&)> matches;  // pure; may be empty
    bool with_deleted = false;
    std::size_t limit = 100;
    std::string after;  // opaque: continue of the page before
};
struct Listing {
    std::vector<ObjectPtr> objects;  // by project, then name
    std::string next;                // empty: the end
    Revision revision = 0;           // of the head: a watch may begin here
};

// One committed change, as it stands in the change log (JSON text, see changes.hpp) with what a subscriber filters by.
struct ChangeEvent {
    Revision revision = 0;
    Kind kind = Kind::vm;
    Uuid project{};    // zero: cluster-wide
    ObjectPtr object;  // after the change; null: it is gone
    ObjectPtr before;  // null: it is new
    std::shared_ptr<const std::string> record;
};
// Live changes after a revision, in order, durable ones only. Called on the core thread: hand over and return.
class ChangeSink {
  public:
    virtual ~ChangeSink() = default;
    virtual void changed(const ChangeEvent& event) = 0;
    virtual void reached(Revision revision) = 0;  // all up to here has been told (bookmark)
};
using SubscriptionId = std::uint64_t;

// A byte stream to a guest's host: console, VNC, TCP, log, screenshot.
struct StreamQuery {
    Principal who;
    Locator vm;
    StreamKind kind = StreamKind::console;
    std::int64_t port = 0;
    bool follow = false;
    std::int64_t tail = 0;
};
// The guest's side of a stream, called on the core thread.
struct StreamHandlers {
    std::function<void(std::string bytes)> on_data;
    std::function<void(std::string error)> on_closed;  // empty: a clean end. Nothing comes after it.
};
using StreamId = std::uint64_t;

// Time as retention counts it, beside the wall clock (DESIGN 4).
struct ClockState {
    WallTime wall, cluster;
    bool apart = false;  // by more than 30 days
};

// Something that isn't well.
struct Problem {
    std::string type;     // stable: "HostAway"
    std::string message;  // cause, with its numbers
    std::string hint;     // what to do next
    bool note = false;    // a lasting property of a machine: worth knowing, and all is well nevertheless
    std::vector<std::string> hosts = {};  // that it is about: what several have alike is one
};

// How many more of a size would fit, and what the loss of a host would mean.
struct CapacityQuery {
    Principal who;
    std::string flavor;  // gives what isn't stated
    std::optional<std::int64_t> cpus, memory, disk;
    std::string pool;     // of the disk; empty: the default one
    std::string without;  // a host that is thought away: where would its guests go, and what fits then
};
struct CapacityAnswer {
    std::int64_t cpus = 0, memory = 0, disk = 0;  // of the size that was asked for
    std::string pool;
    std::int64_t count = 0;     // on all hosts together
    std::vector<Fit> hosts;     // most first
    std::vector<Refuge> moved;  // guests of the host that is thought away
};

// Things on hosts that no record knows.
struct UnclaimedQuery {
    Principal who;
    std::string host;  // empty: all
    std::optional<DocumentKind> kind;
    std::size_t limit = 1000;
};
struct UnclaimedLine {
    std::string host;
    UnclaimedThing thing;  // without its document
    std::string why;       // it is unclaimed
    std::string obstacle;  // to adopting it; empty: none that is known beforehand
    Uuid task{};           // that removes it
};
struct UnclaimedAnswer {
    std::vector<UnclaimedLine> lines;
    std::int64_t untold = 0;  // more than fit, here or in what hosts tell
    std::int64_t away = 0;    // hosts that are not connected: nothing is known of them
};

// What `axle status` shows.
struct Overview {
    StoreState store;
    Space space;
    ClockState clock;
    Revision durable = 0;
    std::map<std::string, std::int64_t> counts;  // "vms", "vms.running", "hosts", ...
    std::vector<Problem> problems;               // notes last
    std::string version;
};

class Service {
  public:
    virtual ~Service() = default;

    virtual std::shared_ptr<const AccessSnapshot> access() const = 0;  // any thread

    virtual void mutate(Mutation mutation, Answered<Mutated> answer) = 0;
    virtual void get(Principal who, Locator what, Answered<Viewed> answer) = 0;
    virtual void list(ListQuery query, Answered<Listing> answer) = 0;

    // Answers when the task is over, or at the deadline with the task as it is then.
    virtual void wait_task(Principal who, Uuid task, milliseconds at_most, Answered<ObjectPtr> answer) = 0;
    // The decision about a VM's place; of one that has none, as it would be taken now.
    virtual void explain(Principal who, Locator vm, Answered<Decision> answer) = 0;

    // For who may see all hosts. Changes nothing.
    virtual void capacity(CapacityQuery query, Answered<CapacityAnswer> answer) = 0;

    // For administrators of the whole cloud.
    virtual void unclaimed(UnclaimedQuery query, Answered<UnclaimedAnswer> answer) = 0;

    // Changes after `since` go to the sink. Code::gone when the memory doesn't reach back that far: the caller reads
    // the change log in the store up to `oldest` and tries again. The sink sees only what the principal may see.
    virtual Result<SubscriptionId> subscribe(Principal who, Revision since, std::shared_ptr<ChangeSink> sink) = 0;
    virtual void unsubscribe(SubscriptionId id) = 0;
    virtual Revision oldest_change() const = 0;  // in memory; core thread
    virtual bool may_see(const Principal& who, Kind kind, const Uuid& project) const = 0;

    // Whether this caller may upload the content of this image now: asked before its bytes are read.
    virtual void check_upload(Principal who, Locator image, Answered<Viewed> answer) = 0;
    // The content lies whole and durable where the importer finds it (upload_name). After a refusal the file is the
    // caller's to remove.
    virtual void image_uploaded(Principal who, Locator image, Answered<Mutated> answer) = 0;

    virtual void open_stream(StreamQuery query, StreamHandlers handlers, Answered<StreamId> answer) = 0;
    virtual void stream_write(StreamId stream, std::string bytes) = 0;
    virtual void stream_close(StreamId stream) = 0;

    virtual void overview(Principal who, Answered<Overview> answer) = 0;
    // A person's word that the wall clock is right: cluster time jumps to it.
    virtual void accept_clock(Principal who, Answered<ClockState> answer) = 0;
    virtual void accept_loss(Principal who, Answered<StoreState> answer) = 0;
};

}  // namespace axle
