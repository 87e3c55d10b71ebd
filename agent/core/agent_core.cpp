#include "agent/core/agent_core.hpp"

namespace axle {

AgentCore::AgentCore(const Seams& seams, AgentIdentity identity)
    : seams_(seams),
      identity_(std::move(identity)),
      ledger_(seams.files),
      reporter_(seams.clock),
      storage_(seams_, ledger_, reporter_,
               {.changed = [this] { vms_.kick_waiting(); },
                .user_of = [this](VolumeId volume) { return vms_.user_of(volume); },
                .use_of = [this](VolumeId volume) { return vms_.use_of(volume); },
                .strays_changed = [this] { unclaimed_.look(); }}),
      network_(seams_, ledger_, reporter_,
               {.changed = [this] { vms_.kick_waiting(); },
                .nics = [this] { return vms_.nic_plans(); },
                .used = [this](NetworkId network) { return vms_.uses_network(network); },
                .is_coming = [this](VmId vm) { return vms_.is_coming(vm); }}),
      vms_(seams_, identity_, {ledger_, reporter_, storage_, network_}),
      tasks_(seams_, ledger_,
             {.epoch_if_on = [this](VmId vm) { return vms_.epoch_if_on(vm); },
              .tell = [this](TaskNews news) { send(std::move(news)); }}),
      facts_(seams_, identity_,
             {.conditions = [this] { return host_conditions(); },
              .listed =
                  [this](const std::vector<DomainObservation>& domains) {
                      vms_.on_listed(domains);
                      unclaimed_.look();
                  },
              .unclaimed = [this](VmId vm) { return unclaimed_.is_unclaimed(vm); },
              .changed =
                  [this] {
                      if (greeted_) {
                          send(Facts{facts_.facts()});
                      } else {
                          hello();
                      }
                  }}),
      watch_(seams_, vms_, network_),
      intake_(seams_, identity_, ledger_, reporter_,
              {.apply = [this](const DocumentRecord& record) { apply(record, true); },
               .confirm =
                   [this](const Confirm& confirm) {
                       if (confirm.kind == DocumentKind::vm) vms_.confirm(VmId{confirm.id}, confirm.epoch);
                   },
               .close =
                   [this](const std::string& why) {
                       if (channel_) channel_->close(why);
                       drop_channel();
                   }}),
      unclaimed_(
          seams_, {ledger_, storage_, vms_},
          {.tell = [this](UnclaimedReport report) { send(std::move(report)); },
           .news = [this](TaskNews news) { send(std::move(news)); },
           .gone = [this](const DocumentKey& key, Epoch epoch) { reporter_.gone(key, epoch); },
           .end = [this](const RemoveOrder& order,
                         std::string content) { intake_.end(order.kind, order.id, order.epoch, std::move(content)); },
           .changed = [this] { facts_.gather(); }}) {}

AgentCore::~AgentCore() = default;

void AgentCore::start(Done ready) {
    ledger_.load(life_.wrap([this, ready = std::move(ready)](Result<> loaded) {
        if (!loaded) return ready(std::move(loaded));
        for (const auto& file : ledger_.unreadable())
            seams_.log(log::Level::error, "state file left as it is, it can't be read: " + file);
        ready({});
        recover();
    }));
}

// The start path is the normal path run once more: look at everything, compare, repair in small steps.
void AgentCore::recover() {
    std::vector<PoolDocument> pools;
    const auto documents = ledger_.documents();
    for (const auto& [key, record] : documents) {
        if (key.first == DocumentKind::pool) apply(record, false);
        if (const PoolDocument* pool = storage_.pool(PoolId{key.second})) pools.push_back(*pool);
    }
    tasks_.recover();
    seams_.hypervisor.on_hint(life_.wrap([this](const DomainHint& hint) {
        vms_.hint(hint);
        if (unclaimed_.is_unclaimed(hint.id)) facts_.gather();
    }));
    seams_.migration.on_handed_over(life_.wrap([this](VmId vm, Epoch epoch) { vms_.told_handed_over(vm, epoch); }));
    seams_.network.on_hint(life_.wrap([this](NetworkHint hint) {
        if (hint == NetworkHint::ours) return network_.look_again();
        facts_.gather();
    }));
    // The answer isn't waited for: a pool that hangs must not keep the guests on the others down.
    seams_.storage.sweep(std::move(pools), life_.wrap([this](Result<> swept) {
        if (!swept) seams_.log(log::Level::warning, "temporary files stay: " + swept.error().message);
    }));
    for (const auto& [key, record] : documents) {
        if (key.first != DocumentKind::pool) apply(record, false);
    }
    started_ = true;
    vms_.begin();
    facts_.gather();
    watch_.start();
    tick_resync();
    tick_heartbeat();
    hello();
}

void AgentCore::apply(const DocumentRecord& record, bool placed_now) {
    if (record.verdict == Verdict::gone) return;
    switch (record.kind) {
        case DocumentKind::pool:
        case DocumentKind::image:
        case DocumentKind::volume:
            storage_.apply(record);
            break;
        case DocumentKind::network:
            network_.apply(record);
            break;
        case DocumentKind::vm:
            vms_.apply(record);
            if (placed_now && record.verdict == Verdict::keep) vms_.confirm(VmId{record.id}, record.epoch);
            break;
    }
    if (!placed_now) return;
    unclaimed_.claimed(record.key());
    vms_.kick_waiting();
}

void AgentCore::resync() {
    storage_.resync();
    network_.resync();
    vms_.resync();
    facts_.gather();
}

void AgentCore::tick_resync() {
    seams_.clock.after(kResync, life_.wrap([this] {
        resync();
        tick_resync();
    }));
}

void AgentCore::tick_heartbeat() {
    seams_.clock.after(kHeartbeat, life_.wrap([this] {
        tick_heartbeat();
        if (!greeted_) return;
        seams_.host.load(
            life_.wrap([this](Result<HostLoad> load) { send(Heartbeat{load ? std::optional(*load) : std::nullopt}); }));
    }));
}

std::vector<Condition> AgentCore::host_conditions() const {
    std::vector<Condition> out = storage_.host_conditions();
    for (Condition& condition : unclaimed_.host_conditions()) out.push_back(std::move(condition));
    if (!ledger_.unreadable().empty()) {
        out.push_back({.type = "StateUnreadable",
                       .reason = "Files",
                       .message = fmt::format("{} state files can't be read and are left as they are; first: {}",
                                              ledger_.unreadable().size(), ledger_.unreadable().front())});
    }
    if (!intake_.refused().empty())
        out.push_back({.type = "OrchestratorRefused", .reason = "Refused", .message = intake_.refused()});
    return out;
}

// ---- the channel

void AgentCore::connected(std::unique_ptr<Channel> channel) {
    if (channel_) {
        channel_->close("a newer connection of this host stands");
        drop_channel();
    }
    channel_ = std::move(channel);
    Channel* mine = channel_.get();
    channel_->on_message(life_.wrap([this, mine](Message message) {
        if (channel_.get() == mine) on_message(message);
    }));
    channel_->on_closed(life_.wrap([this, mine](const std::string& why) {
        if (channel_.get() != mine) return;
        seams_.log(log::Level::warning, "the connection to the orchestrator ended: " + why);
        drop_channel();
    }));
    hello();
}

void AgentCore::drop_channel() {
    if (!channel_) return;
    reporter_.attach(nullptr);
    connection_ = 0;
    greeted_ = false;
    // It may be calling us right now: it goes when that call is over.
    std::shared_ptr<Channel> gone = std::move(channel_);
    seams_.clock.after(milliseconds{0}, [gone] {});
    if (on_stream_) on_stream_(std::nullopt);
}

// Its number is durable before the connection is used: no two connections of this host have the same one.
void AgentCore::hello() {
    if (!channel_ || !started_ || !facts_.known() || greeted_ || connection_ != 0) return;
    connection_ = ledger_.connection() + 1;
    ledger_.put(ConnectionRecord{connection_}, life_.wrap([this, mine = channel_.get()](Result<> put) {
        if (channel_.get() != mine) return;
        if (put) return send_hello();
        channel_->close("the agent's state can't be written: " + put.error().message);
        drop_channel();
    }));
}

void AgentCore::send_hello() {
    Hello hello{.features = facts_.facts().features,
                .cluster = identity_.cluster,
                .host = identity_.host,
                .boot_id = identity_.boot_id,
                .instance = identity_.instance,
                .version = identity_.version,
                .connection = connection_,
                .highest_revision = ledger_.seen().revision,
                .highest_incarnation = ledger_.seen().incarnation,
                .seal = ledger_.seen().seal,
                .run_id = ledger_.seen().run_id,
                .run_seal = ledger_.seen().run_seal,
                .facts = facts_.facts()};
    for (const auto& [key, record] : ledger_.documents()) {
        if (record.verdict == Verdict::gone) continue;
        hello.documents.push_back({record.kind, record.id, record.hash, record.epoch});
    }
    greeted_ = true;
    send(std::move(hello));
    reporter_.attach(channel_.get());
    tasks_.tell_all();
    unclaimed_.connected();
}

void AgentCore::send(Message message) {
    if (channel_ && greeted_) channel_->send(std::move(message));
}

void AgentCore::send_stream(Message message) {
    send(std::move(message));
}

Result<std::string> AgentCore::bridge_to(VmId vm, const std::string& address) const {
    std::string bridge = network_.bridge_to(vm, address);
    if (bridge.empty()) return fail(Code::forbidden, "{} is no address of this guest on this host", address);
    return bridge;
}

void AgentCore::on_message(const Message& message) {
    if (!greeted_) return;  // nothing is due before our hello
    if (const auto* desired = std::get_if<Desired>(&message)) return intake_.take(*desired);
    if (const auto* order = std::get_if<TaskOrder>(&message)) return tasks_.take(*order, connection_);
    if (const auto* unknown = std::get_if<UnknownThings>(&message)) return unclaimed_.take(*unknown);
    if (const auto* order = std::get_if<RemoveOrder>(&message)) return unclaimed_.take(*order, connection_);
    const bool stream = std::holds_alternative<StreamOpen>(message) || std::holds_alternative<StreamData>(message) ||
                        std::holds_alternative<StreamClose>(message);
    if (stream && on_stream_) on_stream_(message);
}

// ---- root on this host

Result<VmId> AgentCore::find_vm(const std::string& name) const {
    const auto id = Uuid::parse(name);
    std::vector<VmKeeper::Kept> found = vms_.kept();
    std::erase_if(found, [&](const VmKeeper::Kept& vm) {
        return id ? Uuid{vm.id} != *id : vm.name != name && !vm.name.ends_with("/" + name);
    });
    if (found.size() == 1) return found.front().id;
    return fail(error(found.empty() ? Code::not_found : Code::conflict, "{} guests on this host are called \"{}\"",
                      found.size(), name)
                    .with_hint(found.empty() ? "axle-agent vm list shows those that are here"
                                             : "name it with its project: PROJECT/NAME"));
}

void AgentCore::set_power(const std::string& name, Power power, bool force, Done done) {
    if (greeted_)
        return done(
            fail(error(Code::conflict, "the orchestrator is connected: it decides what runs here")
                     .with_hint(fmt::format("axle vm {} {}", power == Power::running ? "start" : "stop", name))));
    const auto vm = find_vm(name);
    if (!vm) return done(fail(vm.error()));
    vms_.wish(*vm, power, force, std::move(done));
}

// ---- the host goes down

void AgentCore::host_going_down(milliseconds limit, Done done) {
    ledger_.set_going_down(identity_.boot_id, life_.wrap([this, limit, done = std::move(done)](Result<> put) {
        if (!put) return done(std::move(put));
        for (const VmId vm : vms_.guests_on()) {
            seams_.hypervisor.ask_shutdown(vm, life_.wrap([this, vm](Result<> asked) {
                if (!asked)
                    seams_.log(log::Level::warning, "guest " + vm.str() + " was not asked: " + asked.error().message);
            }));
        }
        wait_for_guests(seams_.clock.boot() + limit, done);
    }));
}

void AgentCore::wait_for_guests(BootTime until, Done done) {
    vms_.kick_all();
    const std::size_t left = vms_.guests_on().size();
    if (left == 0) return done({});
    if (seams_.clock.boot() >= until) {
        return done(fail(Code::timeout, "{} guests did not shut down in time; they end with the host", left));
    }
    seams_.clock.after(seconds{1}, life_.wrap([this, until, done = std::move(done)] { wait_for_guests(until, done); }));
}

void AgentCore::host_stays_up(Done done) {
    if (ledger_.going_down_boot() != identity_.boot_id) return done({});
    ledger_.set_going_down("", life_.wrap([this, done = std::move(done)](Result<> put) {
        vms_.kick_all();
        done(std::move(put));
    }));
}

}  // namespace axle
