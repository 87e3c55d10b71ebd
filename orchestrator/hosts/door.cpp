#include "orchestrator/hosts/door.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "common/base/digest.hpp"
#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/base/now.hpp"
#include "common/base/seldom.hpp"
#include "common/link/host_uri.hpp"
#include "common/link/join_string.hpp"
#include "common/link/refusal.hpp"
#include "common/link/ws_channel.hpp"
#include "common/model/codec.hpp"
#include "orchestrator/hosts/image_server.hpp"
#include "orchestrator/hosts/installer.hpp"

namespace axle {
namespace {

constexpr std::int64_t kSlackMs = 3'600'000;  // certificates are valid from an hour before they are made
constexpr std::int64_t kPackageMax = 256 << 20;
constexpr const char* kTls13 = "agents speak TLS 1.3";
constexpr int kRefusalsToldAMinute = 30;  // anybody can be refused as often as they like

using SharedReply = std::shared_ptr<http::Reply>;

struct Applicant {
    Enrolment enrolment;
    std::string request;
};

Result<Applicant> read_applicant(const std::string& body) {
    TRY(parsed, parse_json(body));
    const auto text = [&](const char* name) {
        const auto found = parsed.is_object() ? parsed.find(name) : parsed.end();
        return found != parsed.end() && found->is_string() ? found->get<std::string>() : std::string{};
    };
    const auto host = Uuid::parse(text("host"));
    const std::string secret = text("secret"), hostname = text("hostname"), request = text("request");
    if (!host || !*host || secret.empty() || hostname.empty() || hostname.size() > 253)
        return fail(Code::malformed, "a machine joins with secret, host (its id), hostname and request");
    TRY_VOID(http::check_request(request));
    return Applicant{
        {.secret_hash = sha256_hex(secret), .request_hash = sha256_hex(request), .host = *host, .hostname = hostname},
        request};
}

}  // namespace

Result<HostCertificate> certificate_of(const http::Peer& peer) {
    if (peer.kind != http::Peer::Kind::tls) return fail(Code::forbidden, "agents connect by TLS");
    if (!peer.certificate_problem.empty())
        return fail(
            error(Code::unauthenticated, "the certificate of this host is not taken: {}", peer.certificate_problem)
                .with_hint("if the clocks are right: axle host token create --host NAME, then `axle-agent join "
                           "STRING` on the host; its guests are not touched")
                .with_reason("bad-certificate"));
    const auto host = host_in(peer.certificate_uris);
    if (!host)
        return fail(error(Code::unauthenticated, "this path is for agents, which show a certificate")
                        .with_hint("axle host token create makes a machine a host")
                        .with_reason("no-certificate"));
    if (!peer.tls13) return fail(Code::forbidden, "{}", kTls13);
    return HostCertificate{*host, peer.certificate_from_ms + kSlackMs};
}

struct AgentDoor::Parts : std::enable_shared_from_this<AgentDoor::Parts> {
    Parts(Seams s, DoorOptions o) : seams(std::move(s)), options(std::move(o)) {}
    const Seams seams;
    const DoorOptions options;
    ImageServer images;
    mutable Seldom refusals{kRefusalsToldAMinute};

