// Described values from and to JSON, and from YAML. Pure; any thread.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/base/result.hpp"
#include "common/model/pointer.hpp"
#include "common/model/type.hpp"

namespace axle {

enum class Audience {
    api,      // strict in: unknown fields are errors. Out: references as names; secrets and internal fields absent
    store,    // lenient in. Out: references as {id, name}; secrets sealed
    channel,  // lenient in. Out: everything as it is
};

// Turns a secret into what is stored and back. where: the path of the field.
struct SecretCodec {
    std::function<std::string(std::string_view plain, std::string_view place)> seal;
    std::function<Result<std::string>(std::string_view sealed, std::string_view place)> open;
    std::string place = {};  // object that the fields are of: a sealed value can't be moved to another
};

struct ReadOptions {
    Audience audience = Audience::channel;
    bool text_scalars = false;  // the source was YAML: scalars are text, and the field's type decides what they are
    const SecretCodec* secrets = nullptr;
    bool merge =
        false;  // RFC 7396: what the document doesn't name stays, null resets to the default or removes the entry
};

// Reads into `out`, which keeps what the document doesn't name. Every mistake is added to `errors` with its pointer
// below `at`.
void read_value(const Type& type, void* out, const nlohmann::json& in, const ReadOptions& options,
                const std::string& at, std::vector<FieldError>& errors, const FieldOptions& field = {});
// Appends the JSON text of a value. Empty texts, lists, maps and optionals of objects are left out.
void write_value(const Type& type, const void* value, Audience audience, const SecretCodec* secrets, std::string& out);
void write_json_string(std::string& out, std::string_view text);

// Parses with limits: depth 32, no duplicate keys are merged silently (last wins is refused), UTF-8 only.
Result<nlohmann::json> parse_json(std::string_view text);
// YAML with limits on depth (32), nodes (100,000) and no aliases; scalars stay text (ReadOptions::text_scalars);
// several documents. Errors name line and column.
Result<std::vector<nlohmann::json>> parse_yaml(std::string_view text);

// An Error of Code::invalid that lists all field errors; its message names the first.
Error fields_error(std::vector<FieldError> errors);

Result<> read_text(const Type& type, void* out, std::string_view json_text, const ReadOptions& options);

template <typename T>
Result<T> from_json_text(std::string_view text, const ReadOptions& options = {}) {
    T value{};
    TRY_VOID(read_text(type_of<T>(), &value, text, options));
    return value;
}
template <typename T>
std::string to_json_text(const T& value, Audience audience = Audience::channel, const SecretCodec* secrets = nullptr) {
    std::string out;
    write_value(type_of<T>(), &value, audience, secrets, out);
    return out;
}

}  // namespace axle
