#include "orchestrator/hosts/authority.hpp"

#include <algorithm>
#include <arpa/inet.h>

#include "common/base/addresses.hpp"
#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/base/units.hpp"
#include "common/link/join_string.hpp"
#include "common/link/succession.hpp"

namespace axle {
namespace {

constexpr std::int64_t kRenewBefore = INT64_C(60) * 24 * 3'600'000;

bool is_address(const std::string& text) {
    in6_addr parsed{};
    return inet_pton(AF_INET, text.c_str(), &parsed) == 1 || inet_pton(AF_INET6, text.c_str(), &parsed) == 1;
}

Result<> make_where_there_is_none(const AuthorityFolders& folders, WallTime now) {
    const std::string certificate = folders.identity + "/ca.pem", key = folders.identity + "/ca.key";
    if (file_exists(certificate)) return {};
    const std::string old_certificate = folders.tls + "/ca.pem", old_key = folders.tls + "/ca.key";
    if (file_exists(old_certificate)) {
        TRY(old, http::read_key_pair(old_certificate, old_key));
        TRY_VOID(http::write_key_pair(old, certificate, key));
        TRY_VOID(remove_file_durably(old_key));
        return remove_file_durably(old_certificate);
    }
    if (file_exists(folders.tls + "/server.pem"))
        return fail(
            error(Code::corrupt, "the cluster's authority {} is missing, and it signed {}/server.pem", certificate,
                  folders.tls)
                .with_hint("put ca.pem and ca.key back from a backup: hosts and logged-in users know the cloud "
                           "by it. If they are lost, remove server.pem: a new authority is made, and every host "
                           "must join again"));
    TRY(made, http::make_authority("Axle at " + machine_name(), now));
    return http::write_key_pair(made, certificate, key);
}

// The first of `pem` has all that is wished for, for long enough, and the others are what has to follow it.
bool still_good(const std::string& pem, const http::CertificateWish& wish, WallTime now) {
    const auto each = http::certificates_in(pem);
    const auto info = http::read_certificate(pem);
    if (!each || !info || info->not_after.ms - now.ms < kRenewBefore || info->not_before > now) return false;
    if (fmt::format("{}", fmt::join(each->begin() + 1, each->end(), "")) != wish.followed_by) return false;
    const auto has_all = [](const std::vector<std::string>& have, const std::vector<std::string>& want) {
        return std::ranges::all_of(want,
                                   [&](const std::string& w) { return std::ranges::find(have, w) != have.end(); });
    };
    return has_all(info->addresses, wish.addresses) && has_all(info->dns_names, wish.dns_names) &&
           has_all(info->uris, wish.uris);
}

void tell(const http::CertificateInfo& old, const http::CertificateInfo& made, WallTime now) {
    const std::string next = fmt::format("{}, until {}", made.fingerprint, format_time(made.not_after));
    const std::string end = format_time(old.not_after);
    if (now < old.not_after)
        return log::info(
            fmt::format("the cluster's certificate authority hands over to {}; the one before, {}, is "
                        "shown and trusted until {}. Who knows only that one learns of the next by itself",
                        next, old.fingerprint, end));
    log::error(
        fmt::format("the cluster's certificate authority {} ended at {} before it could hand over, and the clock here "
                    "says {}. If the clock is right: the next one is {}; hosts have to join again (axle host token "
                    "create --host NAME, then `axle-agent join STRING` there; guests go on), people to log in again",
                    old.fingerprint, end, format_time(now), next));
}

}  // namespace

// ca.pem begins with who signs and ends with the oldest. While a successor was made its certificates were there before
// its key: then the key is still that of the last.
Result<Authority::Generation> Authority::generation_of(const http::KeyPair& files) {
    TRY(each, http::certificates_in(files.certificate));
    if (const http::KeyPair last{each.back(), files.key}; http::check_key_pair(last)) {
        TRY(fingerprint, http::fingerprint_of(last.certificate));
        return Generation{.pair = last, .fingerprint = std::move(fingerprint)};
    }
    Generation out{.pair = {each.front(), files.key}};
    TRY_VOID(http::check_key_pair(out.pair));
    TRY(fingerprint, http::fingerprint_of(each.front()));
    TRY(old, http::read_certificate(each.back()));
    out.before = fmt::format("{}", fmt::join(each.begin() + 1, each.end(), ""));
    out.old = each.back();
    out.old_end = old.not_after;
    out.fingerprint = std::move(fingerprint);
    out.old_fingerprint = old.fingerprint;
    return out;
}

Result<Authority> Authority::open(const AuthorityFolders& folders, WallTime now) {
    Authority authority;
    authority.folders_ = folders;
    TRY_VOID(make_where_there_is_none(folders, now));
    TRY_VOID(authority.take_files());
    if (const auto renewed = authority.hand_over(now); !renewed)  // a full disk, say: it signs meanwhile
        log::error("the cluster's authority can't hand over to a successor: " + renewed.error().message);
    return authority;
}

// The files say who signs. They may be newer than what is in memory, and not durable yet, after a write that failed
// late.
Result<> Authority::take_files() {
    const std::string certificate = folders_.identity + "/ca.pem", key = folders_.identity + "/ca.key";
    auto files = http::read_key_pair(certificate, key);
    auto read = files ? generation_of(*files) : fail(std::move(files.error()));
    if (!read)
        return fail(error(Code::corrupt, "the cluster's authority in {}: {}", folders_.identity, read.error().message)
                        .with_hint("put ca.pem and ca.key back from a backup of both; nothing was changed"));
    TRY_VOID(sync_directory(folders_.identity));
    const std::lock_guard lock(current_->mutex);
    current_->generation = std::make_shared<const Generation>(std::move(*read));
    return {};
}

Result<> Authority::renew(WallTime now) {
    TRY_VOID(take_files());
    return hand_over(now);
}

// Two durable steps. Before the second the key in ca.key is that of the last certificate in ca.pem: nothing has
// changed, and a successor whose key was lost is made anew. With it the successor signs, and the old key is gone.
Result<> Authority::hand_over(WallTime now) {
    const auto old = now_signing();
    TRY(old_info, http::read_certificate(old->pair.certificate));
    if (old_info.not_after.ms - now.ms >= kSuccessionMs) return {};
    TRY(made, http::make_successor(old->pair, now));
    TRY(info, http::read_certificate(made.pair.certificate));
    TRY_VOID(write_file_durably(folders_.identity + "/ca.pem",
                                made.pair.certificate + made.cross + old->pair.certificate, 0600));
    TRY_VOID(write_file_durably(folders_.identity + "/ca.key", made.pair.key, 0600));
    TRY_VOID(take_files());
    tell(old_info, info, now);
    return {};
}

std::shared_ptr<const Authority::Generation> Authority::now_signing() const {
    const std::lock_guard lock(current_->mutex);
    return current_->generation;
}

std::string Authority::trusted(WallTime now) const {
    return now_signing()->trusted(now);
}

std::string Authority::fingerprint(WallTime now) const {
    const auto signing = now_signing();
    return signing->shows_old(now) ? signing->old_fingerprint : signing->fingerprint;
}

Result<Authority::ServerFiles> Authority::server_certificate(const std::vector<std::string>& more, WallTime now) const {
    const auto signing = now_signing();
    ServerFiles files{.certificate_path = folders_.tls + "/server.pem",
                      .key_path = folders_.tls + "/server.key",
                      .authority_path = folders_.tls + "/trusted.pem"};
    http::CertificateWish wish{.name = machine_name(),
                               .dns_names = {machine_name(), "localhost"},
                               .addresses = machine_addresses(),
                               .uris = {kOrchestratorUri},
                               .followed_by = signing->chain(now)};
    wish.addresses.insert(wish.addresses.end(), {"127.0.0.1", "::1"});
    for (const std::string& name : more) (is_address(name) ? wish.addresses : wish.dns_names).push_back(name);
    const std::string trust = signing->trusted(now);
    if (read_file(files.authority_path, 1 << 20).value_or("") != trust) {
        TRY_VOID(write_file_durably(files.authority_path, trust, 0600));
        files.renewed = true;
    }
    // Key and certificate are two files: a power cut between them leaves those of two pairs.
    const auto there = http::read_key_pair(files.certificate_path, files.key_path);
    if (there && http::check_key_pair(*there) && still_good(there->certificate, wish, now)) return files;
    TRY(issued, http::issue_certificate(signing->pair, wish, now));
    TRY_VOID(http::write_key_pair(issued, files.certificate_path, files.key_path));
    files.renewed = true;
    return files;
}

Result<std::string> Authority::sign_host(const std::string& request, const HostId& host, WallTime now) const {
    const auto signing = now_signing();
    return http::sign_request(signing->pair, request,
                              {.name = host.str(),
                               .uris = {kHostUriPrefix + host.str()},
                               .server = true,
                               .client = true,
                               .days = kHostCertificateDays,
                               .followed_by = signing->chain(now)},
                              now);
}

}  // namespace axle
