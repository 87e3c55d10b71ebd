// axle: the command line.
#include <csignal>

#include "common/base/log.hpp"
#include "orchestrator/cli/run.hpp"

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write, not a death
    axle::log::set_level(axle::log::Level::error);
    return axle::cli::run({argv + 1, argv + argc}, axle::cli::Terminal::of_process());
}
