// What every store promises, on both.
#include <algorithm>

#include <doctest/doctest.h>

#include "tests/contract/store/fixtures.hpp"

namespace axle::test {
namespace {

#define BOTH MemoryFixture, RocksFixture

using Rows = std::vector<std::pair<std::string, std::string>>;

Batch put(Revision revision, const std::string& key, const std::string& value) {
    return {.last_revision = revision, .writes = {{Table::objects, key, value}}};
}

// A fixture that is open, and remembers what it is told.
template <typename Fixture>
struct Opened : Fixture {
    std::vector<Revision> told;

    Opened() { open_again(); }
    void open_again() {
        const auto opened = this->open();
        REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
        this->store().on_durable([this](Revision revision) { told.push_back(revision); });
    }
    void reopen() {
        this->close();
        open_again();
    }
    void commit(Batch batch) { this->store().commit(std::move(batch)); }
    void settle() {
        REQUIRE(this->run_until([&] { return this->store().queued() == 0; }));
        REQUIRE(this->run_until([&] { return !told.empty() && told.back() == this->store().durable(); }));
    }
    std::optional<std::string> get(Table table, const std::string& key) {
        const auto value = this->store().get(table, key);
        REQUIRE(value);
        return *value;
    }
    Rows scan(Table table, const std::string& from, const std::string& until, bool reverse = false,
              std::size_t most = 1000) {
        Rows rows;
        REQUIRE(this->store().scan(table, from, until, reverse, [&](std::string_view key, std::string_view value) {
            rows.emplace_back(key, value);
            return rows.size() < most;
        }));
        return rows;
    }
    StoreState accept_loss(Seen seen = {}) {
        std::optional<Result<StoreState>> answer;
        this->store().accept_loss(seen, [&](Result<StoreState> state) { answer = std::move(state); });
        REQUIRE(this->run_until([&] { return answer.has_value(); }));
        REQUIRE_MESSAGE(*answer, (*answer ? "" : answer->error().message));
        return **answer;
    }
};

TEST_CASE_TEMPLATE("a first opening founds a cluster", F, BOTH) {
    Opened<F> f;
    const StoreState state = f.store().state();
    CHECK(state.fresh);
    CHECK(state.cluster);
    CHECK(state.incarnation == 1);
    CHECK(state.revision == 0);
    CHECK(state.run_id.size() == 16);
    CHECK(state.history.size() == 16);
    CHECK_FALSE(state.read_only);
    CHECK(f.store().durable() == 0);
}

TEST_CASE_TEMPLATE("batches become durable in their order, and are told so", F, BOTH) {
    Opened<F> f;
    for (Revision r = 1; r <= 500; ++r) f.commit(put(r, "vm/1", std::to_string(r)));
    f.settle();
    CHECK(f.get(Table::objects, "vm/1") == "500");
    CHECK(f.store().durable() == 500);
    CHECK(std::ranges::is_sorted(f.told));
    CHECK(f.told.back() == 500);
    CHECK(f.told.size() <= 500);
}

TEST_CASE_TEMPLATE("batches that wait together share a sync", F, BOTH) {
    Opened<F> f;
    for (Revision r = 1; r <= 2000; ++r) f.commit(put(r, "vm/" + std::to_string(r), "x"));
    f.settle();
    CHECK(f.told.size() < 1000);
    CHECK(f.scan(Table::objects, "", "", false, 5000).size() == 2000);
}

TEST_CASE_TEMPLATE("durable() never goes back, and what it says can be read", F, BOTH) {
    Opened<F> f;
    for (Revision r = 1; r <= 200; ++r) f.commit(put(r, "vm/" + std::to_string(r), "x"));
    Revision before = 0;
    REQUIRE(f.run_until([&] {
        const Revision now = f.store().durable();
        CHECK(now >= before);
        before = now;
        if (now > 0) CHECK(f.get(Table::objects, "vm/" + std::to_string(now)));
        return now == 200;
    }));
}

TEST_CASE_TEMPLATE("a batch spans tables and is whole", F, BOTH) {
    Opened<F> f;
    f.commit({.last_revision = 3,
              .writes = {{Table::objects, "a", "1"},
                         {Table::changes, revision_key(3), "c"},
                         {Table::tasks, "t", "2"},
                         {Table::events, "e", "3"},
                         {Table::audit, "u", "4"},
                         {Table::idempotency, "i", "5"},
                         {Table::meta, "clock", "6"}}});
    f.settle();
    CHECK(f.get(Table::objects, "a") == "1");
    CHECK(f.get(Table::changes, revision_key(3)) == "c");
    CHECK(f.get(Table::tasks, "t") == "2");
    CHECK(f.get(Table::events, "e") == "3");
    CHECK(f.get(Table::audit, "u") == "4");
    CHECK(f.get(Table::idempotency, "i") == "5");
    CHECK(f.get(Table::meta, "clock") == "6");
    CHECK_FALSE(f.get(Table::tasks, "a"));
}

TEST_CASE_TEMPLATE("writes of a batch are applied in order, after its ranges", F, BOTH) {
    Opened<F> f;
    f.commit(put(1, "k", "old"));
    f.commit({.last_revision = 2,
              .writes = {{Table::objects, "k", "a"},
                         {Table::objects, "k", std::nullopt},
                         {Table::objects, "k", "b"},
                         {Table::objects, "never-was", std::nullopt},
                         {Table::changes, revision_key(1), "kept"}},
              .deleted_ranges = {{revision_key(0), revision_key(9)}, {"k", "l", Table::objects}}});
    f.settle();
    CHECK(f.get(Table::objects, "k") == "b");
    CHECK(f.get(Table::changes, revision_key(1)) == "kept");
}

TEST_CASE_TEMPLATE("a deleted range goes from its first key to before its end", F, BOTH) {
    Opened<F> f;
    Batch fill{.last_revision = 9};
    for (Revision r = 1; r <= 9; ++r) fill.writes.push_back({Table::changes, revision_key(r), "c"});
    f.commit(fill);
    f.commit({.last_revision = 9, .deleted_ranges = {{revision_key(3), revision_key(6)}}});
    f.commit({.last_revision = 9, .deleted_ranges = {{revision_key(8), revision_key(7)}}});  // empty
    f.settle();
    std::vector<Revision> left;
    for (const auto& [key, value] : f.scan(Table::changes, "", "")) left.push_back(*parse_revision_key(key));
    CHECK(left == std::vector<Revision>{1, 2, 6, 7, 8, 9});
    f.reopen();
    CHECK(f.scan(Table::changes, "", "").size() == 6);
}

TEST_CASE_TEMPLATE("a scan keeps its bounds, in both directions, and stops when told", F, BOTH) {
    Opened<F> f;
    Batch fill{.last_revision = 1};
    for (const char* key : {"host/a", "vm/a", "vm/b", "vm/c", "vm0"}) fill.writes.push_back({Table::objects, key, "1"});
    f.commit(fill);
    f.settle();
    struct Row {
        const char *from, *until;
        bool reverse;
        std::size_t most;
        std::vector<std::string> keys;
    };
    for (const Row& row :
         {Row{"vm/", "vm0", false, 9, {"vm/a", "vm/b", "vm/c"}}, Row{"vm/", "vm0", true, 9, {"vm/c", "vm/b", "vm/a"}},
          Row{"vm/", "vm0", true, 1, {"vm/c"}}, Row{"vm/b", "", false, 9, {"vm/b", "vm/c", "vm0"}},
          Row{"", "vm/b", true, 9, {"vm/a", "host/a"}}, Row{"", "", false, 2, {"host/a", "vm/a"}},
          Row{"x", "y", false, 9, {}}, Row{"vm/b", "vm/b", true, 9, {}}, Row{"z", "a", false, 9, {}}}) {
        CAPTURE(row.from);
        CAPTURE(row.until);
        CAPTURE(row.reverse);
        std::vector<std::string> keys;
        for (const auto& [key, value] : f.scan(Table::objects, row.from, row.until, row.reverse, row.most))
            keys.push_back(key);
        CHECK(keys == row.keys);
    }
}

TEST_CASE_TEMPLATE("keys and values may hold any bytes", F, BOTH) {
    Opened<F> f;
    const std::string key("a\0b\xff", 4), value("\0\n\xfe", 3);
    f.commit(put(1, key, value));
    f.commit(put(2, "empty", ""));
    f.settle();
    CHECK(f.get(Table::objects, key) == value);
    CHECK(f.get(Table::objects, "empty") == "");
    CHECK_FALSE(f.get(Table::objects, "a"));
}

TEST_CASE_TEMPLATE("opening again finds all of it, in a new run of the same history", F, BOTH) {
    Opened<F> f;
    const StoreState first = f.store().state();
    for (Revision r = 1; r <= 20; ++r) f.commit(put(r, "vm/" + std::to_string(r), "x"));
    f.settle();
    f.reopen();
    const StoreState second = f.store().state();
    CHECK(f.scan(Table::objects, "", "").size() == 20);
    CHECK(second.revision == 20);
    CHECK(f.store().durable() == 20);
    CHECK(second.cluster == first.cluster);
    CHECK(second.history == first.history);
    CHECK(second.incarnation == first.incarnation + 1);
    CHECK(second.run_id != first.run_id);
    CHECK_FALSE(second.fresh);
    CHECK_FALSE(second.read_only);
    f.commit(put(21, "vm/21", "x"));
    f.settle();
    CHECK(f.get(Table::objects, "vm/21") == "x");
}

TEST_CASE_TEMPLATE("a batch without a revision rides behind the one before", F, BOTH) {
    Opened<F> f;
    f.commit(put(7, "a", "1"));
    f.commit({.writes = {{Table::events, "e", "1"}}});
    f.settle();
    REQUIRE(f.run_until([&] { return f.get(Table::events, "e").has_value(); }));
    CHECK(f.store().durable() == 7);
    f.reopen();
    CHECK(f.store().durable() == 7);
}

TEST_CASE_TEMPLATE("space is measured", F, BOTH) {
    Opened<F> f;
    const Space space = f.store().space();
    CHECK(space.free_bytes > 0);
    CHECK(space.total_bytes >= space.free_bytes);
}

TEST_CASE_TEMPLATE("a store that was turned read-only stays so until the loss is accepted", F, BOTH) {
    Opened<F> f;
    f.commit(put(5, "a", "1"));
    f.store().turn_read_only("other-run", "host h1 has seen incarnation 9 under another run", {.revision = 70});
    REQUIRE(f.store().state().read_only);
    CHECK(f.run_until([&] { return f.store().queued() == 0; }));
    f.reopen();
    const StoreState state = f.store().state();
    REQUIRE(state.read_only);
    CHECK(state.read_only->reason == "other-run");
    CHECK(f.get(Table::objects, "a") == "1");
    const StoreState mended = f.accept_loss({.revision = 90, .incarnation = 9});
    CHECK_FALSE(mended.read_only);
    CHECK(mended.revision > 90);
    CHECK(mended.incarnation > 9);
    CHECK(mended.history != state.history);
    f.commit(put(mended.revision + 1, "b", "2"));
    f.settle();
    f.reopen();
    CHECK_FALSE(f.store().state().read_only);
    CHECK(f.store().state().history == mended.history);
    CHECK(f.get(Table::objects, "b") == "2");
}

TEST_CASE_TEMPLATE("there is no loss to accept in a healthy store", F, BOTH) {
    Opened<F> f;
    std::optional<Result<StoreState>> answer;
    f.store().accept_loss({}, [&](Result<StoreState> state) { answer = std::move(state); });
    REQUIRE(f.run_until([&] { return answer.has_value(); }));
    REQUIRE_FALSE(*answer);
    CHECK(answer->error().code == Code::conflict);
}

TEST_CASE_TEMPLATE("an older copy is noticed, read, and goes on after the loss is accepted", F, BOTH) {
    Opened<F> f;
    f.commit(put(10, "a", "old"));
    f.settle();
    f.close();
    f.keep_copy();
    f.open_again();
    f.commit(put(30, "a", "new"));
    f.settle();
    f.close();
    f.restore_copy();
    for (int again = 0; again < 2; ++again) {  // it is noticed each time
        f.open_again();
        const StoreState state = f.store().state();
        REQUIRE(state.read_only);
        CHECK(state.read_only->reason == "lost-tail");
        CHECK(state.read_only->revision == 10);
        CHECK(state.read_only->seen == 30);
        CHECK(f.get(Table::objects, "a") == "old");
        f.close();
    }
    f.open_again();
    const StoreState mended = f.accept_loss();
    CHECK(mended.revision > 30);
    f.reopen();
    CHECK_FALSE(f.store().state().read_only);
    CHECK(f.store().state().revision == mended.revision);
}

TEST_CASE_TEMPLATE("the newest copy put back in place of an older one opens as if nothing had been", F, BOTH) {
    Opened<F> f;
    f.commit(put(10, "a", "1"));
    f.settle();
    f.close();
    f.keep_copy();
    f.lose_store();
    f.open_again();
    REQUIRE(f.store().state().read_only);
    f.close();
    f.restore_copy();
    f.open_again();
    CHECK_FALSE(f.store().state().read_only);
    CHECK(f.get(Table::objects, "a") == "1");
}

TEST_CASE_TEMPLATE("an empty place where a cluster was is no new cluster", F, BOTH) {
    Opened<F> f;
    const StoreState before = f.store().state();
    f.commit(put(10, "a", "1"));
    f.settle();
    f.close();
    f.lose_store();
    SUBCASE("the witness is there") {}
    SUBCASE("the witness is gone as well") {
        f.lose_witness();
    }
    for (int again = 0; again < 2; ++again) {
        f.open_again();
        const StoreState state = f.store().state();
        REQUIRE(state.read_only);
        CHECK(state.read_only->reason == "lost-store");
        CHECK(state.cluster == before.cluster);
        CHECK_FALSE(state.fresh);
        f.close();
    }
    f.open_again();
    CHECK(f.accept_loss().revision > 10);
    f.reopen();
    CHECK_FALSE(f.store().state().read_only);
}

TEST_CASE_TEMPLATE("a store without its witness is read-only", F, BOTH) {
    Opened<F> f;
    f.commit(put(10, "a", "1"));
    f.settle();
    f.close();
    f.lose_witness();
    f.open_again();
    REQUIRE(f.store().state().read_only);
    CHECK(f.store().state().read_only->reason == "no-witness");
    f.accept_loss();
    f.reopen();
    CHECK_FALSE(f.store().state().read_only);
}

TEST_CASE_TEMPLATE("a store without its identity does not open, and is not harmed", F, BOTH) {
    Opened<F> f;
    f.commit(put(10, "a", "1"));
    f.settle();
    f.close();
    f.lose_identity();
    SUBCASE("store is there") {}
    SUBCASE("store is gone") {
        f.lose_store();
    }
    const auto refused = f.open();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::conflict);
    CHECK_FALSE(refused.error().hint.empty());
}

TEST_CASE_TEMPLATE("no cluster is founded where an agent holds state", F, BOTH) {
    F f;
    f.have_agent_state();
    const auto refused = f.open();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::conflict);
}

TEST_CASE_TEMPLATE("what agents have seen counts as a witness", F, BOTH) {
    Opened<F> f;
    f.commit(put(10, "a", "1"));
    f.settle();
    f.close();
    f.agents = {.revision = 10, .incarnation = 44};
    f.open_again();
    CHECK_FALSE(f.store().state().read_only);
    CHECK(f.store().state().incarnation == 45);
    f.close();
    f.agents = {.revision = 11, .incarnation = 44};
    f.open_again();
    REQUIRE(f.store().state().read_only);
    CHECK(f.store().state().read_only->reason == "lost-tail");
}

}  // namespace
}  // namespace axle::test
