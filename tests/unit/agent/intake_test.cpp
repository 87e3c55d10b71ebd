#include "agent/core/intake.hpp"

#include <doctest/doctest.h>

#include "common/model/codec.hpp"

using namespace axle;

TEST_CASE("what a message must be so that anything of it is taken") {
    const SeenRecord seen{.revision = 100, .incarnation = 7, .run_id = "r7"};
    struct Row {
        const char* claim;
        Desired desired;
        bool taken;
    };
    const Row rows[] = {
        {"the same run, a later revision", {.cluster = "c", .incarnation = 7, .run_id = "r7", .revision = 101}, true},
        {"the same run, the same revision", {.cluster = "c", .incarnation = 7, .run_id = "r7", .revision = 100}, true},
        {"a new run with a higher incarnation",
         {.cluster = "c", .incarnation = 8, .run_id = "r8", .revision = 100},
         true},
        {"a lower revision", {.cluster = "c", .incarnation = 7, .run_id = "r7", .revision = 99}, false},
        {"a lower revision of a higher incarnation",
         {.cluster = "c", .incarnation = 9, .run_id = "x", .revision = 99},
         false},
        {"an equal incarnation under another run",
         {.cluster = "c", .incarnation = 7, .run_id = "other", .revision = 200},
         false},
        {"a lower incarnation", {.cluster = "c", .incarnation = 6, .run_id = "r6", .revision = 200}, false},
        {"another cluster", {.cluster = "d", .incarnation = 8, .run_id = "r8", .revision = 200}, false},
    };
    for (const Row& row : rows) {
        CAPTURE(row.claim);
        CHECK(refusal(row.desired, "c", seen).empty() == row.taken);
    }
}

TEST_CASE("what a document must be so that it is taken") {
    VmDocument vm{.id = VmId{*Uuid::parse("01890000-0000-7000-8000-000000000001")}, .epoch = {1, 5}, .cluster = "c"};
    const auto put_of = [](const VmDocument& document) {
        return Put{DocumentKind::vm, document.id, document.epoch, "h", to_json_text(document)};
    };
    const DocumentRecord kept{.kind = DocumentKind::vm, .id = vm.id, .epoch = {1, 5}};
    DocumentRecord gone = kept;
    gone.verdict = Verdict::gone;
    DocumentRecord releasing = kept;
    releasing.verdict = Verdict::release;

    SUBCASE("new, or at the epoch that is held: taken") {
        CHECK(refusal(put_of(vm), nullptr, "c") == "");
        CHECK(refusal(put_of(vm), &kept, "c") == "");
    }
    SUBCASE("a lower epoch: refused, with both epochs") {
        vm.epoch = {1, 4};
        const std::string why = refusal(put_of(vm), &kept, "c");
        CHECK(why.find("1.4") != std::string::npos);
        CHECK(why.find("1.5") != std::string::npos);
    }
    SUBCASE("an older incarnation with a higher revision: refused") {
        vm.epoch = {0, 99};
        CHECK(refusal(put_of(vm), &kept, "c") != "");
    }
    SUBCASE("at the epoch of a tombstone: refused; above it: taken") {
        CHECK(refusal(put_of(vm), &gone, "c") != "");
        CHECK(refusal(put_of(vm), &releasing, "c") != "");
        vm.epoch = {1, 6};
        CHECK(refusal(put_of(vm), &gone, "c") == "");
        CHECK(refusal(put_of(vm), &releasing, "c") == "");
    }
    SUBCASE("of another cluster, with another id or epoch inside, or unreadable: refused") {
        CHECK(refusal(put_of(vm), nullptr, "d") != "");
        Put put = put_of(vm);
        put.epoch = {1, 6};
        CHECK(refusal(put, nullptr, "c") != "");
        put = put_of(vm);
        put.id = Uuid{};
        CHECK(refusal(put, nullptr, "c") != "");
        put.content = "{";
        CHECK(refusal(put, nullptr, "c") != "");
    }
    SUBCASE("an end at a lower epoch does not count") {
        CHECK(may_end({1, 5}, &kept));
        CHECK(may_end({2, 1}, &kept));
        CHECK(may_end({1, 1}, nullptr));
        CHECK_FALSE(may_end({1, 4}, &kept));
    }
}
