// The one main of every doctest binary.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include "tests/support/test_file.hpp"

std::string axle::test_file(const std::string& relative) {
    return AXLE_TESTS_FOLDER "/" + relative;
}
