// Which columns a list of each kind has, and how a value is shown. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/model/object.hpp"

namespace axle::cli {

enum class Show {
    text,
    bytes,
    age,
    list,
    networks,  // of a VM's NICs
    count,
    yes_no,
    until,
    percent,  // of a part, 0 to 1
    place     // where a VM is, of its status
};

struct Column {
    const char* title;
    const char* path;  // dotted; several with | : the first that is there
    Show show = Show::text;
    bool wide = false;  // only with -o wide
    bool fact = false;  // what a host tells of its machine: "-" until it has
};
// For kinds without a row of their own: name, age.
const std::vector<Column>& columns_of(Kind kind);

std::string cell(const nlohmann::json& object, const Column& column, std::int64_t now_ms);
// Columns by width, no white space at the ends of lines.
std::string table_text(const std::vector<std::string>& titles, const std::vector<std::vector<std::string>>& rows);
std::string csv_text(const std::vector<std::string>& titles, const std::vector<std::vector<std::string>>& rows);

}  // namespace axle::cli
