// Messages as JSON objects: {"type": "hello", ...}. A table maps types to structs, so that a message is written down
// once.
#include "common/model/codec.hpp"

#include <nlohmann/json.hpp>

#include "common/base/base64.hpp"
#include "common/channel/messages.hpp"

namespace axle {
namespace {

constexpr std::size_t kMessageMax = 16 << 20;

template <typename T>
constexpr const char* type_name() {
    if constexpr (std::same_as<T, Hello>)
        return "hello";
    else if constexpr (std::same_as<T, Desired>)
        return "desired";
    else if constexpr (std::same_as<T, Status>)
        return "status";
    else if constexpr (std::same_as<T, Facts>)
        return "facts";
    else if constexpr (std::same_as<T, Heartbeat>)
        return "heartbeat";
    else if constexpr (std::same_as<T, TaskOrder>)
        return "task";
    else if constexpr (std::same_as<T, TaskNews>)
        return "progress";
    else if constexpr (std::same_as<T, StreamOpen>)
        return "stream-open";
    else if constexpr (std::same_as<T, StreamData>)
        return "stream-data";
    else if constexpr (std::same_as<T, StreamClose>)
        return "stream-close";
    else if constexpr (std::same_as<T, Welcome>)
        return "welcome";
    else if constexpr (std::same_as<T, CertificateRequest>)
        return "certificate-request";
    else if constexpr (std::same_as<T, CertificateGrant>)
        return "certificate-grant";
    else if constexpr (std::same_as<T, Endpoints>)
        return "endpoints";
    else if constexpr (std::same_as<T, Bye>)
        return "bye";
    else if constexpr (std::same_as<T, UnclaimedReport>)
        return "unclaimed";
    else if constexpr (std::same_as<T, UnknownThings>)
        return "unknown";
    else if constexpr (std::same_as<T, RemoveOrder>)
        return "remove";
}

template <typename T>
Result<Message> read_message(const nlohmann::json& in) {
    T message;
    std::vector<FieldError> errors;
    read_value(type_of<T>(), &message, in, {.audience = Audience::channel}, "", errors);
    if (!errors.empty())
        return fail(std::move(fields_error(std::move(errors))).in(fmt::format("message {}", type_name<T>())));
    return Message(std::move(message));
}
template <>
Result<Message> read_message<StreamData>(const nlohmann::json& in) {
    const auto bytes = in.is_object() ? base64_decode(in.value("bytes", "")) : std::nullopt;
    if (!bytes) return fail(Code::malformed, "message stream-data: bytes is no base64");
    return Message(StreamData{.stream = in.value("stream", std::uint64_t{0}), .bytes = *bytes});
}

template <typename... T>
Result<std::optional<Message>> read_any(std::string_view type, const nlohmann::json& in, std::variant<T...>*) {
    std::optional<Result<Message>> found;
    ((type == type_name<T>() ? void(found = read_message<T>(in)) : void()), ...);
    if (!found) return std::optional<Message>{};
    if (!*found) return fail(std::move(found->error()));
    return std::optional<Message>(std::move(**found));
}

}  // namespace

std::string encode(const Message& message) {
    return std::visit(
        []<typename T>(const T& m) {
            std::string out = fmt::format(R"({{"type":"{}")", type_name<T>());
            if constexpr (std::same_as<T, StreamData>) {
                out += fmt::format(R"(,"stream":{},"bytes":"{}"}})", m.stream, base64_encode(m.bytes));
            } else {
                const std::string body = to_json_text(m);
                out += body == "{}" ? "}" : "," + body.substr(1);
            }
            return out;
        },
        message);
}

Result<std::optional<Message>> decode(std::string_view text) {
    if (text.size() > kMessageMax)
        return fail(Code::too_large, "a message has {} bytes, at most {} are taken", text.size(), kMessageMax);
    TRY(parsed, parse_json(text));
    const auto type = parsed.is_object() ? parsed.find("type") : parsed.end();
    if (!parsed.is_object() || type == parsed.end() || !type->is_string())
        return fail(Code::malformed, "a message without a type");
    try {
        return read_any(type->get_ref<const std::string&>(), parsed, static_cast<Message*>(nullptr));
    } catch (const nlohmann::json::exception& e) {
        return fail(Code::malformed, "a message of a wrong shape");
    }
}

}  // namespace axle
