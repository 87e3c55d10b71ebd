// Ranges that overlap are found as by comparing with each.
#include "orchestrator/core/range_book.hpp"

#include <vector>

#include <doctest/doctest.h>

#include "tests/support/seeded_random.hpp"

using namespace axle;
using namespace axle::test;

namespace {

Cidr drawn(SeededRandom& random) {
    const int prefix = 8 + static_cast<int>(random.below(22));
    const auto address = static_cast<std::uint32_t>(0x0a000000 + random.below(1 << 18) * 64);
    return {address & Cidr{0, prefix}.mask(), prefix};
}

}  // namespace

TEST_CASE("a range that overlaps others is found, and none is found where none does") {
    SeededRandom random(7);
    for (int round = 0; round < 50; ++round) {
        RangeBook book;
        std::vector<Cidr> ranges;
        for (std::uint64_t i = 0; i < 1 + random.below(20); ++i) {
            const Cidr range = drawn(random);
            if (range.prefix < 14) continue;  // else everything is taken
            ranges.push_back(range);
            book.add(range, Uuid::make_v7(WallTime{round}, random));
        }
        for (int i = 0; i < 200; ++i) {
            const Cidr asked = drawn(random);
            bool any = false;
            for (const Cidr& range : ranges) any = any || range.overlaps(asked);
            const auto found = book.overlapping(asked);
            REQUIRE(found.has_value() == any);
            if (found) CHECK(found->range.overlaps(asked));
        }
    }
}

TEST_CASE("a range is free when its last owner has given it back") {
    SeededRandom random(1);
    const Cidr range = *parse_cidr("10.90.0.0/24");
    const Uuid one = Uuid::make_v7(WallTime{1}, random), other = Uuid::make_v7(WallTime{1}, random);
    RangeBook book;
    book.add(range, one);
    book.add(range, other);
    book.remove(range, one);
    CHECK(book.overlapping(*parse_cidr("10.0.0.0/8"))->owner == other);
    book.remove(range, other);
    book.remove(range, other);
    CHECK_FALSE(book.overlapping(range).has_value());
    CHECK(book == RangeBook{});
}
