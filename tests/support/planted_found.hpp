// A planted bug and what found it: a line of the table that `tests/run planted` makes.
#pragma once
#include <cstdio>
#include <string>

#include <doctest/doctest.h>

namespace axle::test {

// trouble: what the search said; empty: nothing, and the test fails.
inline void planted_found(const std::string& bug, const std::string& trouble) {
    INFO(bug);
    CHECK(trouble != "");
    if (!trouble.empty())
        std::printf("planted: %s | %.100s\n", bug.c_str(), trouble.substr(0, trouble.find('\n')).c_str());
}

}  // namespace axle::test
