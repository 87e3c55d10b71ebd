#include "common/config/config.hpp"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

#include "common/base/file.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

// The line on which a top-level key stands, from 1; 0: nowhere.
int line_of(std::string_view text, std::string_view key) {
    int line = 0;
    while (!text.empty()) {
        ++line;
        const auto end = text.find('\n');
        const std::string_view here = text.substr(0, end);
        if (here.starts_with(key) && here.substr(key.size()).starts_with(':')) return line;
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return 0;
}

}  // namespace

template <class V>
void describe(ServiceConfig& v, V&& field) {
    field("stateDirectory", v.state_directory, {.max = 80, .format = Format::path});
    field("logDirectory", v.log_directory, {.max = 80, .format = Format::path});
    field("runDirectory", v.run_directory, {.max = 60, .format = Format::path});  // sockets' paths are short
    field("listen", v.listen, {});
    field("dataPort", v.data_port, {.min = 0, .max = 65535});
    field("advertise", v.advertise, {.max = 16});
    field("packages", v.packages, {.format = Format::path});
    field("group", v.group, {.max = 32});
    field("libvirtUri", v.libvirt_uri, {});
    field("libvirtDefinitions", v.libvirt_definitions, {});
    field("accelerator", v.accelerator, {});
    field("firstPool", v.first_pool, {.format = Format::path});
}

Result<ListenAddress> parse_listen(const std::string& text) {
    const auto colon = text.rfind(':');
    ListenAddress out;
    const char* end = text.data() + text.size();
    if (colon == std::string::npos || std::from_chars(text.data() + colon + 1, end, out.port).ptr != end ||
        out.port < 1 || out.port > 65535)
        return fail(Code::invalid, "\"{}\" is no address and port such as [::]:7443 or 127.0.0.1:7443", text);
    out.address = text.substr(0, colon);
    if (out.address.starts_with('[') && out.address.ends_with(']'))
        out.address = out.address.substr(1, out.address.size() - 2);
    return out;
}

Result<ListenAddress> parse_advertised(const std::string& text) {
    const bool bare_six = std::ranges::count(text, ':') > 1 && !text.starts_with('[');
    const auto close = text.find(']');
    const auto colon = bare_six ? std::string::npos : text.find(':', close == std::string::npos ? 0 : close);
    ListenAddress out{.address = text.substr(0, colon), .port = 7443};
    if (colon != std::string::npos) {
        TRY(with_port, parse_listen(text));
        out = with_port;
    } else if (out.address.starts_with('[') && out.address.ends_with(']')) {
        out.address = out.address.substr(1, out.address.size() - 2);
    }
    if (out.address.empty() || out.address.find_first_of(" ,/\\") != std::string::npos)
        return fail(Code::invalid, "\"{}\" is no name or address such as cloud.example:7443", text);
    return out;
}

namespace {

Result<> read_into(ServiceConfig& config, const std::string& path, bool must_exist) {
    auto text = read_file(path, 1 << 20);
    if (!text && text.error().code == Code::not_found && !must_exist) return {};
    if (!text) return fail(std::move(text.error()));
    auto documents = parse_yaml(*text);
    if (!documents) return fail(std::move(documents.error()).in(path));
    if (documents->empty()) return {};
    if (documents->size() > 1) return fail(Code::invalid, "{}: there is more than one document in it", path);
    std::vector<FieldError> mistakes;
    read_value(type_of<ServiceConfig>(), &config, documents->front(), {.audience = Audience::api, .text_scalars = true},
               "", mistakes);
    if (mistakes.empty() && config.listen != "none") {
        if (auto listen = parse_listen(config.listen); !listen)
            mistakes.push_back({"/listen", "malformed", listen.error().message});
    }
    for (const std::string& name : config.advertise) {
        if (const auto at = parse_advertised(name); mistakes.empty() && !at)
            mistakes.push_back({"/advertise", "malformed", at.error().message});
    }
    if (mistakes.empty()) return {};
    const std::string field = dotted(mistakes.front().pointer);
    return fail(Code::invalid, "{}, line {}: {}: {}", path, line_of(*text, field), field, mistakes.front().detail);
}

}  // namespace

Result<ServiceConfig> read_config(const std::string& path, bool must_exist) {
    ServiceConfig config;
    TRY_VOID(read_into(config, path, must_exist));
    if (config.first_pool.empty()) config.first_pool = config.state_directory + "/pools/main";
    return config;
}

std::string config_text(const ServiceConfig& config) {
    std::string out;
    write_value(type_of<ServiceConfig>(), &config, Audience::api, nullptr, out);
    return out;
}

std::vector<std::string> config_fields() {
    std::vector<std::string> out;
    for (const auto& field : type_of<ServiceConfig>().fields) out.push_back(field.name);
    return out;
}

}  // namespace axle
