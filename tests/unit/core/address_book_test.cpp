// The lowest free address, whatever was taken, returned and asked before.
#include "orchestrator/core/address_book.hpp"

#include <doctest/doctest.h>

#include "tests/support/seeded_random.hpp"

using namespace axle;
using namespace axle::test;

namespace {

const auto kAny = [](std::uint32_t) { return true; };
Uuid holder(std::uint8_t n) {
    Uuid id;
    id.bytes[0] = n;
    return id;
}

}  // namespace

TEST_CASE("the lowest free address is found as by a walk over all, and a full range says so") {
    SeededRandom random{7};
    AddressBook book;
    std::set<std::uint32_t> taken;
    for (int i = 0; i < 20'000; ++i) {
        if (!taken.empty() && random.next() % 3 == 0) {
            auto at = taken.begin();
            std::advance(at, static_cast<long>(random.next() % taken.size()));
            book.give_back(*at);
            taken.erase(at);
        } else if (random.next() % 10 == 0) {  // one that somebody asked for by name
            const auto address = static_cast<std::uint32_t>(100 + random.next() % 100);
            book.take(address, holder(1));
            taken.insert(address);
        } else {
            std::uint32_t lowest = 100;
            while (taken.contains(lowest)) ++lowest;
            const auto found = book.lowest_free(100, 200, kAny);
            REQUIRE(found.has_value() == (lowest < 200));
            if (!found) continue;
            REQUIRE(*found == lowest);
            book.take(*found, holder(2));
            taken.insert(*found);
        }
    }
}

TEST_CASE("an empty book serves networks of any range, and addresses that may not be given are passed over") {
    const AddressBook none;
    CHECK(none.lowest_free(500, 600, kAny) == 500);
    CHECK(none.lowest_free(100, 200, kAny) == 100);
    AddressBook book;
    book.take(100, holder(1));
    CHECK(book.lowest_free(100, 200, [](std::uint32_t a) { return a != 101; }) == 102);
    CHECK(book.lowest_free(100, 200, kAny) == 101);
    CHECK(book.holder(100) == holder(1));
    CHECK_FALSE(book.holder(101));
}
