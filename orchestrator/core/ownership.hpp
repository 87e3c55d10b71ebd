// What an apply set owns of an object: the fields that its document names, and the entries of maps (a NIC, a disk) that
// it brought. What it owns and names no more is unset. Pure.
#pragma once
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/model/object.hpp"

namespace axle {

// After a document was applied. before: null for a new object; owned: what the set had of it.
std::vector<std::string> owned_fields(const nlohmann::json& document, const Object& object, const Object* before,
                                      const std::vector<std::string>& owned);
// Adds a null for what is owned and not named to a document, which then is a merge patch. An entry that the set brought
// goes whole.
void unset_unnamed(nlohmann::json& document, const KindInfo& info, const std::vector<std::string>& owned);

}  // namespace axle
