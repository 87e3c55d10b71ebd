// Runs other programs: an argument list, never a shell. Blocks until the program has ended: workers only.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/confinement.hpp"
#include "common/base/result.hpp"

namespace axle {

struct ProcessSpec {
    std::string program;  // absolute, or a name looked up in /usr/sbin:/usr/bin:/sbin:/bin
    std::vector<std::string> arguments;
    std::string input;  // its standard input, whole
    // Added to PATH and LC_ALL=C; nothing of our own environment is passed on.
    std::vector<std::pair<std::string, std::string>> environment;
    std::string directory = "/";
    unsigned umask = 0022;
    milliseconds time_limit{60'000};                       // then its whole process group is killed
    std::size_t output_limit = 1 << 20;                    // of standard output; more is Code::too_large
    std::size_t error_tail_limit = 4096;                   // of standard error the last bytes are kept
    std::stop_token cancel;                                // a stop kills the process group
    std::function<void(std::string_view)> on_output = {};  // pieces of standard output as they come; they aren't kept
    bool dies_with_us = true;                              // killed when the thread that runs it ends, however it ends
    std::optional<Confinement> confinement = {};
};

struct ProcessResult {
    int exit_status = -1;  // -1: ended by `signal`
    int signal = 0;
    std::string output;
    std::string error_tail;
    bool ok() const { return exit_status == 0; }
};

// Runs it to its end; whatever it started in its process group is killed then. An error means that it did not start
// (not_found: the program isn't installed), ran out of time (Code::timeout), was cancelled (Code::conflict, reason
// "cancelled") or said too much. An exit status other than 0 is a result.
Result<ProcessResult> run_process(const ProcessSpec& spec);

// The same, and any end but exit status 0 is an error with the program, how it ended and its last words. The value is
// its standard output.
Result<std::string> run_checked(const ProcessSpec& spec);

// What of a result is worth telling: "qemu-img check: exit status 2: ...".
std::string describe_end(const ProcessSpec& spec, const ProcessResult& result);

}  // namespace axle
