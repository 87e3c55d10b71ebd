#include "common/model/pointer.hpp"

#include <nlohmann/json.hpp>

namespace axle {
namespace {

using nlohmann::json;

std::string unescaped(std::string_view token) {
    std::string out;
    for (std::size_t i = 0; i < token.size(); ++i) {
        const char next = token[i] == '~' && i + 1 < token.size() ? token[i + 1] : '\0';
        out += next == '0' ? '~' : next == '1' ? '/' : token[i];
        if (next == '0' || next == '1') ++i;
    }
    return out;
}

json* find(json& in, const std::vector<std::string>& keys, std::size_t depth) {
    json* at = &in;
    for (std::size_t i = 0; i < depth; ++i) {
        const auto found = at->is_object() ? at->find(keys[i]) : at->end();
        if (!at->is_object() || found == at->end()) return nullptr;
        at = &*found;
    }
    return at;
}

}  // namespace

std::string child_pointer(std::string_view at, std::string_view key) {
    std::string out(at);
    out += '/';
    for (char c : key) {
        if (c == '~')
            out += "~0";
        else if (c == '/')
            out += "~1";
        else
            out += c;
    }
    return out;
}

std::vector<std::string> pointer_keys(std::string_view pointer) {
    std::vector<std::string> out;
    while (!pointer.empty()) {
        if (pointer.front() == '/') pointer.remove_prefix(1);
        const std::size_t end = std::min(pointer.find('/'), pointer.size());
        out.push_back(unescaped(pointer.substr(0, end)));
        pointer.remove_prefix(end);
    }
    return out;
}

std::string dotted(std::string_view pointer) {
    std::string out;
    for (const std::string& key : pointer_keys(pointer)) out += (out.empty() ? "" : ".") + key;
    return out;
}

const json* find_at(const json& in, std::string_view pointer) {
    const auto keys = pointer_keys(pointer);
    return find(const_cast<json&>(in), keys, keys.size());
}

bool put_at(json& in, std::string_view pointer, json value) {
    const auto keys = pointer_keys(pointer);
    for (std::size_t depth = 0; depth < keys.size(); ++depth) {
        const json* way = find(in, keys, depth);
        if (way == nullptr) break;  // made below, and what lies under it
        if (!way->is_object()) return false;
    }
    json* at = &in;
    for (const std::string& key : keys) at = &(*at)[key];
    *at = std::move(value);
    return true;
}

void erase_at(json& in, std::string_view pointer) {
    const auto keys = pointer_keys(pointer);
    if (keys.empty()) return;
    json* const parent = find(in, keys, keys.size() - 1);
    if (parent != nullptr && parent->is_object()) parent->erase(keys.back());
}

}  // namespace axle
