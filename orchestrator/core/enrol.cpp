#include "orchestrator/core/enrol.hpp"

#include <algorithm>

#include "common/base/digest.hpp"
#include "common/base/units.hpp"
#include "common/model/format.hpp"
#include "orchestrator/core/orchestrator.hpp"

namespace axle {
namespace {

constexpr const char* kNewToken = "axle host token create makes a new one";
constexpr std::size_t kUsesTold = 10;

const JoinToken* token_of(const World& world, const std::string& hash) {
    const JoinToken* found = nullptr;
    for (const auto& [id, object] : world.all(Kind::jointoken)) {
        const auto& token = static_cast<const JoinToken&>(*object);
        if (equal_in_constant_time(token.status.hash, hash)) found = &token;
    }
    return found;
}

std::string mark_of(const JoinToken& token, const Enrolment& request) {
    return token.meta.id.str() + "/" + request.request_hash;
}

Result<> check_token(const JoinToken& token, const Enrolment& request, const Host* known, WallTime now) {
    if (token.status.expires <= now.ms)
        return fail(error(Code::forbidden, "the join token \"{}\" ended at {}", token.meta.name,
                          format_time({token.status.expires}))
                        .with_hint(kNewToken)
                        .with_reason("expired-token"));
    if (token.status.left <= 0)
        return fail(error(Code::forbidden, "the join token \"{}\" has been used: {}", token.meta.name,
                          token.status.used.empty() ? "by nobody known" : "last by " + token.status.used.back().name)
                        .with_hint(kNewToken)
                        .with_reason("used-token"));
    if (token.spec.host && token.spec.host.id != request.host)
        return fail(error(Code::forbidden, "the join token \"{}\" is for host {} ({}), this machine is {}",
                          token.meta.name, token.spec.host.name, token.spec.host.id.str(), request.host.str())
                        .with_reason("other-host"));
    if (!token.spec.host && known != nullptr)
        return fail(error(Code::conflict, "this machine is host {} already, and the token is for new machines",
                          known->meta.name)
                        .with_hint(fmt::format("axle host token create --host {} makes one that renews its certificate",
                                               known->meta.name))
                        .with_reason("known-host"));
    return {};
}

std::string free_name(const World& world, std::string wish) {
    std::ranges::transform(wish, wish.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    if (!is_dotted_name(wish) || Uuid::parse(wish)) wish = "host";
    std::string name = wish;
    for (int i = 2; world.named(Kind::host, {}, name); ++i) name = fmt::format("{}-{}", wish, i);
    return name;
}

}  // namespace

Error unknown_host(const Uuid& host) {
    return error(Code::forbidden,
                 "no host {} is known here: it was removed, or joined after the backup that was restored", host.str())
        .with_hint("axle host token create, then join it again; its guests are not touched")
        .with_reason("unknown-host");
}

Result<Enrolled> take_in(Transaction& tx, const Enrolment& request, const std::string& cluster) {
    const JoinToken* token = token_of(tx.world(), request.secret_hash);
    if (token == nullptr)
        return fail(error(Code::unauthenticated, "the join token is unknown or has been deleted")
                        .with_hint(kNewToken)
                        .with_reason("unknown-token"));
    const Host* known = tx.world().find<Host>(request.host);
    if (known != nullptr && known->is_deleted())
        return fail(error(Code::busy, "host {} was given up as lost and is being forgotten", known->meta.name)
                        .with_hint("try again in a minute"));
    const std::string mark = mark_of(*token, request);
    if (known != nullptr && known->status.joined_by == mark) return Enrolled{known->meta.name, cluster};
    TRY_VOID(check_token(*token, request, known, tx.moment().wall));
    if (known == nullptr) {
        auto host = std::make_unique<Host>();
        host->meta.id = request.host;
        host->meta.name = free_name(tx.world(), request.hostname);
        tx.create(std::move(host));
    }
    tx.update_status<Host>(request.host, [&](Host& h) {
        h.status.enrolled = tx.moment().wall.ms;
        h.status.joined_by = mark;
    });
    const std::string name = tx.world().find<Host>(request.host)->meta.name;
    tx.update_status<JoinToken>(token->meta.id, [&](JoinToken& t) {
        --t.status.left;
        t.status.used.push_back({request.host, name, tx.moment().wall.ms});
        if (t.status.used.size() > kUsesTold) t.status.used.erase(t.status.used.begin());
    });
    return Enrolled{name, cluster};
}

Result<const Host*> holder_of(const World& world, const HostCertificate& shown) {
    const Host* host = world.find<Host>(shown.host);
    if (host == nullptr || host->is_deleted()) return fail(unknown_host(shown.host));
    // Certificates tell whole seconds.
    if (shown.issued_ms < host->status.enrolled / 1000 * 1000)
        return fail(error(Code::forbidden,
                          "host {} has joined again at {}, and this certificate is from {}: only newer ones are taken",
                          host->meta.name, format_time({host->status.enrolled}), format_time({shown.issued_ms}))
                        .with_hint("if this is that host and not a copy of it: axle host token create --host " +
                                   host->meta.name)
                        .with_reason("old-certificate"));
    return host;
}

void Orchestrator::enrol(Enrolment request, Answered<Enrolled> answer) {
    if (const auto& why = pipeline_.store_state().read_only)
        return answer_durably<Enrolled>(
            std::move(answer), fail(error(Code::unavailable, "no host can join: {}", why->why).with_hint(why->hint)));
    Transaction tx = pipeline_.begin();
    auto taken = take_in(tx, request, pipeline_.store_state().cluster.str());
    if (taken) {
        pipeline_.commit(tx);
        // Whoever held the identity until now is no longer taken for the host.
        links_.disconnect(request.host, "the host joins anew");
    }
    answer_durably<Enrolled>(std::move(answer), std::move(taken));
}

void Orchestrator::admit_host(const HostCertificate& shown, Answered<Enrolled> answer) {
    const auto host = holder_of(pipeline_.world(), shown);
    if (!host) return answer_durably<Enrolled>(std::move(answer), fail(host.error()));
    answer_durably<Enrolled>(std::move(answer), Enrolled{(*host)->meta.name, pipeline_.store_state().cluster.str()});
}

void Orchestrator::image_for_host(const HostCertificate& shown, const std::string& digest,
                                  Answered<std::string> answer) {
    const auto host = holder_of(pipeline_.world(), shown);
    if (!host) return answer_durably<std::string>(std::move(answer), fail(host.error()));
    if (!image_is_on(pipeline_.world(), digest, shown.host))
        return answer_durably<std::string>(
            std::move(answer), fail(Code::forbidden, "nothing that is placed on host {} is made from image {}",
                                    (*host)->meta.name, digest.substr(0, 64)));
    answer_durably<std::string>(std::move(answer), image_source_(digest));
}

}  // namespace axle
