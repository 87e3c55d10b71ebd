#include "tests/bench/fleet/hosts.hpp"

#include "common/base/now.hpp"
#include "common/base/units.hpp"
#include "common/link/ws_channel.hpp"
#include "tests/bench/fleet/process.hpp"
#include "tests/support/scripted_answers.hpp"

namespace axle::fleet {
namespace {

constexpr int kDiallers = 4;
constexpr milliseconds kHeartbeat{10'000}, kJoinMax{900'000};
constexpr std::int64_t kPoolFree = 64 * kTiB;

HostId host_id(int number) {
    HostId id;
    id.bytes = {1, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0};
    for (int i = 0; i < 4; ++i)
        id.bytes[static_cast<std::size_t>(15 - i)] = static_cast<std::uint8_t>(number >> (8 * i));
    return id;
}

std::string host_name(int number) {
    return fmt::format("h{:05}", number);
}

}  // namespace

Hosts::Hosts(std::string directory, int vms) : directory_(std::move(directory)), vms_(vms) {
    threads_.emplace_back([this] { core_.run(); });
    threads_.emplace_back([this] { io_.run(); });
    dial_at_once(kDiallers);
}

void Hosts::dial_at_once(int count) {
    for (; dialling_ < count; ++dialling_) threads_.emplace_back([this] { dial_some(); });
}

Hosts::~Hosts() {
    stopping_ = true;
    to_do_.notify_all();
    core_.call([this] {
        for (auto& host : hosts_) host->channel = nullptr;
    });
    workers_.stop();
    core_.stop();
    io_.stop();
    threads_.clear();
}

void Hosts::join(const JoinString& token, int count) {
    std::atomic<int> next{static_cast<int>(hosts_.size())};
    const int until = next + count;
    {
        std::vector<std::jthread> makers;
        for (int i = 0; i < kDiallers; ++i) {
            makers.emplace_back([&] {
                for (int n = next++; n < until; n = next++) make(token, n);
            });
        }
    }
    wait_connected(until);
}

void Hosts::make(const JoinString& token, int number) {
    const std::string pending = fmt::format("{}/pending-{}", directory_, number);
    auto identity = join_cluster(token, host_id(number), host_name(number), std::nullopt, pending);
    if (!identity) give_up(fmt::format("{} can't join: {}", host_name(number), identity.error().message));
    auto host = std::make_unique<Host>();
    host->number = number;
    host->identity = std::move(*identity);
    Host& made = *host;
    {
        const std::lock_guard lock(mutex_);
        hosts_.push_back(std::move(host));
        to_dial_.push_back(&made);
    }
    to_do_.notify_one();
}

void Hosts::wait_connected(int count) {
    const BootTime begin = boot_now();
    while (connected_ < count) {
        if (boot_now() - begin > kJoinMax) give_up(fmt::format("{} of {} hosts connected", connected_.load(), count));
        std::this_thread::sleep_for(milliseconds{20});
    }
}

void Hosts::want_dial(Host& host, milliseconds after) {
    core_.after(after, [this, &host] {
        const std::lock_guard lock(mutex_);
        to_dial_.push_back(&host);
        to_do_.notify_one();
    });
}

void Hosts::dial_some() {
    while (true) {
        Host* host = nullptr;
        {
            std::unique_lock lock(mutex_);
            to_do_.wait(lock, [&] { return stopping_ || !to_dial_.empty(); });
            if (stopping_) return;
            host = to_dial_.front();
            to_dial_.pop_front();
        }
        dial(*host);
    }
}

void Hosts::dial(Host& host) {
    auto options = client_options(host.identity, *http::Endpoint::parse(host.identity.endpoints.front()));
    http::Client client(std::move(options));
    auto socket = client.websocket(kChannelPath, {}, {.protocol = kChannelProtocol, .message_max = kMessageToAgentMax});
    if (!socket) {
        core_.post([this, &host] { want_dial(host, kRedialMax / 2); });
        return;
    }
    auto shared = std::make_shared<http::WebSocketClient>(std::move(*socket));
    core_.post([this, &host, shared] {
        auto state = make_ws_state(io_, workers_, core_);
        open(host, open_ws_channel(state, shared->hand_over(io_, handlers_of(state))));
    });
}

void Hosts::open(Host& host, std::unique_ptr<Channel> channel) {
    host.channel = std::move(channel);
    host.channel->on_message([this, &host](const Message& message) { take(host, message); });
    host.channel->on_closed([this, &host](const std::string&) {
        --connected_;
        core_.post([this, &host] { host.channel = nullptr; });
        drawn_ = drawn_ * 6364136223846793005U + 1442695040888963407U;
        want_dial(host, milliseconds{static_cast<std::int64_t>((drawn_ >> 33) %
                                                               static_cast<std::uint64_t>(kRedialMax.count()))});
    });
    ++host.connections;
    host.channel->send(hello_of(host));
    ++connected_;
    beat(host);
}

Hello Hosts::hello_of(Host& host) const {
    Hello hello{.cluster = host.identity.cluster,
                .boot_id = "boot",
                .instance = "fleet",
                .version = AXLE_VERSION,
                .connection = host.connections,
                .highest_revision = host.seen_revision,
                .highest_incarnation = host.seen_incarnation,
                .seal = host.seal};
    hello.host = host.identity.host;
    for (const auto& [key, held] : host.held) hello.documents.push_back(held);
    hello.facts.hostname = host_name(host.number);
    hello.facts.cpus = std::max(256, vms_);
    hello.facts.memory = std::max(2 * kTiB, vms_ * (256 * kMiB));
    hello.facts.accelerator = Accelerator::kvm;
    hello.facts.guest_machine = "pc-q35-7.2";
    hello.facts.guest_cpu_model = "EPYC";
    hello.facts.underlay =
        fmt::format("10.{}.{}.{}", host.number >> 16 & 255, host.number >> 8 & 255, host.number & 255);
    return hello;
}

// Once for each connection that opens; a timer of one that ended finds another number.
void Hosts::beat(Host& host) {
    core_.after(kHeartbeat, [this, &host, connection = host.connections] {
        if (host.channel == nullptr || host.connections != connection) return;
        host.channel->send(Heartbeat{HostLoad{.cpu = 0.125, .memory_free = 64 * kGiB}});
        beat(host);
    });
}

void Hosts::take(Host& host, const Message& message) {
    if (const auto* desired = std::get_if<Desired>(&message)) return take_desired(host, *desired);
    if (const auto* order = std::get_if<TaskOrder>(&message))
        host.channel->send(TaskNews{.id = order->id, .state = TaskState::succeeded, .percent = 100});
}

void Hosts::take_desired(Host& host, const Desired& desired) {
    host.seen_revision = desired.revision;
    host.seen_incarnation = desired.incarnation;
    host.seal = desired.seal;
    for (const Put& put : desired.puts) {
        host.held[{put.kind, put.id}] = {put.kind, put.id, put.hash, put.epoch};
        host.channel->send(test::answer_to(put, kPoolFree));
    }
    const auto gone = [&](DocumentKind kind, const Uuid& id, const Epoch& epoch) {
        host.held.erase({kind, id});
        host.channel->send(Status{kind, id, epoch, true, ""});
    };
    for (const Release& r : desired.releases) gone(r.kind, r.id, r.epoch);
    for (const Destroy& d : desired.destroys) gone(d.kind, d.id, d.epoch);
}

}  // namespace axle::fleet
