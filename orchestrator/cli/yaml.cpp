#include "orchestrator/cli/yaml.hpp"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace axle::cli {
namespace {

using nlohmann::json;

bool is_plain(const std::string& text) {
    static constexpr std::array<std::string_view, 12> kWords = {"true", "false", "null", "yes", "no", "on",
                                                                "off",  "y",     "n",    "~",   "",   "none"};
    std::string lower = text;
    std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    if (std::ranges::find(kWords, lower) != kWords.end()) return false;
    const auto harmless = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
               c == '.' || c == '/' || c == '+' || c == '@' || c == ' ' || c == '(' || c == ')' || c == ',';
    };
    if (!std::ranges::all_of(text, harmless)) return false;
    const char first = text.front();
    if (!((first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || first == '/')) return false;
    return text.back() != ' ';
}

bool is_block(const std::string& text) {
    return text.find('\n') != std::string::npos && text.back() == '\n' && text.front() != ' ' && text.front() != '\n' &&
           text.find_first_of("\r\t") == std::string::npos && !text.ends_with("\n\n");
}

void write_text(const std::string& text, std::size_t indent, std::string& out) {
    if (is_plain(text)) {
        out += text;
    } else if (is_block(text)) {
        out += "|\n";
        std::size_t at = 0;
        while (at < text.size()) {
            const std::size_t end = text.find('\n', at);
            if (end > at) out += std::string(indent, ' ') + text.substr(at, end - at);
            out += '\n';
            at = end + 1;
        }
        out.pop_back();
    } else {
        out += json(text).dump(-1, ' ', false, json::error_handler_t::replace);
    }
}

void write(const json& value, std::size_t indent, std::string& out);

void write_below(const json& value, std::size_t indent, std::string& out) {
    if (value.is_structured() && !value.empty()) {
        out += '\n';
        write(value, indent, out);
    } else {
        out += ' ';
        write(value, indent, out);
        out += '\n';
    }
}

void write(const json& value, std::size_t indent, std::string& out) {
    const std::string margin(indent, ' ');
    if (value.is_object() && !value.empty()) {
        for (const auto& [key, item] : value.items()) {
            out += margin;
            write_text(key.find('\n') == std::string::npos ? key : json(key).dump(), indent, out);
            out += ':';
            write_below(item, indent + 2, out);
        }
    } else if (value.is_array() && !value.empty()) {
        for (const json& item : value) {
            std::string text;
            write(item, indent + 2, text);
            const bool nested = item.is_structured() && !item.empty();
            out += margin + "- " + (nested ? text.substr(indent + 2) : text + "\n");
        }
    } else if (value.is_string()) {
        write_text(value.get_ref<const std::string&>(), indent, out);
    } else {
        out += value.dump();
    }
}

}  // namespace

std::string to_yaml(const json& value) {
    std::string out;
    write(value, 0, out);
    if (!out.ends_with('\n')) out += '\n';
    return out;
}

}  // namespace axle::cli
