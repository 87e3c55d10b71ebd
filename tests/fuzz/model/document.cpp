// A document of a user as JSON and as YAML, read as every kind: what is taken stands the way into the store and back.
#include <cstddef>
#include <cstdint>

#include <nlohmann/json.hpp>

#include "common/base/ensure.hpp"
#include "common/model/format.hpp"
#include "common/model/object.hpp"
#include "tests/support/fuzz_input.hpp"
#include "tests/support/plain_codec.hpp"

using namespace axle;

namespace {

// Whether any kind takes it.
bool read_as_every_kind(const nlohmann::json& document, bool text_scalars) {
    bool taken = false;
    for (const KindInfo& kind : all_kinds()) {
        auto object = kind.make();
        std::vector<FieldError> mistakes;
        read_value(*kind.spec, object->spec_data(), document, {.audience = Audience::api, .text_scalars = text_scalars},
                   "/spec", mistakes);
        if (!mistakes.empty()) continue;
        taken = true;
        const std::string stored = store_form(*object, test::kPlainCodec);
        const auto back = from_store_form(kind.kind, stored, test::kPlainCodec);
        ENSURE(back, "what was taken can be stored");
        ENSURE(store_form(**back, test::kPlainCodec) == stored, "and comes back the same");
    }
    return taken;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    bool taken = false;
    if (const auto json = parse_json(text)) taken = read_as_every_kind(*json, false);
    if (const auto yaml = parse_yaml(text)) {
        for (const auto& document : *yaml) taken = read_as_every_kind(document, true) || taken;
    }
    return test::told(taken);
}
