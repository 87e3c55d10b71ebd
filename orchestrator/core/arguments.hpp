// An action's arguments, read from its body. Core thread.
#pragma once
#include <nlohmann/json.hpp>

#include "common/model/codec.hpp"
#include "orchestrator/core/service.hpp"

namespace axle {

template <typename T>
Result<T> arguments_of(const Mutation& m) {
    T arguments;
    std::vector<FieldError> mistakes;
    const nlohmann::json none = nlohmann::json::object();
    read_value(type_of<T>(), &arguments, m.body && !m.body->is_null() ? *m.body : none,
               {.audience = Audience::api, .text_scalars = m.text_scalars}, "", mistakes);
    if (!mistakes.empty()) return fail(fields_error(std::move(mistakes)));
    return arguments;
}

}  // namespace axle
