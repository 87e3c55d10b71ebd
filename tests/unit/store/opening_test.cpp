#include "orchestrator/store/opening.hpp"

#include <doctest/doctest.h>

#include "orchestrator/store/migrations.hpp"

namespace axle {
namespace {

const Uuid kCluster = *Uuid::parse("0198f000-0000-7000-8000-000000000001");
const Uuid kOther = *Uuid::parse("0198f000-0000-7000-8000-000000000002");

StoreMark mark(Revision revision) {
    return {.schema = 1,
            .cluster = kCluster,
            .incarnation = 5,
            .history = "h2",
            .previous_history = "h1",
            .revision = revision};
}
WitnessRecord witness(Revision revision, const std::string& history = "h2") {
    return {.revision = revision, .incarnation = 5, .run_id = "r", .history = history, .cluster = kCluster};
}
Found healthy() {
    return {.store = mark(100), .witness = witness(98), .identity = kCluster};
}

TEST_CASE("what an opening decides") {
    struct Row {
        const char* name;
        Found found;
        Opening opening;
        const char* reason;  // of read-only
    };
    Found founding = healthy();
    founding.store->founding = true;
    founding.store->revision = 0;
    founding.witness.reset();
    founding.identity.reset();
    Found turned = healthy();
    turned.store->read_only = ReadOnly{.why = "an agent said so", .reason = "other-run"};
    Found seen_by_agents = healthy();
    seen_by_agents.agents.revision = 101;
    const Row rows[] = {
        {"nothing is there", {}, Opening::found_cluster, nullptr},
        {"a witness that lags is right", healthy(), Opening::open, nullptr},
        {"the witness of the history before is right",
         {.store = mark(100), .witness = witness(100, "h1"), .identity = kCluster},
         Opening::open,
         nullptr},
        {"a crash fell into the first start", founding, Opening::go_on_founding, nullptr},
        {"the tail is lost",
         {.store = mark(100), .witness = witness(101), .identity = kCluster},
         Opening::open_read_only,
         "lost-tail"},
        {"agents have seen more", seen_by_agents, Opening::open_read_only, "lost-tail"},
        {"a copy of another history",
         {.store = mark(100), .witness = witness(5, "h3"), .identity = kCluster},
         Opening::open_read_only,
         "other-history"},
        {"the witness is lost", {.store = mark(100), .identity = kCluster}, Opening::open_read_only, "no-witness"},
        {"it was turned read-only before", turned, Opening::open_read_only, "other-run"},
        {"the store is lost", {.witness = witness(7), .identity = kCluster}, Opening::replace_store, "lost-store"},
        {"store and witness are lost", {.identity = kCluster}, Opening::replace_store, "lost-store"},
    };
    for (const Row& row : rows) {
        CAPTURE(std::string(row.name));
        const auto verdict = judge_opening(row.found);
        REQUIRE(verdict);
        CHECK(verdict->opening == row.opening);
        CHECK(verdict->read_only.has_value() == (row.reason != nullptr));
        if (row.reason && verdict->read_only) CHECK(verdict->read_only->reason == row.reason);
    }
}

TEST_CASE("starting is refused where it would harm") {
    Found alien_identity = healthy();
    alien_identity.identity = kOther;
    Found alien_witness = healthy();
    alien_witness.witness->cluster = kOther;
    Found no_identity = healthy();
    no_identity.identity.reset();
    for (const Found& found : {alien_identity, alien_witness, no_identity, Found{.witness = witness(1)},
                               Found{.agent_state = true}, Found{.key_alone = true}}) {
        const auto verdict = judge_opening(found);
        REQUIRE_FALSE(verdict);
        CHECK(verdict.error().code == Code::conflict);
        CHECK_FALSE(verdict.error().hint.empty());
    }
}

TEST_CASE("a lost tail is told with its numbers") {
    const auto verdict = judge_opening({.store = mark(100), .witness = witness(130), .identity = kCluster});
    REQUIRE(verdict);
    REQUIRE(verdict->read_only);
    for (const char* number : {"100", "130", "30"}) CHECK(verdict->read_only->why.find(number) != std::string::npos);
    CHECK(verdict->read_only->hint.find("axle store accept-loss") != std::string::npos);
}

TEST_CASE("the incarnation goes above store, witness and agents") {
    Found found = healthy();
    CHECK(judge_opening(found)->incarnation == 6);
    found.witness->incarnation = 9;
    CHECK(judge_opening(found)->incarnation == 10);
    found.agents.incarnation = 20;
    CHECK(judge_opening(found)->incarnation == 21);
    CHECK(judge_opening({})->incarnation == 1);
}

TEST_CASE("accepting a loss goes above all that was seen, and the old witness still fits") {
    StoreMark mended = mark(100);
    const StoreState before{.incarnation = 6, .read_only = ReadOnly{.seen = 130}};
    mend_mark(mended, before, {.revision = 5000, .incarnation = 8}, witness(130, "h3"), "h4");
    CHECK(mended.revision > 5000);
    CHECK(mended.incarnation == 9);
    CHECK(mended.history == "h4");
    const auto verdict = judge_opening({.store = mended, .witness = witness(130, "h3"), .identity = kCluster});
    REQUIRE(verdict);
    CHECK(verdict->opening == Opening::open);
}

TEST_CASE("a mark reads as it was written, and a damaged one is refused") {
    StoreMark written = mark(0);
    written.founding = true;
    written.read_only = ReadOnly{.why = "w", .hint = "h", .seen = 3, .revision = 2, .reason = "r"};
    const auto read = read_mark(write_mark(written));
    REQUIRE(read);
    CHECK(write_mark(*read) == write_mark(written));
    for (const char* damaged : {"", "{}", "[]", R"({"schema":1,"cluster":"x","incarnation":1,"history":"h"})"})
        CHECK(read_mark(damaged).error().code == Code::corrupt);
}

TEST_CASE("a newer schema is refused with what to do") {
    const std::vector<SchemaStep> one = {{.name = "first", .next_part = nullptr}};
    CHECK(check_schema(1, one));
    CHECK(check_schema(2, one));
    const auto refused = check_schema(3, one);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("schema 3") != std::string::npos);
    CHECK(refused.error().hint.find("install the version") != std::string::npos);
}

TEST_CASE("keys of revisions sort as the numbers do") {
    CHECK(revision_key(1) < revision_key(2));
    CHECK(revision_key(255) < revision_key(256));
    CHECK(parse_revision_key(revision_key(0x0123456789abcdef)) == 0x0123456789abcdef);
    CHECK_FALSE(parse_revision_key("short"));
}

}  // namespace
}  // namespace axle
