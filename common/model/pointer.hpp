// JSON pointers (RFC 6901) as the paths of fields, through objects only: lists are leaves, so a token is always a key.
// Any text is taken, nothing throws. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace axle {

std::string child_pointer(std::string_view at, std::string_view key);  // "/labels", "a/b": "/labels/a~1b"
std::vector<std::string> pointer_keys(std::string_view pointer);       // the other way round
std::string dotted(std::string_view pointer);                          // for people: "/spec/cpus" is "spec.cpus"
const nlohmann::json* find_at(const nlohmann::json& in, std::string_view pointer);  // null: it isn't there
// Makes the objects on the way. false, and nothing is changed: something on the way is there and is no object.
bool put_at(nlohmann::json& in, std::string_view pointer, nlohmann::json value);
void erase_at(nlohmann::json& in, std::string_view pointer);

}  // namespace axle
