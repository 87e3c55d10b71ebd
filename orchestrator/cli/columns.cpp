#include "orchestrator/cli/columns.hpp"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "common/base/units.hpp"

namespace axle::cli {
namespace {

using nlohmann::json;

const json* find_path(const json& object, std::string_view path) {
    const json* at = &object;
    while (!path.empty()) {
        const std::size_t dot = path.find('.');
        const std::string step(path.substr(0, dot));
        if (!at->is_object()) return nullptr;
        const auto next = at->find(step);
        if (next == at->end()) return nullptr;
        at = &*next;
        path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
    }
    return at;
}

const json* find_any(const json& object, std::string_view paths) {
    while (true) {
        const std::size_t bar = paths.find('|');
        if (const json* found = find_path(object, paths.substr(0, bar))) return found;
        if (bar == std::string_view::npos) return nullptr;
        paths.remove_prefix(bar + 1);
    }
}

std::string plain(const json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string span_text(std::int64_t ms) {
    const std::int64_t s = std::max<std::int64_t>(0, ms / 1000);
    if (s < 120) return fmt::format("{}s", s);
    if (s < 2 * 3600) return fmt::format("{}m", s / 60);
    if (s < 48 * 3600) return fmt::format("{}h", s / 3600);
    return fmt::format("{}d", s / 86400);
}

std::string listed(const json& value) {
    std::string out;
    if (value.is_object()) {
        for (const auto& [key, item] : value.items()) out += (out.empty() ? "" : ",") + key;
    } else if (value.is_array()) {
        for (const json& item : value) out += (out.empty() ? "" : ",") + plain(item);
    } else {
        out = plain(value);
    }
    return out;
}

// Of NICs: each network once.
std::string networks_of(const json& nics) {
    std::vector<std::string> names;
    for (const json& nic : nics) {
        const json* network = find_path(nic, "network");
        const std::string name = network != nullptr ? plain(*network) : "";
        if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
    return fmt::format("{}", fmt::join(names, ","));
}

bool has_told(const json& host) {
    const json* cpus = find_path(host, "status.facts.cpus");
    return cpus != nullptr && *cpus != 0;
}

std::string time_text(const json& value, std::int64_t now_ms, bool until) {
    const auto time = value.is_string() ? parse_time(value.get<std::string>()) : Result<WallTime>(WallTime{0});
    if (!time || time->ms == 0) return until ? "never" : "";
    if (!until) return span_text(now_ms - time->ms);
    return time->ms <= now_ms ? "over" : "in " + span_text(time->ms - now_ms);
}

// Of a VM's status: its host; while it moves, both.
std::string place_text(const json& status) {
    const json* host = find_path(status, "placement.host");
    const json* target = find_path(status, "migration.host");
    const std::string from = host != nullptr ? plain(*host) : "";
    return target != nullptr ? fmt::format("{} -> {}", from, plain(*target)) : from;
}

using Table = std::map<Kind, std::vector<Column>>;
Table machines_and_disks() {
    return {{Kind::vm,
             {{"NAME", "name"},
              {"STATUS", "status.phase"},
              {"ADDRESS", "status.addresses", Show::list},
              {"HOST", "status", Show::place},
              {"CPUS", "spec.cpus"},
              {"MEMORY", "spec.memory", Show::bytes},
              {"AGE", "created", Show::age},
              {"IMAGE", "spec.disks.root.image|spec.disks.root.volume", Show::text, true},
              {"NETWORKS", "spec.nics", Show::networks, true},
              {"ACCELERATOR", "status.accelerator", Show::text, true},
              {"ID", "id", Show::text, true}}},
            {Kind::volume,
             {{"NAME", "name"},
              {"STATUS", "status.phase"},
              {"SIZE", "spec.size", Show::bytes},
              {"USED", "status.allocated", Show::bytes},
              {"POOL", "spec.pool"},
              {"VM", "status.attachedTo"},
              {"AGE", "created", Show::age},
              {"HOST", "status.placement.host", Show::text, true},
              {"IMAGE", "spec.image", Show::text, true},
              {"ID", "id", Show::text, true}}},
            {Kind::image,
             {{"NAME", "name"},
              {"STATUS", "status.phase"},
              {"SIZE", "status.size", Show::bytes},
              {"DISK", "status.virtualSize", Show::bytes},
              {"SHARED", "spec.shared", Show::yes_no},
              {"AGE", "created", Show::age},
              {"SOURCE", "spec.url", Show::text, true},
              {"DIGEST", "status.digest", Show::text, true}}},
            {Kind::network,
             {{"NAME", "name"},
              {"TYPE", "spec.type"},
              {"RANGE", "spec.cidr|spec.bridge"},
              {"GATEWAY", "spec.gateway"},
              {"READY", "status.ready", Show::yes_no},
              {"SHARED", "spec.shared", Show::yes_no},
              {"AGE", "created", Show::age},
              {"MTU", "spec.mtu", Show::text, true},
              {"ID", "id", Show::text, true}}}};
}

Table places_and_names() {
    return {
        {Kind::pool,
         {{"NAME", "name"},
          {"PATH", "spec.path"},
          {"SHARED", "spec.shared", Show::yes_no},
          {"DEFAULT", "spec.default", Show::yes_no},
          {"READY", "status.readyCount"},
          {"SIZE", "status.size", Show::bytes},
          {"FREE", "status.free", Show::bytes},
          {"HOSTS", "status.hosts", Show::list, true},
          {"AGE", "created", Show::age}}},
        {Kind::sshkey, {{"NAME", "name"}, {"AGE", "created", Show::age}, {"KEY", "spec.publicKey", Show::text, true}}},
        {Kind::flavor,
         {{"NAME", "name"},
          {"CPUS", "spec.cpus"},
          {"MEMORY", "spec.memory", Show::bytes},
          {"DISK", "spec.disk", Show::bytes},
          {"DESCRIPTION", "spec.description"}}},
        {Kind::placementgroup,
         {{"NAME", "name"},
          {"POLICY", "spec.policy"},
          {"OVER", "spec.over"},
          {"REQUIRED", "spec.required", Show::yes_no},
          {"AGE", "created", Show::age}}},
        {Kind::portforward,
         {{"NAME", "name"},
          {"PROTOCOL", "spec.protocol"},
          {"HOST", "status.host"},
          {"PORT", "spec.hostPort"},
          {"VM", "spec.vm"},
          {"GUEST-PORT", "spec.guestPort"},
          {"ADDRESS", "status.address", Show::text, true}}}};
}

Table fleet() {
    return {{Kind::zone, {{"NAME", "name"}, {"DESCRIPTION", "spec.description"}, {"AGE", "created", Show::age}}},
            {Kind::host,
             {{"NAME", "name"},
              {"CONNECTED", "status.connected", Show::yes_no},
              {"ADDRESS", "status.facts.underlay|status.address"},
              {"CORDONED", "spec.unschedulable", Show::yes_no},
              {"CPUS", "status.facts.cpus", Show::text, false, true},
              {"MEMORY", "status.facts.memory", Show::bytes, false, true},
              {"ACCELERATOR", "status.facts.accelerator", Show::text, false, true},
              {"ZONE", "spec.zone"},
              {"AGE", "created", Show::age},
              {"LOAD", "status.load.cpu", Show::percent, true},
              {"MEMORY-FREE", "status.load.memoryFree", Show::bytes, true},
              {"OS", "status.facts.os", Show::text, true},
              {"KERNEL", "status.facts.kernel", Show::text, true},
              {"AGENT", "status.facts.agent", Show::text, true},
              {"ADDRESSES", "status.facts.addresses", Show::list, true}}},
            {Kind::project,
             {{"NAME", "name"},
              {"DESCRIPTION", "spec.description"},
              {"LIMITS", "spec.limits", Show::list},
              {"AGE", "created", Show::age}}},
            {Kind::token,
             {{"NAME", "name"},
              {"ROLE", "spec.role"},
              {"PROJECTS", "spec.projects", Show::list},
              {"ENDS", "status.expires", Show::until},
              {"AGE", "created", Show::age}}},
            {Kind::jointoken,
             {{"NAME", "name"},
              {"HOST", "spec.host"},
              {"LEFT", "status.left"},
              {"ENDS", "status.expires", Show::until},
              {"AGE", "created", Show::age}}},
            {Kind::task,
             {{"ID", "id"},
              {"GOAL", "spec.goal"},
              {"KIND", "spec.target.kind"},
              {"TARGET", "spec.target.name"},
              {"STATUS", "status.phase"},
              {"DONE", "status.percent"},
              {"STEP", "status.step"},
              {"AGE", "created", Show::age},
              {"WHY", "status.error.message|status.reason"},
              {"REQUESTER", "spec.requester", Show::text, true}}}};
}

const Table& all_columns() {
    static const Table table = [] {
        Table all = machines_and_disks();
        all.merge(places_and_names());
        all.merge(fleet());
        return all;
    }();
    return table;
}

}  // namespace

const std::vector<Column>& columns_of(Kind kind) {
    static const std::vector<Column> plain_columns = {{"NAME", "name"}, {"AGE", "created", Show::age}};
    const auto found = all_columns().find(kind);
    return found != all_columns().end() ? found->second : plain_columns;
}

std::string cell(const json& object, const Column& column, std::int64_t now_ms) {
    if (column.fact && !has_told(object)) return "-";
    const json* value = find_any(object, column.path);
    if (value == nullptr || value->is_null()) return column.show == Show::until ? "never" : "";
    switch (column.show) {
        case Show::bytes:
            return value->is_number_integer() ? format_bytes(value->get<std::int64_t>()) : plain(*value);
        case Show::age:
            return time_text(*value, now_ms, false);
        case Show::until:
            return time_text(*value, now_ms, true);
        case Show::list:
            return listed(*value);
        case Show::percent:
            return value->is_number() ? fmt::format("{:.0f}%", value->get<double>() * 100) : plain(*value);
        case Show::place:
            return place_text(*value);
        case Show::networks:
            return networks_of(*value);
        case Show::count:
            return std::to_string(value->size());
        case Show::yes_no:
            return value->is_boolean() && value->get<bool>() ? "yes" : "no";
        case Show::text:
            break;
    }
    return value->is_structured() ? listed(*value) : plain(*value);
}

std::string table_text(const std::vector<std::string>& titles, const std::vector<std::vector<std::string>>& rows) {
    const auto width_of = [](const std::string& text) {  // characters, not bytes
        return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
    };
    std::vector<std::size_t> widths;
    for (const std::string& title : titles) widths.push_back(width_of(title));
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
    }
    std::string out;
    const auto add = [&](const std::vector<std::string>& row) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i)
            line += row[i] + std::string(widths[i] - width_of(row[i]) + 2, ' ');
        while (line.ends_with(' ')) line.pop_back();
        out += line + "\n";
    };
    add(titles);
    for (const auto& row : rows) add(row);
    return out;
}

std::string csv_text(const std::vector<std::string>& titles, const std::vector<std::vector<std::string>>& rows) {
    std::string out;
    const auto add = [&](const std::vector<std::string>& row) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (i > 0) out += ',';
            if (row[i].find_first_of(",\"\n\r") == std::string::npos) {
                out += row[i];
                continue;
            }
            out += '"';
            for (const char c : row[i]) out += c == '"' ? std::string("\"\"") : std::string(1, c);
            out += '"';
        }
        out += '\n';
    };
    add(titles);
    for (const auto& row : rows) add(row);
    return out;
}

}  // namespace axle::cli
