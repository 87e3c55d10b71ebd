// A year of a small cloud: an ordinary workload, restarts, power cuts, clocks that drift and jump by years. Nothing is
// expunged early, what is over goes, nothing grows, nothing stops. SIM_YEAR_DAYS=N: so many days with the retention of
// life; else eight days in which history is kept a 75th of that.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>

#include "tests/sim/cloud/fixture.hpp"
#include "tests/support/cloud/acts.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::hours;
using std::chrono::minutes;

namespace {

constexpr std::int64_t kHour = 3'600'000, kDay = 24 * kHour, kYear = 365 * kDay;

struct Plan {
    std::uint64_t seed = 1;
    int days = 8;
    std::int64_t shorter = 75;  // history is kept 1/shorter of what it is in life
};

Retention shortened(std::int64_t by) {
    Retention keep;
    keep.changes /= by;
    keep.events /= by;
    keep.audit /= by;
    keep.mark_every /= by;
    return keep;
}

const std::vector<WeightedVerb>& ordinary_days() {
    static const std::vector<WeightedVerb> all = {
        {"vm-create", 12},     {"vm-delete", 8},      {"vm-restore", 4},     {"vm-expunge", 1},    {"vm-start", 6},
        {"vm-stop", 6},        {"vm-reboot", 3},      {"vm-pause", 2},       {"vm-resume", 3},     {"vm-migrate", 4},
        {"vm-patch", 4},       {"vm-attach", 3},      {"vm-detach", 3},      {"volume-create", 4}, {"volume-delete", 3},
        {"volume-restore", 2}, {"network-create", 1}, {"network-delete", 1}, {"image-create", 1},  {"image-delete", 1},
        {"keyed-create", 2},   {"forward-create", 1}, {"forward-delete", 1}};
    return all;
}

const std::vector<WeightedVerb>& bad_days() {
    static const std::vector<WeightedVerb> all = {
        {"orchestrator-crash", 4}, {"agent-crash", 4}, {"power-cut", 3}, {"cut", 3}, {"silence", 1},
        {"guest-down", 3},         {"guest-crash", 2}, {"freeze", 1}};
    return all;
}

class Year {
  public:
    explicit Year(const Plan& plan)
        : plan_(plan),
          keep_(shortened(plan.shorter)),
          cloud_({.seed = plan.seed, .hosts = 2, .retention = keep_}),
          chance_(plan.seed * 7919 + 3) {}

    // "" or what went wrong.
    std::string live() {
        for (day_ = 1; day_ <= plan_.days && trouble_.empty(); ++day_) live_a_day();
        if (trouble_.empty()) judge_levels();
        return trouble_;
    }
    std::uint64_t events() const { return cloud_.time.events_run(); }
    std::string figures() const {
        std::string text;
        for (const auto& [what, all] : levels_) text += fmt::format(", {} {}", what, all.back());
        return fmt::format("{} restarts, {} jumps by years, {} things outlived their retention{}", starts_.size(),
                           jumped_by_years_, expired_, text);
    }

  private:
    // A thing that was deleted and nobody restores: when it goes is checked.
    struct Deleted {
        Kind kind;
        Uuid id;
        std::int64_t at;
    };
    struct Jump {
        std::int64_t at, by;
    };

    void live_a_day() {
        look_at_the_clock();
        put_away();
        for (int i = 0; i < 10 && trouble_.empty(); ++i) {
            act(ordinary_days());
            drift();
            spend(minutes{chance_.between(60, 140)});
        }
        if (chance_.chance(70)) act(bad_days());
        if (chance_.chance(plan_.shorter > 1 ? 40 : 4))
            jump(chance_.chance(50) ? kYear * chance_.between(1, 10) : -kYear * chance_.between(1, 10));
        spend(hours{4});
        check_deleted();
        check_history();
        if (day_ % 7 == 0) come_to_rest();
        note_levels();
    }

    void spend(milliseconds span) {
        cloud_.run_for(span);
        fail_if(cloud_.violation());
    }
    void fail_if(const std::string& why) {
        if (trouble_.empty() && !why.empty()) trouble_ = fmt::format("day {}: {}", day_, why);
    }

    void act(const std::vector<WeightedVerb>& verbs) {
        const Act act = draw_act(chance_, verbs, 2, 0);
        cloud_.trace("act: " + text_of(act));
        const std::uint64_t before = cloud_.orchestrator_starts;
        if (auto mutation = mutation_of(cloud_, act))
            cloud_.ask(std::move(*mutation));
        else
            befall(cloud_, act);
        cloud_.run_until([&] { return cloud_.orchestrator_runs(); }, hours{12});
        for (auto n = before; n < cloud_.orchestrator_starts; ++n) starts_.push_back(now());
    }

    // ---- clocks

