// Objects on stdout, in the form that was asked for.
#include "common/base/now.hpp"
#include "orchestrator/cli/columns.hpp"
#include "orchestrator/cli/session.hpp"
#include "orchestrator/cli/yaml.hpp"

namespace axle::cli {
namespace {

std::string full_name(const json& object) {
    return word(object, "kind") + "/" + (word(object, "kind") == "task" ? word(object, "id") : word(object, "name"));
}

std::string as_columns(const Session& session, const KindInfo& kind, const json& items) {
    const bool wide = session.flags().output == Output::wide, csv = session.flags().output == Output::csv;
    std::vector<Column> columns;
    if (session.flags().all_projects && !kind.cluster_wide) columns.push_back({"PROJECT", "project"});
    for (const Column& column : columns_of(kind.kind)) {
        if (!column.wide || wide || csv) columns.push_back(column);
    }
    std::vector<std::string> titles;
    std::vector<std::vector<std::string>> rows;
    for (const Column& column : columns) titles.emplace_back(column.title);
    const std::int64_t now_ms = wall_now().ms;
    for (const json& item : items) {
        std::vector<std::string>& row = rows.emplace_back();
        for (const Column& column : columns) row.push_back(cell(item, column, now_ms));
    }
    return csv ? csv_text(titles, rows) : table_text(titles, rows);
}

std::string dump(const json& value) {
    return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

void show_list(const Session& session, const KindInfo& kind, const json& items) {
    const Terminal& terminal = session.terminal();
    switch (session.flags().output) {
        case Output::json_text:
            return terminal.data(dump(items));
        case Output::yaml: {
            std::string out;
            for (const json& item : items) out += (out.empty() ? "" : "---\n") + to_yaml(item);
            return terminal.data(out);
        }
        case Output::name: {
            std::string out;
            for (const json& item : items) out += full_name(item) + "\n";
            return terminal.data(out);
        }
        default:
            if (items.empty() && session.flags().output != Output::csv)
                return terminal.say(fmt::format("no {}", kind.plural));
            terminal.data(as_columns(session, kind, items));
    }
}

void show_one(const Session& session, const json& object) {
    const Terminal& terminal = session.terminal();
    switch (session.flags().output) {
        case Output::json_text:
            return terminal.data(dump(object));
        case Output::name:
            return terminal.data(full_name(object) + "\n");
        case Output::wide:
        case Output::csv:
            if (const KindInfo* kind = find_kind(word(object, "kind")))
                return terminal.data(as_columns(session, *kind, json::array({object})));
            [[fallthrough]];
        default:
            terminal.data(to_yaml(object));
    }
}

void show_done(const Session& session, const json& object, std::string_view sentence) {
    if (session.flags().output == Output::table || session.flags().output == Output::wide)
        return session.terminal().data(std::string(sentence) + "\n");
    show_one(session, object);
}

void show_task(const Session& session, const json& object, const std::string& location, std::string_view sentence) {
    const std::string id = location.substr(location.rfind('/') + 1);
    const bool for_people = session.flags().output == Output::table || session.flags().output == Output::wide;
    if (!for_people && !id.empty()) session.terminal().say("task " + id);
    show_done(session, object, id.empty() ? std::string(sentence) : "task " + id);
}

}  // namespace axle::cli
