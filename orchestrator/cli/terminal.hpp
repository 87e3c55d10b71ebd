// Where the command line reads and writes: the process's own streams, or a test's.
#pragma once
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>

namespace axle::cli {

// Data goes to out, everything else to err.
struct Terminal {
    std::FILE* out = stdout;
    std::FILE* err = stderr;
    int in_fd = 0;
    bool in_is_tty = false, out_is_tty = false, err_is_tty = false;
    std::function<std::string(const char* name)> environment;  // "" where it isn't set

    static Terminal of_process();
    void data(std::string_view text) const;  // as it stands
    void say(std::string_view line) const;   // to err, with a line break
    // Without the line's end and blanks before it. echo: false for a secret, where in is a terminal.
    std::string read_line(bool echo) const;
    // A line that is written over by the next one; only where err is a terminal. Empty: takes it away.
    void progress(std::string_view line) const;
};

// Set by SIGINT while a command waits; the command then lets go. See InterruptGuard.
bool was_interrupted();
class InterruptGuard {  // catches SIGINT while it lives
  public:
    InterruptGuard();
    ~InterruptGuard();
    InterruptGuard(const InterruptGuard&) = delete;
    InterruptGuard& operator=(const InterruptGuard&) = delete;
};

// Waits, or until a signal.
void pause_for(int ms);

}  // namespace axle::cli
