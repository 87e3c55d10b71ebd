// SKIP_TEST(reason): for a test case that can't run where it stands. It says so loudly, is counted by tests/run, and
// fails the run if tests/must-run names the case.
#pragma once

#include <cstdio>

#include <doctest/doctest.h>

#define SKIP_TEST(reason)                                                                            \
    do {                                                                                             \
        std::printf("SKIPPED: %s: %s\n", doctest::getContextOptions()->currentTest->m_name, reason); \
        std::fflush(stdout);                                                                         \
        return;                                                                                      \
    } while (false)