    void tell_refusal(std::string text) const {
        if (const auto line = refusals.line(std::move(text), boot_now())) log::warning(*line);
    }
    void enrol(const http::Request& request, http::Reply reply);
    void grant(const Applicant& applicant, const Result<Enrolled>& enrolled, http::Reply& reply);
    void channel(const http::Request& request, http::Reply reply);
    void open_channel(const HostCertificate& shown, const std::string& address, http::Reply& reply);
    void tell_endpoints(const std::shared_ptr<WsChannelState>& to) const;
    void image(const http::Request& request, http::Reply reply);
    void install(const http::Request& request, http::Reply reply) const;
    // Never lost: in place when the workers are full.
    void on_worker(std::function<void()> job) const {
        if (!seams.workers.submit(job)) job();
    }
};

AgentDoor::AgentDoor(Seams seams, DoorOptions options)
    : parts_(std::make_shared<Parts>(std::move(seams), std::move(options))) {}
AgentDoor::~AgentDoor() {
    stop();
}
void AgentDoor::stop() {
    parts_->images.stop();
}

bool AgentDoor::is_ours(std::string_view path) {
    return path.starts_with("/agent/") || path.starts_with(kInstallPath);
}

void AgentDoor::handle(http::Request request, http::Reply reply) {
    const std::string& path = request.path;
    if (path == kEnrolPath && request.method == "POST") return parts_->enrol(request, std::move(reply));
    if (path == kChannelPath && request.method == "GET") return parts_->channel(request, std::move(reply));
    if (path.starts_with(kImagesPath) && request.method == "GET") return parts_->image(request, std::move(reply));
    if (path.starts_with(kInstallPath) && request.method == "GET") return parts_->install(request, std::move(reply));
    reply.send(refusal(error(Code::not_found, "there is no {} {} for machines", request.method, path)));
}

JoinInfo AgentDoor::join_info() const {
    const Installer installer = make_installer(parts_->options.packages, parts_->options.endpoints);
    return {.endpoints = parts_->options.endpoints,
            .authority = parts_->seams.authority.fingerprint(wall_now()),
            .cluster = parts_->seams.cluster,
            .script_hash = installer.script_hash,
            .why_not = installer.why_not};
}

// ---- joining

void AgentDoor::Parts::enrol(const http::Request& request, http::Reply reply) {
    auto applicant = request.peer->kind != http::Peer::Kind::tls || request.peer->tls13
                         ? read_applicant(request.body)
                         : fail(Code::forbidden, "{}", kTls13);
    if (!applicant) {
        tell_refusal(fmt::format("a machine at {} may not join: {}", request.peer->ip, applicant.error().message));
        return reply.send(refusal(applicant.error()));
    }
    auto shared = std::make_shared<http::Reply>(std::move(reply));
    seams.core.post([self = shared_from_this(), shared, applicant = std::move(*applicant)] {
        self->seams.orchestrator.enrol(applicant.enrolment, [self, shared, applicant](Result<Enrolled> enrolled) {
            self->on_worker([self, shared, applicant, enrolled = std::move(enrolled)] {
                self->grant(applicant, enrolled, *shared);
            });
        });
    });
}

// After the commit: a certificate that was made before it would be one from before the host's joining.
void AgentDoor::Parts::grant(const Applicant& applicant, const Result<Enrolled>& enrolled, http::Reply& reply) {
    if (!enrolled) {
        tell_refusal(fmt::format("{} ({}) may not join: {}", applicant.enrolment.hostname,
                                 applicant.enrolment.host.str(), enrolled.error().message));
        return reply.send(refusal(enrolled.error()));
    }
    const auto certificate = seams.authority.sign_host(applicant.request, HostId{applicant.enrolment.host}, wall_now());
    if (!certificate) return reply.send(refusal(certificate.error()));
    log::info(fmt::format("host {} joined", enrolled->host_name), {{"HOST", enrolled->host_name}});
    const nlohmann::json out = {{"certificate", *certificate},
                                {"authority", seams.authority.trusted(wall_now())},
                                {"cluster", enrolled->cluster},
                                {"name", enrolled->host_name}};
    reply.send({.status = 200, .headers = {{"Content-Type", "application/json"}}, .body = out.dump()});
}

// ---- the channel

void AgentDoor::Parts::channel(const http::Request& request, http::Reply reply) {
    auto shown = certificate_of(*request.peer);
    if (!shown) {
        tell_refusal(fmt::format("a connection from {} is refused: {}", request.peer->address, shown.error().message));
        return reply.send(refusal(shown.error()));
    }
    auto shared = std::make_shared<http::Reply>(std::move(reply));
    seams.core.post([self = shared_from_this(), shared, shown = *shown, ip = request.peer->ip] {
        self->seams.orchestrator.admit_host(shown, [self, shared, shown, ip](const Result<Enrolled>& admitted) {
            if (admitted) return self->open_channel(shown, ip, *shared);
            self->tell_refusal(fmt::format("a connection from {} is refused: {}", ip, admitted.error().message));
            shared->send(refusal(admitted.error()));
        });
    });
}

// Core thread: nothing that comes in can be posted to it before the links listen.
void AgentDoor::Parts::open_channel(const HostCertificate& shown, const std::string& address, http::Reply& reply) {
    auto holder = std::make_shared<std::weak_ptr<WsChannelState>>();
    const auto intercept = [self = shared_from_this(), host = HostId{shown.host}, holder](const Message& message) {
        if (std::holds_alternative<Hello>(message)) self->tell_endpoints(holder->lock());
        const auto* request = std::get_if<CertificateRequest>(&message);
        if (request == nullptr) return Result<bool>(false);
        auto signed_one = self->seams.authority.sign_host(request->request, host, wall_now());
        if (!signed_one)
            self->tell_refusal(
                fmt::format("host {} gets no new certificate: {}", host.str(), signed_one.error().message));
        if (const auto state = holder->lock())
            send_on(*state,
                    signed_one ? CertificateGrant{*signed_one, ""} : CertificateGrant{"", signed_one.error().message});
        return Result<bool>(true);
    };
    auto state = make_ws_state(seams.io, seams.workers, seams.core,
                               {.intercept = intercept, .first_message = options.hello_time});
    *holder = state;
    auto socket = reply.websocket(handlers_of(state), {.protocol = kChannelProtocol,
                                                       .message_max = kMessageToOrchestratorMax,
                                                       .queue_max = std::size_t{32} << 20,
                                                       .ping_every = options.ping});
    if (!socket) return;
    seams.orchestrator.attach(open_ws_channel(state, std::move(*socket)), {},
                              {.host = shown.host, .address = address, .local = false});
}

// Hosts that know only a place that this orchestrator will leave one day would not find it again.
void AgentDoor::Parts::tell_endpoints(const std::shared_ptr<WsChannelState>& to) const {
    if (to && !options.endpoints.empty()) send_on(*to, Endpoints{options.endpoints});
}

// ---- images and the installer

void AgentDoor::Parts::image(const http::Request& request, http::Reply reply) {
    auto shared = std::make_shared<http::Reply>(std::move(reply));
    const auto refuse = [self = shared_from_this(), shared, ip = request.peer->ip](const Error& why) {
        self->tell_refusal(fmt::format("no image is given to {}: {}", ip, why.message));
        shared->send(refusal(why));
    };
    auto shown = certificate_of(*request.peer);
    if (!shown) return refuse(shown.error());
    const std::string digest = request.path.substr(std::string_view(kImagesPath).size());
    const auto from = range_start(request.headers.value("Range"));
    if (!from) return refuse(from.error());
    seams.core.post([self = shared_from_this(), shared, refuse, shown = *shown, digest, from = *from] {
        self->seams.orchestrator.image_for_host(shown, digest,
                                                [self, shared, refuse, shown, from](const Result<std::string>& file) {
                                                    if (!file) return refuse(file.error());
                                                    self->images.send(shown.host.str(), *file, from, shared);
                                                });
    });
}

void AgentDoor::Parts::install(const http::Request& request, http::Reply reply) const {
    const std::string name = request.path.substr(std::string_view(kInstallPath).size());
    const Installer installer = make_installer(options.packages, options.endpoints);
    if (installer.script.empty()) return reply.send(refusal(error(Code::not_found, "{}", installer.why_not)));
    if (name == kInstallScript)
        return reply.send(
            {.status = 200, .headers = {{"Content-Type", "text/x-shellscript"}}, .body = installer.script});
    const bool known = std::ranges::find(installer.packages, name) != installer.packages.end();
    auto content = known ? read_file(options.packages + "/" + name, kPackageMax)
                         : fail(Code::not_found, "no {} is given to new hosts", name);
    if (!content) return reply.send(refusal(content.error()));
    reply.send({.status = 200,
                .headers = {{"Content-Type", "application/vnd.debian.binary-package"}},
                .body = std::move(*content)});
}

}  // namespace axle
