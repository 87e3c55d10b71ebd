// Memory that goes back, lines that strangers bring about.
#include <cstdlib>
#include <cstring>
#include <vector>

#include <doctest/doctest.h>

#include "common/base/memory.hpp"
#include "common/base/seldom.hpp"

using namespace axle;

TEST_CASE("memory that a flood has left goes back to the kernel, once") {
#if defined(__SANITIZE_ADDRESS__)
    MESSAGE("the sanitizer has an allocator of its own: what it holds is not known");
#else
    std::vector<char*> flood;
    for (int i = 0; i < 20'000; ++i) {
        flood.push_back(static_cast<char*>(std::malloc(5'000)));
        std::memset(flood.back(), 1, 5'000);
    }
    for (std::size_t i = 0; i + 1 < flood.size(); ++i) std::free(flood[i]);  // the last keeps the heap from shrinking
    CHECK(give_back_memory() > (std::int64_t{64} << 20));
    CHECK(give_back_memory() == 0);
    std::free(flood.back());
#endif
}

TEST_CASE("so many lines a minute are said, and the next says how many were left out") {
    Seldom seldom(2);
    CHECK(seldom.line("a", {0}) == "a");
    CHECK(seldom.line("b", {1'000}) == "b");
    for (int i = 0; i < 5; ++i) CHECK_FALSE(seldom.line("c", {2'000 + i}).has_value());
    CHECK_FALSE(seldom.line("d", {59'999}).has_value());
    CHECK(seldom.line("e", {60'000}) == "e (and 6 more like this before)");
    CHECK(seldom.line("f", {60'001}) == "f");
}
