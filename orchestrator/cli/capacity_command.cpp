// capacity: how many more of a size fit, where, and what if a host is lost.
#include "common/base/units.hpp"
#include "common/http/url.hpp"
#include "orchestrator/cli/app.hpp"
#include "orchestrator/cli/columns.hpp"

namespace axle::cli {
namespace {

struct CapacityOptions {
    std::string flavor, cpus, memory, disk, pool, without;
};

std::string size_text(const json& answer) {
    std::string out =
        fmt::format("{} CPUs, {}", answer.value("cpus", 0), format_bytes(answer.value("memory", INT64_C(0))));
    if (answer.contains("disk"))
        out += fmt::format(", {} in pool {}", format_bytes(answer.value("disk", INT64_C(0))), answer.value("pool", ""));
    return out;
}

std::string guests_text(const json& answer) {
    const std::string lost = answer.value("without", "");
    const json& guests = answer["guests"];
    if (guests.empty()) return fmt::format("host {} has no guests\n", lost);
    std::vector<std::vector<std::string>> rows;
    std::size_t homeless = 0;
    for (const json& guest : guests) {
        if (!guest.contains("host")) ++homeless;
        rows.push_back({guest.value("vm", ""), guest.value("host", "-"), guest.value("reason", "")});
    }
    const std::string end = homeless == 0 ? "all find room on the others" : fmt::format("{} find no room", homeless);
    return fmt::format("of the {} guests of host {} {}:\n{}\n", guests.size(), lost, end,
                       table_text({"VM", "WOULD GO TO", "WHY NOT"}, rows));
}

Result<int> capacity(Session& session, const CapacityOptions& o) {
    Query query;
    const auto add = [&](const char* name, const std::string& value) {
        if (!value.empty()) query.emplace_back(name, value);
    };
    add("flavor", o.flavor);
    add("cpus", o.cpus);
    add("memory", o.memory);
    add("disk", o.disk);
    add("pool", o.pool);
    add("without", o.without);
    TRY(answer, session.get("/v1/capacity" + http::query_string(query)));
    if (session.flags().output != Output::table && session.flags().output != Output::wide)
        return show_one(session, answer), 0;
    std::string out = o.without.empty() ? "" : guests_text(answer);
    out += fmt::format("{} more of {} fit\n", answer.value("count", 0), size_text(answer));
    std::vector<std::vector<std::string>> rows;
    for (const json& host : answer["hosts"])
        rows.push_back({host.value("host", ""), std::to_string(host.value("count", 0)), host.value("limit", "")});
    if (!rows.empty()) out += table_text({"HOST", "FIT", "NOT ONE MORE BECAUSE IT"}, rows);
    session.terminal().data(out);
    return 0;
}

}  // namespace

void add_capacity_command(Build& build) {
    auto o = std::make_shared<CapacityOptions>();
    CLI::App* verb =
        build.verb(&build.app, "capacity", "How many more of a size fit, where, and what if a host is lost",
                   [o](Session& s) { return capacity(s, *o); });
    verb->add_option("--flavor", o->flavor, "Flavor that gives the size");
    verb->add_option("--cpus", o->cpus, "Virtual CPUs (default 1)");
    verb->add_option("--memory", o->memory, "Memory, such as 4G (default 1G)");
    verb->add_option("--disk", o->disk, "Size of a disk, such as 20G");
    verb->add_option("--pool", o->pool, "Pool of the disk");
    verb->add_option("--without", o->without, "Host that is thought away: where would its guests go?");
}

}  // namespace axle::cli
