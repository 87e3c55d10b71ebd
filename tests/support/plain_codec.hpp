// Secrets as they are, for tests that have none.
#pragma once
#include <string>

#include "common/model/codec.hpp"

namespace axle::test {

inline const SecretCodec kPlainCodec{
    .seal = [](std::string_view text, std::string_view) { return std::string(text); },
    .open = [](std::string_view text, std::string_view) -> Result<std::string> { return std::string(text); }};

}  // namespace axle::test
