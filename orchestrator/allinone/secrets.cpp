#include "orchestrator/allinone/secrets.hpp"

#include <algorithm>
#include <ifaddrs.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "common/base/file.hpp"
#include "common/http/tls.hpp"

namespace axle {
namespace {

constexpr std::int64_t kRenewBefore = INT64_C(60) * 24 * 3'600'000;

std::vector<std::string> own_addresses() {
    std::vector<std::string> out = {"127.0.0.1", "::1"};
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0) return out;
    for (const ifaddrs* a = first; a != nullptr; a = a->ifa_next) {
        if (a->ifa_addr == nullptr || (a->ifa_addr->sa_family != AF_INET && a->ifa_addr->sa_family != AF_INET6))
            continue;
        if (std::string_view(a->ifa_name).starts_with("axb")) continue;
        char text[NI_MAXHOST];
        const socklen_t size = a->ifa_addr->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
        if (::getnameinfo(a->ifa_addr, size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) continue;
        std::string address(text);
        if (address.find('%') != std::string::npos) continue;  // link-local
        if (std::ranges::find(out, address) == out.end()) out.push_back(std::move(address));
    }
    ::freeifaddrs(first);
    std::ranges::sort(out);
    return out;
}

std::string own_name() {
    utsname names{};
    ::uname(&names);
    return names.nodename;
}

Result<http::KeyPair> authority_in(const std::string& folder, WallTime now) {
    const std::string certificate = folder + "/ca.pem", key = folder + "/ca.key";
    if (file_exists(certificate)) return http::read_key_pair(certificate, key);
    TRY(made, http::make_authority("Axle at " + own_name(), now));
    TRY_VOID(http::write_key_pair(made, certificate, key));
    return made;
}

bool still_good(const std::string& path, const std::vector<std::string>& addresses, WallTime now) {
    const auto pem = read_file(path, 1 << 20);
    if (!pem) return false;
    auto info = http::read_certificate(*pem);
    if (!info || info->not_after.ms - now.ms < kRenewBefore) return false;
    return std::ranges::all_of(addresses, [&](const std::string& a) {
        return std::ranges::find(info->addresses, a) != info->addresses.end();
    });
}

}  // namespace

Result<std::string> admin_secret(const std::string& path, Random& random) {
    auto text = read_file(path, 1024);
    if (text) {
        while (!text->empty() && text->back() == '\n') text->pop_back();
        return text;
    }
    if (text.error().code != Code::not_found) return text;
    std::string secret = "axle_";
    for (int i = 0; i < 4; ++i) secret += fmt::format("{:016x}", random.next());
    TRY_VOID(write_file_durably(path, secret + "\n", 0600));
    return secret;
}

Result<ServerTls> server_certificate(const std::string& folder, WallTime now) {
    TRY(authority, authority_in(folder, now));
    ServerTls out{.authority = authority.certificate,
                  .certificate_path = folder + "/server.pem",
                  .key_path = folder + "/server.key"};
    const std::vector<std::string> addresses = own_addresses();
    if (still_good(out.certificate_path, addresses, now)) return out;
    TRY(issued,
        http::issue_certificate(
            authority, {.name = own_name(), .dns_names = {own_name(), "localhost"}, .addresses = addresses}, now));
    TRY_VOID(http::write_key_pair(issued, out.certificate_path, out.key_path));
    return out;
}

}  // namespace axle