    void jump(std::int64_t by) {
        jumps_.push_back({now(), by});
        jumped_by_years_ += std::abs(by) >= kYear;
        cloud_.jump_wall(by);
        for (auto& host : cloud_.hosts) {
            if (host.machine->agent() != nullptr && chance_.chance(30)) host.machine->clock().jump_wall(by);
        }
    }
    void drift() {
        drifted_ = std::clamp<std::int64_t>(drifted_ + chance_.between(-90'000, 90'000), -kHour, kHour);
        jump(drifted_ / 10);
    }
    // In the morning somebody reads `axle status`; a clock that is apart is put right, or the cloud is told to take it.
    void look_at_the_clock() {
        const auto apart = std::make_shared<std::optional<bool>>();
        cloud_.orchestrator().overview(Cloud::admin(), [apart](Result<Overview> o) {
            *apart = std::ranges::any_of(o->problems, [](const Problem& p) { return p.type == "ClockApart"; });
        });
        if (!cloud_.run_until([&] { return apart->has_value(); })) return fail_if("nobody tells how the cloud is");
        std::int64_t wrong = 0;
        for (const Jump& j : jumps_) wrong += std::abs(j.by) >= kYear ? j.by : 0;
        if (wrong - accepted_ != 0 && !**apart) return fail_if("a clock that jumped by years is not told");
        if (!**apart) return;
        if (chance_.chance(50)) {
            jump(accepted_ - wrong);
        } else {
            accepted_ = wrong;
            cloud_.orchestrator().accept_clock(Cloud::admin(), [](const Result<ClockState>&) {});
            accepts_.push_back(now());
        }
        spend(minutes{1});
    }

    // ---- nothing goes early, all goes in the end

    void put_away() {
        const std::string name = fmt::format("kept{}", day_);
        const std::string more = fmt::format(R"({{"name":"{}","spec":{{"size":"1GiB"}}}})", name);
        if (cloud_.does(Cloud::create(Kind::volume, "default", more)) != "ok") return;
        spend(minutes{5});
        const Volume* made = cloud_.orchestrator_runs() ? cloud_.volume(name) : nullptr;
        if (made == nullptr) return;
        const Uuid id = made->meta.id;
        if (cloud_.does(Cloud::remove(Kind::volume, "default", name)) == "ok")
            deleted_.push_back({Kind::volume, id, now()});
    }

    // How much of a time may have been counted too much or too little: it runs at double speed where it lies behind,
    // an hour is added at each start, it waits where it is ahead; a person's word moves it anywhere.
    std::int64_t counted_at_most(std::int64_t since) const {
        if (std::ranges::any_of(accepts_, [&](std::int64_t at) { return at >= since; })) return 100 * kYear;
        return 2 * (now() - since) +
               kHour * std::ranges::count_if(starts_, [&](std::int64_t at) { return at >= since; });
    }
    std::int64_t counted_at_least(std::int64_t since) const {
        std::int64_t back = 2 * kDay;  // until the morning on which a clock that jumped by years is looked at, and more
        for (const Jump& j : jumps_)
            if (std::abs(j.by) < kYear && j.at >= since - kDay) back += std::abs(j.by);
        return now() - since - back;
    }

    void check_deleted() {
        if (!cloud_.orchestrator_runs()) return;
        constexpr std::int64_t kRetention = kDay;  // what it is if nobody says otherwise
        std::erase_if(deleted_, [&](const Deleted& d) {
            const bool there = cloud_.world().get(d.kind, d.id) != nullptr;
            if (!there && counted_at_most(d.at) < kRetention)
                fail_if(
                    fmt::format("{} deleted {} h ago went before its time", text_of(d.kind), (now() - d.at) / kHour));
            if (there && counted_at_least(d.at) > kRetention)
                fail_if(fmt::format("{} deleted {} h ago is still there", text_of(d.kind), (now() - d.at) / kHour));
            expired_ += !there;
            return !there;
        });
    }

    // The last row of each table on each evening tells how old what is there may be, and what must be there.
    struct Evening {
        std::int64_t at;
        Revision head;
        std::map<Table, std::string> newest;
    };
    void check_history() {
        if (!cloud_.orchestrator_runs()) return;
        Evening evening{now(), cloud_.store().durable(), {}};
        for (const Table table : {Table::changes, Table::events, Table::audit}) {
            if (!rows(table).empty()) evening.newest[table] = rows(table).rbegin()->first;
        }
        evenings_.push_back(std::move(evening));
        check_table(Table::changes, keep_.changes);
        check_table(Table::events, keep_.events);
        check_table(Table::audit, keep_.audit);
    }
    void check_table(Table table, std::int64_t kept) {
        const Revision oldest =
            rows(table).empty() ? cloud_.store().durable() + 1 : revision_of(rows(table).begin()->first);
        for (std::size_t i = 1; i < evenings_.size(); ++i) {
            const Evening &before = evenings_[i - 1], &then = evenings_[i];
            if (counted_at_least(then.at) > kept + kDay && oldest <= then.head)
                return fail_if(fmt::format("{} of revision {} are there, all up to {} are too old", name_of(table),
                                           oldest, then.head));
            const auto newest = then.newest.find(table);
            const bool is_of_that_day = newest != then.newest.end() && revision_of(newest->second) > before.head;
            if (is_of_that_day && counted_at_most(before.at) < kept && !rows(table).contains(newest->second))
                return fail_if(fmt::format("{} of day {} have gone before their time", name_of(table), i + 1));
        }
    }
    const MemoryDisk::Rows& rows(Table table) const { return cloud_.disk.tables[static_cast<std::size_t>(table)]; }
    static Revision revision_of(std::string_view key) { return parse_revision_key(key.substr(0, 8)).value_or(0); }

