#include "agent/link/orchestrator_link.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <condition_variable>
#include <mutex>
#include <sys/socket.h>
#include <thread>

#include <nlohmann/json.hpp>

#include "common/base/log.hpp"
#include "common/base/now.hpp"
#include "common/base/units.hpp"
#include "common/http/tls.hpp"
#include "common/link/ws_channel.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

constexpr milliseconds kConnectTime{5'000};

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

// The problem that came with a refusal, in the words of the orchestrator.
std::string words_of(const Error& e) {
    const auto brace = e.message.find('{');
    if (brace == std::string::npos) return e.hint.empty() ? e.message : e.message + "; " + e.hint;
    const auto body = parse_json(std::string_view(e.message).substr(brace));
    if (!body || !body->is_object() || !body->contains("detail")) return e.message;
    const std::string hint = body->value("hint", "");
    return "refused by the orchestrator: " + body->value("detail", "") + (hint.empty() ? "" : "; " + hint);
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

    void run();
    std::size_t place_of(const std::string& endpoint) const;
    Result<> dial(const std::string& endpoint);
    void take(std::shared_ptr<http::WebSocketClient> client);
    void over();
    void note_error(const std::string& why);
    Result<bool> intercept(const Message& message);
    void look_at_certificate();
    void ask_for_certificate();
    void take_certificate(const CertificateGrant& grant);
    void take_endpoints(const std::vector<std::string>& told);
    void tell_endpoints();
};

// The dialling thread: one connection at a time, for as long as it lasts.
void OrchestratorLink::Parts::run() {
    milliseconds delay = times.first_retry;
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
        if (!dialled) note_error(words_of(dialled.error()));
        std::unique_lock lock(mutex);
        if (dialled) {
            changed.wait(lock, [&] { return !up || stopping; });
            if (boot_now() - since > times.lasted) delay = times.first_retry;
            turn = place_of(endpoint) - 1;  // the same one again
        }
        const bool next = !dialled && !round_is_over;
        // Ten thousand that lost the same orchestrator don't come back in the same instant.
        const auto ms = static_cast<std::uint64_t>((next ? times.next_endpoint : delay).count());
        const milliseconds wait{ms / 2 + seams.random.below(ms + 1)};
        changed.wait_for(lock, wait, [&] { return stopping; });
        if (stopping) return;
        if (!next) delay = std::min(delay * 2, times.retry_max);
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
        ask_for_certificate();
        return true;
    }
    if (const auto* grant = std::get_if<CertificateGrant>(&message)) {
        take_certificate(*grant);
        return true;
    }
    if (const auto* told = std::get_if<Endpoints>(&message)) {
        take_endpoints(told->endpoints);
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
        // Dropped when there is too much to do: the next look comes.
        (void)self->seams.workers.submit([self] { self->ask_for_certificate(); });
        self->look_at_certificate();
    });
}

// On a worker. Does nothing while the certificate is in its first half.
void OrchestratorLink::Parts::ask_for_certificate() {
    HostIdentity now;
    {
        const std::lock_guard lock(mutex);
        if (!up) return;
        now = identity;
    }
    if (!is_past_half(now.certificate, wall_now())) return;
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

void OrchestratorLink::Parts::take_certificate(const CertificateGrant& grant) {
    if (!grant.error.empty()) return note_error("the certificate was not renewed: " + grant.error);
    HostIdentity renewed;
    {
        const std::lock_guard lock(mutex);
        if (pending_key.empty()) return;
        renewed = identity;
        renewed.key = std::exchange(pending_key, {});
    }
    renewed.certificate = grant.certificate;
    const auto fits = http::check_key_pair({renewed.certificate, renewed.key});
    if (!fits) return note_error("the renewed certificate can't be used: " + fits.error().message);
    if (const auto written = write_host_identity(identity_path, renewed); !written)
        return note_error("the renewed certificate can't be kept: " + written.error().message);
    {
        const std::lock_guard lock(mutex);
        identity = std::move(renewed);
    }
    log::info("the certificate of this host was renewed");
}

// What was known gives way to what is told now.
void OrchestratorLink::Parts::take_endpoints(const std::vector<std::string>& told) {
    HostIdentity moved;
    {
        const std::lock_guard lock(mutex);
        moved = identity;
        moved.endpoints = order_endpoints(identity, state.endpoint, told);
        if (moved.endpoints == identity.endpoints) return;
    }
    if (const auto written = write_host_identity(identity_path, moved); !written)
        return note_error("where the orchestrator is can't be kept: " + written.error().message);
    {
        const std::lock_guard lock(mutex);
        identity.endpoints = std::move(moved.endpoints);
    }
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
    const std::lock_guard lock(parts_->mutex);
    LinkState state = parts_->state;
    if (const auto info = http::read_certificate(parts_->identity.certificate))
        state.certificate_ends = format_time(info->not_after);
    return state;
}

HostIdentity OrchestratorLink::identity() const {
    const std::lock_guard lock(parts_->mutex);
    return parts_->identity;
}

}  // namespace axle
