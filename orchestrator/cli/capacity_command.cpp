// capacity: how many more of a size fit, where, and what if a host is lost.
#include "common/base/counted.hpp"
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
    std::string out = fmt::format("{} and {} of memory", counted(answer.value("cpus", INT64_C(0)), "CPU"),
                                  format_bytes(answer.value("memory", INT64_C(0))));
    if (answer.contains("disk"))
        out += fmt::format(", with a disk of {} in pool {}", format_bytes(answer.value("disk", INT64_C(0))),
                           answer.value("pool", ""));
    return out;
}

std::string guests_text(const json& answer) {
    const std::string lost = answer.value("without", "");
    const json& guests = answer["guests"];
    if (guests.empty()) return fmt::format("without host {}: no VM is on it\n", lost);
    std::vector<std::vector<std::string>> rows;
    std::size_t homeless = 0;
    for (const json& guest : guests) {
        if (!guest.contains("host")) ++homeless;
        rows.push_back({guest.value("vm", ""), guest.value("host", "-"), guest.value("reason", "")});
    }
    std::vector<std::string> titles = {"VM", "WOULD GO TO", "WHY NOWHERE"};
    if (homeless == 0) {
        titles.pop_back();
        for (auto& row : rows) row.pop_back();
    }
    const std::string end = homeless == 0 ? "would find room on the other hosts"
                                          : fmt::format("would find room on the other hosts, but for {}", homeless);
    return fmt::format("without host {}: its {} {}:\n{}\n", lost, counted(guests.size(), "VM"), end,
                       table_text(titles, rows));
}

std::string room_text(const json& answer, bool without) {
    const auto count = answer.value("count", INT64_C(0));
    const std::string room = count == 0 ? "no room for one more VM" : "room for " + counted(count, "more VM");
    return fmt::format("{}{} of {}\n", without ? "then " : "", room, size_text(answer));
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
    out += room_text(answer, !o.without.empty());
    std::vector<std::vector<std::string>> rows;
    for (const json& host : answer["hosts"])
        rows.push_back({host.value("host", ""), std::to_string(host.value("count", 0)), host.value("limit", "")});
    if (!rows.empty()) out += table_text({"HOST", "MORE VMS", "WHY NOT ONE MORE"}, rows);
    session.terminal().data(out);
    if (o.flavor.empty() && o.cpus.empty() && o.memory.empty() && o.disk.empty())
        session.terminal().say("for another size: --cpus, --memory, --disk, or --flavor");
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
    verb->add_option("--without", o->without,
                     "What if this host were lost: where would its VMs go, and what fits then?");
}

}  // namespace axle::cli
