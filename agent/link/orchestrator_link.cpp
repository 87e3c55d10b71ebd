#include "agent/link/orchestrator_link.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <condition_variable>
#include <mutex>
#include <sys/socket.h>
#include <thread>

#include "agent/link/back_off.hpp"
#include "common/base/log.hpp"
#include "common/base/now.hpp"
#include "common/base/units.hpp"
#include "common/http/tls.hpp"
#include "common/link/succession.hpp"
#include "common/link/ws_channel.hpp"

namespace axle {
namespace {

constexpr milliseconds kConnectTime{5'000}, kAnswerTime{10'000};

std::string local_address_of(int fd) {
    sockaddr_storage at{};
    socklen_t size = sizeof at;
    char text[INET6_ADDRSTRLEN] = "";
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0) return {};
    if (at.ss_family == AF_INET)
        ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(at).sin_addr, text, sizeof text);
    else if (at.ss_family == AF_INET6)
        ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(at).sin6_addr, text, sizeof text);
    const std::string_view found = text;
    return std::string(found.starts_with("::ffff:") ? found.substr(7) : found);
}

std::string words_of(const Error& e) {
    const std::string words = e.hint.empty() ? e.message : e.message + "; " + e.hint;
    return e.reason.starts_with("http-") ? "refused by the orchestrator: " + words : words;
}

// Why it can't be dialled. Where all that is trusted has ended, that is the reason, whatever TLS makes of it.
std::string why_not(const Error& e, const HostIdentity& identity) {
    const auto end = end_of_trust(identity.authority);
    const WallTime now = wall_now();
    if (e.code != Code::unauthenticated || !end || now < *end) return words_of(e);
    return fmt::format(
        "the cloud's authority, as this host knows it, ended at {}, and the clock here says {}. If the clock is right: "
        "axle host token create --host NAME, then `axle-agent join STRING` here; guests are not touched",
        format_time(*end), format_time(now));
}

}  // namespace

struct OrchestratorLink::Parts : std::enable_shared_from_this<OrchestratorLink::Parts> {
    Parts(Seams s, HostIdentity i, std::string path, LinkTimes t)
        : seams(std::move(s)), identity_path(std::move(path)), times(t), identity(std::move(i)) {}

    const Seams seams;
    const std::string identity_path;
    const LinkTimes times;

    mutable std::mutex mutex;  // guards what follows
    std::condition_variable changed;
    HostIdentity identity;
    LinkState state;
    bool stopping = false, up = false;
    BootTime since;
    std::string pending_key;  // of a request for a new certificate that is under way
    std::weak_ptr<WsChannelState> channel;
    std::jthread thread;
    // Of what is written down: one change at a time. Taken before `mutex`, held while it is written.
    std::mutex keeping;

    void run();
    HostIdentity identity_now() const {
        const std::lock_guard lock(mutex);
        return identity;
    }
    LinkState state_now() const {
        const std::lock_guard lock(mutex);
        return state;
    }
    Result<> keep(const std::function<void(HostIdentity&)>& change);
    std::size_t place_of(const std::string& endpoint) const;
    Result<> dial(const std::string& endpoint);
    void take(std::shared_ptr<http::WebSocketClient> client);
    void over();
    void note_error(const std::string& why);
    Result<bool> intercept(const Message& message);
    void look_at_certificate();
    void look_soon();
    void look_after_identity();
    void ask_for_certificate(const HostIdentity& now);
    void ask_for_authority(const HostIdentity& now);
    void take_certificate(const CertificateGrant& grant);
    void take_endpoints(const std::vector<std::string>& told);
    void tell_endpoints();
};

// The dialling thread: one connection at a time, for as long as it lasts.
void OrchestratorLink::Parts::run() {
    BackOff back_off(times.first_retry, times.retry_max);
    for (std::size_t turn = 0;; ++turn) {
        std::string endpoint;
        bool round_is_over = false;  // all of them were tried
        {
            const std::lock_guard lock(mutex);
            if (stopping || identity.endpoints.empty()) return;
            turn %= identity.endpoints.size();
            endpoint = identity.endpoints[turn];
            round_is_over = turn + 1 == identity.endpoints.size();
        }
        auto dialled = dial(endpoint);
        if (!dialled) note_error(why_not(dialled.error(), identity_now()));
        std::unique_lock lock(mutex);
        if (dialled) {
            changed.wait(lock, [&] { return !up || stopping; });
            if (boot_now() - since > times.lasted) back_off.reset();
            turn = place_of(endpoint) - 1;  // the same one again
        }
        const bool next = !dialled && !round_is_over;
        const milliseconds wait = next ? jittered(times.next_endpoint, seams.random) : back_off.next(seams.random);
        changed.wait_for(lock, wait, [&] { return stopping; });
        if (stopping) return;
    }
}

// Among those of now; they may have changed since it was dialled. The mutex is held.
std::size_t OrchestratorLink::Parts::place_of(const std::string& endpoint) const {
    const auto found = std::ranges::find(identity.endpoints, endpoint);
    return found == identity.endpoints.end() ? 0 : static_cast<std::size_t>(found - identity.endpoints.begin());
}

