#include "common/link/join_string.hpp"

#include <nlohmann/json.hpp>

#include "common/base/base64.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

constexpr std::string_view kMark = "axle1:";
constexpr const char* kHow = "it is the last word of the line that `axle host token create` prints; copy all of it";

}  // namespace

std::string write_join_string(const JoinString& join) {
    nlohmann::json text = {{"e", join.endpoints}, {"a", join.authority}, {"c", join.cluster}, {"s", join.secret}};
    return std::string(kMark) + base64_encode(text.dump());
}

Result<JoinString> read_join_string(const std::string& text) {
    const auto bad = [](const char* why) {
        return fail(error(Code::malformed, "this is no join string: {}", why).with_hint(kHow));
    };
    if (!text.starts_with(kMark)) return bad("it does not begin with axle1:");
    const auto raw = base64_decode(std::string_view(text).substr(kMark.size()));
    if (!raw) return bad("it was cut or changed on the way");
    const auto parsed = parse_json(*raw);
    if (!parsed || !parsed->is_object()) return bad("it was cut or changed on the way");
    JoinString join;
    try {
        join = {parsed->at("e").get<std::vector<std::string>>(), parsed->at("a").get<std::string>(),
                parsed->at("c").get<std::string>(), parsed->at("s").get<std::string>()};
    } catch (const nlohmann::json::exception&) {
        return bad("it is of another release");
    }
    if (join.endpoints.empty() || join.authority.size() != 64) return bad("it names no orchestrator");
    return join;
}

}  // namespace axle
