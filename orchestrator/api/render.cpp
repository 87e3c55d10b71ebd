#include "orchestrator/api/render.hpp"

#include <algorithm>
#include <charconv>
#include <compare>
#include <span>

#include <nlohmann/json.hpp>

namespace axle::api {
namespace {

using nlohmann::json;

std::vector<std::string_view> split_commas(std::string_view text) {
    std::vector<std::string_view> out;
    while (!text.empty()) {
        const std::size_t comma = text.find(',');
        if (comma != 0) out.push_back(text.substr(0, comma));
        if (comma == std::string_view::npos) break;
        text.remove_prefix(comma + 1);
    }
    return out;
}

Error of_parameter(Error e, const char* parameter) {
    e.code = Code::malformed;
    e.reason = "bad-parameter";
    return std::move(e).in(parameter);
}

// Copies what lies at the path, keeping the shape around it.
void pick(const json& from, std::span<const std::string> path, json& to) {
    if (path.empty()) {
        to = from;
    } else if (from.is_array()) {
        if (!to.is_array()) to = json::array();
        const auto rest = path[0] == "*" ? path.subspan(1) : path;
        for (std::size_t i = 0; i < from.size(); ++i) {
            if (to.size() <= i) to.push_back(json::object());
            pick(from[i], rest, to[i]);
        }
    } else if (from.is_object()) {
        if (!to.is_object()) to = json::object();
        for (const auto& [key, value] : from.items()) {
            if (path[0] == "*" || path[0] == key) pick(value, path.subspan(1), to[key]);
        }
    }
}

std::weak_ordering compare(const Scalar& a, const Scalar& b) {
    if (a.index() != b.index()) return a.index() <=> b.index();
    if (const auto* i = std::get_if<std::int64_t>(&a)) return *i <=> std::get<std::int64_t>(b);
    if (const auto* flag = std::get_if<bool>(&a)) return *flag <=> std::get<bool>(b);
    if (const auto* text = std::get_if<std::string>(&a)) return text->compare(std::get<std::string>(b)) <=> 0;
    if (const auto* d = std::get_if<double>(&a)) {
        const double other = std::get<double>(b);
        return *d < other   ? std::weak_ordering::less
               : *d > other ? std::weak_ordering::greater
                            : std::weak_ordering::equivalent;
    }
    return std::weak_ordering::equivalent;
}

}  // namespace

http::Response json_response(int status, std::string body) {
    http::Response response{.status = status, .body = std::move(body)};
    response.headers.set("Content-Type", "application/json");
    return response;
}

std::string etag_of(Revision revision, std::string_view history) {
    return fmt::format("\"{}-{}\"", revision, history);
}

Result<std::optional<Revision>> parse_if_match(std::string_view header, std::string_view history) {
    if (header == "*") return std::optional<Revision>{};
    std::string_view text = header;
    if (text.starts_with("W/")) text.remove_prefix(2);
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
    Revision revision = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), revision);
    const std::string_view rest(read.ptr, static_cast<std::size_t>(text.data() + text.size() - read.ptr));
    if (read.ec != std::errc{} || (!rest.empty() && !rest.starts_with('-')))
        return fail(
            error(Code::malformed, "If-Match must be an ETag that was given before, is {}", header.substr(0, 80))
                .with_reason("bad-header"));
    if (!rest.empty() && rest.substr(1) != history)
        return fail(error(Code::precondition, "the ETag {} is of an earlier history of this cloud", header)
                        .with_hint("read the object again"));
    return std::optional<Revision>{revision};
}

Result<std::vector<Path>> parse_fields(std::string_view text, const KindInfo& kind) {
    std::vector<Path> out;
    for (const std::string_view field : split_commas(text)) {
        Path path = split_path(field);
        if (path != Path{"spec"} && path != Path{"status"}) {
            auto leaf = resolve(kind, path);
            if (!leaf) return fail(of_parameter(std::move(leaf.error()), "fields"));
        }
        out.push_back(std::move(path));
    }
    return out;
}

void write_chosen(const Object& object, const std::vector<Path>& fields, std::string& out) {
    if (fields.empty()) return write_object(object, out);
    std::string text;
    write_object(object, text);
    const json whole = json::parse(text);
    json chosen = json::object();
    for (const char* always : {"kind", "name", "project"}) {
        if (whole.contains(always)) chosen[always] = whole[always];
    }
    for (const Path& path : fields) pick(whole, path, chosen);
    out += chosen.dump();
}

Result<std::vector<SortKey>> parse_sort(std::string_view text, const KindInfo& kind) {
    std::vector<SortKey> out;
    for (std::string_view key : split_commas(text)) {
        const bool descending = key.starts_with('-');
        if (descending) key.remove_prefix(1);
        SortKey sort{split_path(key), descending};
        auto leaf = resolve(kind, sort.path);
        if (!leaf) return fail(of_parameter(std::move(leaf.error()), "sort"));
        out.push_back(std::move(sort));
    }
    return out;
}

void sort_objects(std::vector<ObjectPtr>& objects, const std::vector<SortKey>& keys) {
    struct Row {
        std::vector<Scalar> values;
        ObjectPtr object;
    };
    std::vector<Row> rows;
    rows.reserve(objects.size());
    for (ObjectPtr& object : objects) {
        Row row;
        for (const SortKey& key : keys) {
            Scalar first;
            bool found = false;
            values_at(*object, key.path, [&](const Scalar& value) {
                if (!std::exchange(found, true)) first = value;
            });
            row.values.push_back(std::move(first));
        }
        row.object = std::move(object);
        rows.push_back(std::move(row));
    }
    std::ranges::stable_sort(rows, [&](const Row& a, const Row& b) {
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const auto order = compare(a.values[i], b.values[i]);
            if (order != 0) return keys[i].descending ? order > 0 : order < 0;
        }
        return false;
    });
    std::ranges::transform(rows, objects.begin(), [](Row& row) { return std::move(row.object); });
}

json changes_json(const std::vector<FieldChange>& changes) {
    json out = json::array();
    for (const FieldChange& change : changes) {
        static constexpr const char* kEffects[] = {"live", "reboot", "replace"};
        json row = {{"pointer", change.pointer}, {"effect", kEffects[static_cast<std::size_t>(change.change)]}};
        const auto value = [](const std::string& text) {
            json parsed = json::parse(text, nullptr, false);
            return parsed.is_discarded() ? json(text) : parsed;
        };
        if (!change.before.empty()) row["before"] = value(change.before);
        if (!change.after.empty()) row["after"] = value(change.after);
        out.push_back(std::move(row));
    }
    return out;
}

std::string task_location(const Uuid& task) {
    return "/v1/tasks/" + task.str();
}

}  // namespace axle::api
