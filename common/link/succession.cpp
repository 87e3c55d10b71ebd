#include "common/link/succession.hpp"

#include <algorithm>

#include "common/http/tls.hpp"

namespace axle {
namespace {

constexpr std::size_t kAnswerMax = 64 << 10;

}  // namespace

Result<WallTime> end_of_trust(const std::string& authorities) {
    TRY(each, http::certificates_in(authorities));
    WallTime last{};
    for (const std::string& one : each) {
        TRY(info, http::read_certificate(one));
        last = std::max(last, info.not_after);
    }
    return last;
}

bool wants_successor(const std::string& authorities, WallTime now) {
    const auto end = end_of_trust(authorities);
    return end && end->ms - now.ms < kSuccessionMs;
}

Result<std::optional<std::string>> successor_in(const std::string& answer, const std::string& known) {
    if (answer.size() > kAnswerMax)
        return fail(Code::too_large, "the server's authorities are {} bytes, over {}", answer.size(), kAnswerMax);
    TRY(end, end_of_trust(answer));
    TRY(known_end, end_of_trust(known));
    return end > known_end ? std::optional(answer) : std::nullopt;
}

Result<std::optional<std::string>> ask_for_successor(http::Client& client, const std::string& known) {
    TRY(answer, client.request("GET", kAuthoritiesPath));
    if (answer.status != 200) return fail(Code::not_found, "the server tells no authorities: status {}", answer.status);
    return successor_in(answer.body, known);
}

}  // namespace axle
