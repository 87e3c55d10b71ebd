#include "orchestrator/cli/terminal.hpp"

#include <csignal>
#include <cstdlib>
#include <poll.h>
#include <unistd.h>

namespace axle::cli {
namespace {

volatile std::sig_atomic_t interrupted = 0;
struct sigaction former_action;

extern "C" void on_interrupt(int) {
    interrupted = 1;
}

}  // namespace

Terminal Terminal::of_process() {
    Terminal t;
    t.in_is_tty = ::isatty(0) == 1;
    t.out_is_tty = ::isatty(1) == 1;
    t.err_is_tty = ::isatty(2) == 1;
    t.environment = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value != nullptr ? value : "");
    };
    return t;
}

void Terminal::data(std::string_view text) const {
    std::fwrite(text.data(), 1, text.size(), out);
    std::fflush(out);
}

void Terminal::say(std::string_view line) const {
    progress("");
    std::fwrite(line.data(), 1, line.size(), err);
    std::fputc('\n', err);
    std::fflush(err);
}

void Terminal::progress(std::string_view line) const {
    if (!err_is_tty) return;
    std::fputs("\r\033[K", err);
    std::fwrite(line.data(), 1, line.size(), err);
    std::fflush(err);
}

bool was_interrupted() {
    return interrupted != 0;
}

void pause_for(int ms) {
    ::poll(nullptr, 0, ms);
}

InterruptGuard::InterruptGuard() {
    interrupted = 0;
    struct sigaction action {};
    action.sa_handler = on_interrupt;  // without SA_RESTART: waits end with EINTR
    ::sigaction(SIGINT, &action, &former_action);
}

InterruptGuard::~InterruptGuard() {
    ::sigaction(SIGINT, &former_action, nullptr);
}

}  // namespace axle::cli
