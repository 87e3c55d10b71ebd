// The one filter grammar of API, command line and page:
//
//     status.phase=running,labels.tier in (web,db),spec.cpus>=4,name!=x,labels.owner,!labels.old,name~web
//
// Commas are "and". = == != > >= < <= compare; ~ asks whether the text contains the value; `in (a,b)`, `notin (a,b)`;
// a bare path asks whether the field is there, with ! before it whether it isn't. A value in "double quotes" may hold
// anything. Sizes, durations and times are written as everywhere ("2GiB", "90s"). Where a path leads to several values
// one that fits is enough; != and notin want that none is equal. Pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/api/field_path.hpp"

namespace axle::api {

class Filter {
  public:
    // Fields are checked against these kinds: each path must be a field of one of them. Error: Code::invalid with
    // reason "bad-filter", saying where.
    static Result<Filter> parse(std::string_view text, const std::vector<const KindInfo*>& kinds);

    bool matches(const Object& object) const;
    bool matches(const nlohmann::json& object) const;  // of its API form
    bool empty() const { return conditions_.empty(); }

    enum class Test { equal, not_equal, less, less_equal, greater, greater_equal, contains, present, absent };
    struct Wanted {
        std::string text;
        std::optional<double> number;
    };
    struct Condition {
        Path path;
        Test test = Test::present;
        std::vector<Wanted> wanted;  // equal, not_equal: any of them
        bool is_time = false;
    };

  private:
    std::vector<Condition> conditions_;
};

}  // namespace axle::api
