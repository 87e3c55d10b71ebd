#include "orchestrator/cli/terminal.hpp"

#include <csignal>
#include <cstdlib>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
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

std::string Terminal::read_line(bool echo) const {
    termios before{};
    const bool quiet = !echo && in_is_tty && ::tcgetattr(in_fd, &before) == 0;
    if (quiet) {
        termios now = before;
        now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(in_fd, TCSAFLUSH, &now);
    }
    std::string line;
    char c = 0;
    while (::read(in_fd, &c, 1) == 1 && c != '\n') line += c;
    if (quiet) {
        ::tcsetattr(in_fd, TCSAFLUSH, &before);
        say("");
    }
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    return line;
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

// What goes over the edge would stay there when the line is written over. In characters of UTF-8.
static std::string_view cut_to_width(std::string_view line, int fd) {
    winsize window{};
    if (::ioctl(fd, TIOCGWINSZ, &window) != 0 || window.ws_col < 2) return line;
    std::size_t characters = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const bool begins = (static_cast<unsigned char>(line[i]) & 0xC0) != 0x80;
        if (begins && ++characters == window.ws_col) return line.substr(0, i);
    }
    return line;
}

void Terminal::progress(std::string_view line) const {
    if (!err_is_tty) return;
    const std::string_view shown = cut_to_width(line, ::fileno(err));
    std::fputs("\r\033[K", err);
    std::fwrite(shown.data(), 1, shown.size(), err);
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