Result<> OrchestratorLink::Parts::dial(const std::string& endpoint_text) {
    TRY(endpoint, http::Endpoint::parse(endpoint_text));
    http::ClientOptions options;
    {
        const std::lock_guard lock(mutex);
        options = client_options(identity, endpoint);
        state.endpoint = endpoint_text;
    }
    options.connect_time = kConnectTime;
    http::Client client(std::move(options));
    TRY(socket, client.websocket(kChannelPath, {},
                                 {.protocol = kChannelProtocol,
                                  .message_max = kMessageToAgentMax,
                                  .queue_max = std::size_t{16} << 20,
                                  .ping_every = times.ping}));
    const std::string address = local_address_of(socket.fd());
    {
        const std::lock_guard lock(mutex);
        if (stopping) return fail(Code::unavailable, "the agent stops");
        up = true;
        since = boot_now();
        state.connected = true;
        state.local_address = address;
    }
    if (seams.local_address) seams.local_address(address);
    auto shared = std::make_shared<http::WebSocketClient>(std::move(socket));
    seams.core.post([self = shared_from_this(), shared] { self->take(shared); });
    return {};
}

// On the core thread: nothing that comes in can be posted to it before the channel is listened to.
void OrchestratorLink::Parts::take(std::shared_ptr<http::WebSocketClient> client) {
    const std::weak_ptr<Parts> weak = weak_from_this();
    auto made = make_ws_state(seams.io, seams.workers, seams.core,
                              {.intercept = [weak](const Message& message) -> Result<bool> {
                                   const auto self = weak.lock();
                                   return self ? self->intercept(message) : Result<bool>(false);
                               },
                               .ended =
                                   [weak](const std::string& why) {
                                       const auto self = weak.lock();
                                       if (!self) return;
                                       const std::lock_guard lock(self->mutex);
                                       self->state.last_error = why;  // the core tells it in the log
                                   }});
    {
        const std::lock_guard lock(mutex);
        channel = made;
    }
    auto handlers = handlers_of(made);
    handlers.on_closed = [weak, told = std::move(handlers.on_closed)](int code, const std::string& reason) {
        told(code, reason);
        if (const auto self = weak.lock()) self->over();
    };
    auto opened = open_ws_channel(made, client->hand_over(seams.io, std::move(handlers)));
    seams.connected(std::move(opened));
}

void OrchestratorLink::Parts::over() {
    const std::lock_guard lock(mutex);
    up = false;
    state.connected = false;
    changed.notify_all();
}

void OrchestratorLink::Parts::note_error(const std::string& why) {
    bool news = false;
    std::string endpoint;
    {
        const std::lock_guard lock(mutex);
        news = state.last_error != why;
        state.last_error = why;
        endpoint = state.endpoint;
    }
    if (news) log::warning(fmt::format("no connection to the orchestrator at {}: {}", endpoint, why));
}

// ---- what the link itself is told

Result<bool> OrchestratorLink::Parts::intercept(const Message& message) {
    if (const auto* welcome = std::get_if<Welcome>(&message)) {
        {
            const std::lock_guard lock(mutex);
            state.orchestrator = welcome->version;
            state.host = welcome->host;
            state.last_error.clear();
        }
        log::info(fmt::format("connected to orchestrator {} as host {}", welcome->version, welcome->host));
        look_soon();
        return true;
    }
    if (const auto* grant = std::get_if<CertificateGrant>(&message)) {
        take_certificate(*grant);
        return true;
    }
    if (const auto* told = std::get_if<Endpoints>(&message)) {
        // It writes a file. Dropped when there is too much to do: they are told at each hello.
        (void)seams.workers.submit(
            [self = shared_from_this(), endpoints = told->endpoints] { self->take_endpoints(endpoints); });
        return true;
    }
    return false;
}

void OrchestratorLink::Parts::look_at_certificate() {
    const std::weak_ptr<Parts> weak = weak_from_this();
    seams.io.after(times.look_at_certificate, [weak] {
        const auto self = weak.lock();
        if (!self) return;
        {
            const std::lock_guard lock(self->mutex);
            if (self->stopping) return;
        }
        self->look_soon();
        self->look_at_certificate();
    });
}

// Not where it is called: messages must not wait for what is asked on another connection.
void OrchestratorLink::Parts::look_soon() {
    // Dropped when there is too much to do: the next look comes.
    (void)seams.workers.submit([self = shared_from_this()] { self->look_after_identity(); });
}

// On a worker.
void OrchestratorLink::Parts::look_after_identity() {
    {
        const std::lock_guard lock(mutex);
        if (!up) return;
    }
    const HostIdentity now = identity_now();
    if (wants_successor(now.authority, wall_now())) ask_for_authority(now);
    if (is_past_half(now.certificate, wall_now())) ask_for_certificate(now);
}

