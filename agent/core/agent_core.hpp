// The brain of the agent (DESIGN 8): keeps this host's pools, images, volumes, networks and guests as the durable
// documents say, with an orchestrator or without one. Events in, effects out; one thread; all of the world through
// Seams. Destroying it at any instant is a crash: what it had not made durable is not believed, and a new one over the
// same StateFiles goes on.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/core/facts_keeper.hpp"
#include "agent/core/guest_watch.hpp"
#include "agent/core/intake.hpp"
#include "agent/core/ledger.hpp"
#include "agent/core/network_keeper.hpp"
#include "agent/core/reporter.hpp"
#include "agent/core/seams.hpp"
#include "agent/core/storage_keeper.hpp"
#include "agent/core/task_keeper.hpp"
#include "agent/core/unclaimed_keeper.hpp"
#include "agent/core/vm_keeper.hpp"

namespace axle {

class AgentCore {
  public:
    AgentCore(const Seams& seams, AgentIdentity identity);
    ~AgentCore();
    AgentCore(const AgentCore&) = delete;
    AgentCore& operator=(const AgentCore&) = delete;

    // Loads the durable state, sweeps, looks, converges. ready: the state was read (an error: it can't be, and nothing
    // is done); the work goes on from there by itself.
    void start(Done ready);

    // A connection to an orchestrator stands. An earlier one is closed. Its loss changes nothing for guests.
    void connected(std::unique_ptr<Channel> channel);
    bool is_connected() const { return channel_ != nullptr; }
    // Told the messages of byte streams, and with nullopt that the connection is gone. send_stream drops what comes
    // without a connection.
    void on_stream(std::function<void(std::optional<Message>)> told) { on_stream_ = std::move(told); }
    void send_stream(Message message);
    // The bridge behind which this guest has this address. Code::forbidden: none, it is not an address of this guest.
    Result<std::string> bridge_to(VmId vm, const std::string& address) const;

    // The host shuts down: from now on no guest is started in this boot, ends of guests are not their own wish, and all
    // are asked to shut down together. Durable before the first is asked. Answers when none is on or after the limit.
    void host_going_down(milliseconds limit, Done done);
    // The shutdown was called off, or the unit that calls the above was started: guests are kept again.
    void host_stays_up(Done done);

    // For the local command line and for tests: the report of a document as JSON, or null.
    const std::string* report(const DocumentKey& key) const { return reporter_.content(key); }
    const Ledger& ledger() const { return ledger_; }
    const VmKeeper& vms() const { return vms_; }
    const HostFacts& facts() const { return facts_.facts(); }
    void set_underlay(std::string address) { facts_.set_underlay(std::move(address)); }
    void set_orchestrator(std::vector<std::string> endpoints) { facts_.set_orchestrator(std::move(endpoints)); }
    void resync();

    // For root on this host (DESIGN 8): `name` is a guest's id, its name, or project/name. With an orchestrator
    // connected nothing is changed here: it is asked for there.
    void set_power(const std::string& name, Power power, bool force, Done done);
    Result<VmId> find_vm(const std::string& name) const;
    std::string console_of(VmId vm) const { return console_socket_path(identity_, vm); }

    static constexpr milliseconds kResync{60'000};
    static constexpr milliseconds kHeartbeat{10'000};

  private:
    void recover();
    void apply(const DocumentRecord& record, bool placed_now);
    void tick_resync();
    void tick_heartbeat();
    std::vector<Condition> host_conditions() const;

    void hello();
    void send_hello();
    void on_message(const Message& message);
    void drop_channel();
    void send(Message message);

    void wait_for_guests(BootTime until, Done done);

    Seams seams_;
    AgentIdentity identity_;
    Ledger ledger_;
    Reporter reporter_;
    StorageKeeper storage_;
    NetworkKeeper network_;
    VmKeeper vms_;
    TaskKeeper tasks_;
    FactsKeeper facts_;
    GuestWatch watch_;
    Intake intake_;
    UnclaimedKeeper unclaimed_;
    std::unique_ptr<Channel> channel_;
    std::uint64_t connection_ = 0;  // number of channel_; 0: not yet durable
    bool started_ = false, greeted_ = false;
    std::function<void(std::optional<Message>)> on_stream_;
    Life life_;
};

}  // namespace axle