    // ---- nothing stops, nothing grows

    void come_to_rest() {
        cloud_.stop_faults();
        if (!cloud_.run_until([&] { return cloud_.eyes->unsettled().empty(); }, hours{3}))
            return fail_if(cloud_.violation().empty() ? "not converged: " + cloud_.eyes->unsettled()
                                                      : cloud_.violation());
        cloud_.eyes->look_closely();
        fail_if(cloud_.violation());
    }

    void note_levels() {
        if (!cloud_.orchestrator_runs()) return;
        for (std::size_t t = 0; t < kTables; ++t)
            levels_[fmt::format("rows of {}", name_of(static_cast<Table>(t)))].push_back(cloud_.disk.tables[t].size());
        std::size_t objects = 0;
        for (const KindInfo& kind : all_kinds()) objects += cloud_.world().all(kind.kind).size();
        levels_["objects in memory"].push_back(objects);
        levels_["timers of the orchestrator"].push_back(cloud_.orchestrator_clock().timers());
        std::size_t files = 0, timers = 0;
        for (auto& host : cloud_.hosts) {
            files += host.machine->files.size();
            timers += host.machine->clock().timers();
        }
        levels_["files of the agents"].push_back(files);
        levels_["timers of the agents"].push_back(timers);
    }

    // What is kept sets how long it takes until a level is reached; from then on it holds.
    void judge_levels() {
        for (const auto& [what, all] : levels_) {
            const bool long_kept = what == "rows of audit" || what == "rows of meta";
            const auto from = static_cast<std::size_t>((long_kept ? keep_.audit : keep_.events) / kDay + 3);
            if (from + 4 > all.size()) continue;
            const auto middle = all.begin() + static_cast<std::ptrdiff_t>((from + all.size()) / 2);
            const std::size_t early = *std::max_element(all.begin() + static_cast<std::ptrdiff_t>(from / 2), middle);
            const std::size_t late = *std::max_element(middle, all.end());
            if (late > early + early / 2 + 60)
                fail_if(fmt::format("{} grow: at most {} before, {} in the end", what, early, late));
        }
    }

    std::int64_t now() const { return cloud_.time.now_ms(); }

    const Plan plan_;
    const Retention keep_;
    Furnished cloud_;
    SeededRandom chance_;
    int day_ = 0;
    std::string trouble_;
    std::int64_t drifted_ = 0, accepted_ = 0;
    std::vector<std::int64_t> starts_, accepts_;
    std::vector<Jump> jumps_;
    std::vector<Deleted> deleted_;
    std::vector<Evening> evenings_;
    std::map<std::string, std::vector<std::size_t>> levels_;
    std::size_t jumped_by_years_ = 0, expired_ = 0;
};

}  // namespace

TEST_CASE("a year of ordinary days, failures and wrong clocks: nothing goes early, nothing stays, nothing grows") {
    Plan plan;
    if (const char* days = std::getenv("SIM_YEAR_DAYS")) plan = {.days = std::atoi(days), .shorter = 1};
    if (const char* seed = std::getenv("TEST_SEED")) plan.seed = std::strtoull(seed, nullptr, 10);
    const auto began = std::chrono::steady_clock::now();
    Year year(plan);
    CHECK(year.live() == "");
    const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    MESSAGE(fmt::format("{} days in {:.1f} s, {} events: {}", plan.days, took, year.events(), year.figures()));
}

TEST_CASE("a clock that was ten years ahead is put right and accepted: what was deleted goes after its retention") {
    Furnished cloud({.hosts = 1});
    const auto accept = [&](std::int64_t jump) {
        cloud.jump_wall(jump);
        bool accepted = false;
        cloud.orchestrator().accept_clock(Cloud::admin(), [&](Result<ClockState> state) { accepted = !!state; });
        REQUIRE(cloud.run_until([&] { return accepted; }));
    };
    const std::int64_t years = INT64_C(10) * 365 * 24 * 3'600'000;
    accept(years);
    const Uuid id = cloud.makes_and_deletes("web", R"(,"retention":"4h")");
    const auto& changes = cloud.disk.tables[static_cast<std::size_t>(Table::changes)];
    const std::string oldest = changes.begin()->first;
    accept(-years);
    cloud.run_for(minutes{230});
    CHECK(cloud.world().find<Vm>(id) != nullptr);
    cloud.run_for(minutes{20});
    CHECK(cloud.world().find<Vm>(id) == nullptr);
    CHECK(changes.contains(oldest));
    cloud.run_for(hours{24 * 7});
    CHECK_FALSE(changes.contains(oldest));
    CHECK(cloud.violation() == "");
}