void OrchestratorLink::Parts::ask_for_certificate(const HostIdentity& now) {
    auto request = http::make_signing_request(now.host.str());
    if (!request) return note_error(request.error().message);
    std::shared_ptr<WsChannelState> to;
    {
        const std::lock_guard lock(mutex);
        pending_key = request->key;
        to = channel.lock();
    }
    if (to) send_on(*to, CertificateRequest{request->request});
}

// On a connection of its own: whoever is trusted now vouches for whom to trust then.
void OrchestratorLink::Parts::ask_for_authority(const HostIdentity& now) {
    const auto endpoint = http::Endpoint::parse(state_now().endpoint);
    if (!endpoint) return;
    http::ClientOptions options = client_options(now, *endpoint);
    options.connect_time = kConnectTime;
    options.timeout = kAnswerTime;
    http::Client client(std::move(options));
    const auto later = ask_for_successor(client, now.authority);
    if (!later) return log::debug("no successor of the cloud's authority is known yet: " + later.error().message);
    if (!*later) return;
    const auto kept = keep([&](HostIdentity& knowing) { knowing.authority = **later; });
    if (!kept) return note_error("the cloud's new authority can't be kept: " + kept.error().message);
    log::info(fmt::format("this host knows the cloud's next authority: what it trusts lasts until {}",
                          format_time(end_of_trust(**later).value_or(WallTime{}))));
}

// Written down, then true.
Result<> OrchestratorLink::Parts::keep(const std::function<void(HostIdentity&)>& change) {
    const std::lock_guard one_at_a_time(keeping);
    HostIdentity next = identity_now();
    change(next);
    TRY_VOID(write_host_identity(identity_path, next));
    const std::lock_guard lock(mutex);
    identity = std::move(next);
    return {};
}

void OrchestratorLink::Parts::take_certificate(const CertificateGrant& grant) {
    if (!grant.error.empty()) return note_error("the certificate was not renewed: " + grant.error);
    std::string key;
    {
        const std::lock_guard lock(mutex);
        if (pending_key.empty()) return;
        key = std::exchange(pending_key, {});
    }
    const auto fits = http::check_key_pair({grant.certificate, key});
    if (!fits) return note_error("the renewed certificate can't be used: " + fits.error().message);
    if (!may_replace(grant.certificate, identity_now().certificate, wall_now()))
        return note_error(
            "the renewed certificate is of another time than this: compare the clocks of this host and of "
            "the orchestrator; the one that is there stays in use");
    const auto kept = keep([&](HostIdentity& renewed) {
        renewed.certificate = grant.certificate;
        renewed.key = key;
    });
    if (!kept) return note_error("the renewed certificate can't be kept: " + kept.error().message);
    log::info("the certificate of this host was renewed");
}

// What was known gives way to what is told now.
void OrchestratorLink::Parts::take_endpoints(const std::vector<std::string>& told) {
    const auto ordered = [&](const HostIdentity& now) { return order_endpoints(now, state_now().endpoint, told); };
    const HostIdentity now = identity_now();
    if (ordered(now) == now.endpoints) return;
    const auto kept = keep([&](HostIdentity& moved) { moved.endpoints = ordered(moved); });
    if (!kept) return note_error("where the orchestrator is can't be kept: " + kept.error().message);
    tell_endpoints();
}

void OrchestratorLink::Parts::tell_endpoints() {
    std::vector<std::string> now;
    {
        const std::lock_guard lock(mutex);
        now = identity.endpoints;
    }
    if (seams.endpoints) seams.endpoints(now);
}

// ----

OrchestratorLink::OrchestratorLink(Seams seams, HostIdentity identity, std::string identity_path, LinkTimes times)
    : parts_(std::make_shared<Parts>(std::move(seams), std::move(identity), std::move(identity_path), times)) {}

OrchestratorLink::~OrchestratorLink() {
    stop();
}

void OrchestratorLink::start() {
    parts_->tell_endpoints();
    parts_->thread = std::jthread([parts = parts_] { parts->run(); });
    parts_->seams.io.post([weak = std::weak_ptr(parts_)] {
        if (const auto parts = weak.lock()) parts->look_at_certificate();
    });
}

void OrchestratorLink::stop() {
    {
        const std::lock_guard lock(parts_->mutex);
        parts_->stopping = true;
        parts_->changed.notify_all();
    }
    if (parts_->thread.joinable()) parts_->thread.join();
}

void OrchestratorLink::wait_closed(milliseconds limit) {
    std::unique_lock lock(parts_->mutex);
    parts_->changed.wait_for(lock, limit, [this] { return !parts_->up; });
}

LinkState OrchestratorLink::state() const {
    LinkState state = parts_->state_now();
    if (const auto info = http::read_certificate(parts_->identity_now().certificate))
        state.certificate_ends = format_time(info->not_after);
    return state;
}

HostIdentity OrchestratorLink::identity() const {
    return parts_->identity_now();
}

}  // namespace axle
