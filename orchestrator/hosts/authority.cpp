#include "orchestrator/hosts/authority.hpp"

#include <algorithm>
#include <arpa/inet.h>

#include "common/base/addresses.hpp"
#include "common/base/file.hpp"
#include "common/link/join_string.hpp"

namespace axle {
namespace {

constexpr std::int64_t kRenewBefore = INT64_C(60) * 24 * 3'600'000;

bool is_address(const std::string& text) {
    in6_addr parsed{};
    return inet_pton(AF_INET, text.c_str(), &parsed) == 1 || inet_pton(AF_INET6, text.c_str(), &parsed) == 1;
}

Result<http::KeyPair> read_or_make(const AuthorityFolders& folders, WallTime now) {
    const std::string certificate = folders.identity + "/ca.pem", key = folders.identity + "/ca.key";
    if (file_exists(certificate)) {
        auto pair = http::read_key_pair(certificate, key);
        if (!pair)
            return fail(std::move(pair.error())
                            .in("the cluster's authority")
                            .with_hint("put " + certificate + " and ca.key back from a backup; nothing was changed"));
        return pair;
    }
    const std::string old_certificate = folders.tls + "/ca.pem", old_key = folders.tls + "/ca.key";
    if (file_exists(old_certificate)) {
        TRY(old, http::read_key_pair(old_certificate, old_key));
        TRY_VOID(http::write_key_pair(old, certificate, key));
        TRY_VOID(remove_file_durably(old_key));
        TRY_VOID(remove_file_durably(old_certificate));
        return old;
    }
    if (file_exists(folders.tls + "/server.pem"))
        return fail(
            error(Code::corrupt, "the cluster's authority {} is missing, and it signed {}/server.pem", certificate,
                  folders.tls)
                .with_hint("put ca.pem and ca.key back from a backup: hosts and logged-in users know the cloud "
                           "by it. If they are lost, remove server.pem: a new authority is made, and every host "
                           "must join again"));
    TRY(made, http::make_authority("Axle at " + machine_name(), now));
    TRY_VOID(http::write_key_pair(made, certificate, key));
    return made;
}

bool still_good(const std::string& path, const http::CertificateWish& wish, WallTime now) {
    const auto pem = read_file(path, 1 << 20);
    if (!pem) return false;
    const auto info = http::read_certificate(*pem);
    if (!info || info->not_after.ms - now.ms < kRenewBefore || info->not_before > now) return false;
    const auto has_all = [](const std::vector<std::string>& have, const std::vector<std::string>& want) {
        return std::ranges::all_of(want,
                                   [&](const std::string& w) { return std::ranges::find(have, w) != have.end(); });
    };
    return has_all(info->addresses, wish.addresses) && has_all(info->dns_names, wish.dns_names) &&
           has_all(info->uris, wish.uris);
}

}  // namespace

Result<Authority> Authority::open(const AuthorityFolders& folders, WallTime now) {
    Authority authority;
    authority.folders_ = folders;
    TRY(pair, read_or_make(folders, now));
    authority.pair_ = std::move(pair);
    TRY(fingerprint, http::fingerprint_of(authority.pair_.certificate));
    authority.fingerprint_ = std::move(fingerprint);
    return authority;
}

Result<Authority::ServerFiles> Authority::server_certificate(const std::vector<std::string>& more, WallTime now) const {
    ServerFiles files{.certificate_path = folders_.tls + "/server.pem",
                      .key_path = folders_.tls + "/server.key",
                      .authority_path = folders_.identity + "/ca.pem"};
    http::CertificateWish wish{.name = machine_name(),
                               .dns_names = {machine_name(), "localhost"},
                               .addresses = machine_addresses(),
                               .uris = {kOrchestratorUri}};
    wish.addresses.insert(wish.addresses.end(), {"127.0.0.1", "::1"});
    for (const std::string& name : more) (is_address(name) ? wish.addresses : wish.dns_names).push_back(name);
    if (still_good(files.certificate_path, wish, now)) return files;
    TRY(issued, http::issue_certificate(pair_, wish, now));
    TRY_VOID(http::write_key_pair(issued, files.certificate_path, files.key_path));
    files.renewed = true;
    return files;
}

Result<std::string> Authority::sign_host(const std::string& request, const HostId& host, WallTime now) const {
    return http::sign_request(pair_, request,
                              {.name = host.str(),
                               .uris = {kHostUriPrefix + host.str()},
                               .server = true,
                               .client = true,
                               .days = kHostCertificateDays},
                              now);
}

}  // namespace axle
