#include "common/base/process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/now.hpp"
#include "common/base/process_child.hpp"
#include "common/base/units.hpp"

namespace axle {
namespace {

// How long a killed program may take to be gone. One that hangs in the kernel (a dead NFS server) takes for ever.
constexpr milliseconds kDeathLimit{10'000};

class Watch {
  public:
    Watch(const ProcessSpec& spec, StartedProcess started) : spec_(spec), started_(std::move(started)) {}
    Result<ProcessResult> to_the_end();

  private:
    Result<> until_dead(int cancelled);
    Result<> read_output();
    void read_errors();
    void kill_group() { ::kill(-started_.pid, SIGKILL); }
    Result<> reap();
    bool dies_within(milliseconds limit);

    const ProcessSpec& spec_;
    StartedProcess started_;
    ProcessResult result_;
    std::size_t said_ = 0;
};

Result<> Watch::read_output() {
    std::array<char, 16384> piece;
    while (started_.output) {
        const ssize_t n = ::read(started_.output.get(), piece.data(), piece.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return {};
        if (n <= 0) {
            started_.output.reset();
            return {};
        }
        const std::string_view said(piece.data(), static_cast<std::size_t>(n));
        if (spec_.on_output) {
            spec_.on_output(said);
            continue;
        }
        said_ += said.size();
        if (said_ > spec_.output_limit)
            return fail(Code::too_large, "{} wrote more than {} to its output", spec_.program,
                        format_bytes(static_cast<std::int64_t>(spec_.output_limit)));
        result_.output.append(said);
    }
    return {};
}

void Watch::read_errors() {
    std::array<char, 4096> piece;
    while (started_.errors) {
        const ssize_t n = ::read(started_.errors.get(), piece.data(), piece.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) return started_.errors.reset();
        std::string& tail = result_.error_tail;
        tail.append(piece.data(), static_cast<std::size_t>(n));
        if (tail.size() > spec_.error_tail_limit) tail.erase(0, tail.size() - spec_.error_tail_limit);
    }
}

Result<> Watch::until_dead(int cancelled) {
    const BootTime deadline = boot_now() + spec_.time_limit;
    for (;;) {
        const auto left = (deadline - boot_now()).count();
        if (left <= 0)
            return fail(Code::timeout, "{} was stopped: it took longer than {}", spec_.program,
                        format_duration(spec_.time_limit));
        std::array<pollfd, 4> watched{{{started_.pidfd.get(), POLLIN, 0},
                                       {cancelled, POLLIN, 0},
                                       {started_.output.get(), POLLIN, 0},  // -1 once it is closed: ignored
                                       {started_.errors.get(), POLLIN, 0}}};
        const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(std::min<long>(left, 60'000)));
        if (ready < 0 && errno != EINTR) return fail(system_error("wait for " + spec_.program, errno));
        if (ready <= 0) continue;
        if ((watched[1].revents & POLLIN) != 0)
            return fail(error(Code::conflict, "{} was cancelled", spec_.program).with_reason("cancelled"));
        TRY_VOID(read_output());
        read_errors();
        if ((watched[0].revents & POLLIN) != 0) return {};
    }
}

bool Watch::dies_within(milliseconds limit) {
    pollfd watched{started_.pidfd.get(), POLLIN, 0};
    const BootTime deadline = boot_now() + limit;
    for (;;) {
        const auto left = std::max<long>(0, (deadline - boot_now()).count());
        const int ready = ::poll(&watched, 1, static_cast<int>(left));
        if (ready > 0) return true;
        if (left == 0) return false;
    }
}

Result<> Watch::reap() {
    siginfo_t info{};
    int done = 0;
    do done = ::waitid(P_PIDFD, static_cast<id_t>(started_.pidfd.get()), &info, WEXITED);
    while (done != 0 && errno == EINTR);
    if (done != 0) return fail(system_error("learn how " + spec_.program + " ended", errno));
    if (info.si_code == CLD_EXITED)
        result_.exit_status = info.si_status;
    else
        result_.signal = info.si_status;
    return {};
}

Result<ProcessResult> Watch::to_the_end() {
    const Fd cancelled(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    Result<> ended;
    {
        const std::stop_callback on_cancel(spec_.cancel, [&] { ::eventfd_write(cancelled.get(), 1); });
        ended = until_dead(cancelled.get());
    }
    // Also when it ended well: what it left running would outlive its caller's idea of it.
    kill_group();
    if (!ended && !dies_within(kDeathLimit))
        return fail(std::move(ended.error()).in("it hangs in the kernel and can't be killed"));
    TRY_VOID(reap());
    if (!ended) return fail(std::move(ended.error()));
    TRY_VOID(read_output());
    read_errors();
    return std::move(result_);
}

}  // namespace

Result<ProcessResult> run_process(const ProcessSpec& spec) {
    TRY(started, start_process(spec));
    return Watch(spec, std::move(started)).to_the_end();
}

std::string describe_end(const ProcessSpec& spec, const ProcessResult& result) {
    std::string_view words = result.error_tail;
    while (!words.empty() && (words.back() == '\n' || words.back() == ' ')) words.remove_suffix(1);
    const std::string verb = !spec.arguments.empty() && !spec.arguments[0].starts_with('-') &&
                                     spec.arguments[0].find('/') == std::string::npos
                                 ? " " + spec.arguments[0]
                                 : "";
    const std::string end = result.signal != 0 ? fmt::format("ended by signal {}", result.signal)
                                               : fmt::format("exit status {}", result.exit_status);
    return fmt::format("{}{}: {}{}{}", spec.program, verb, end, words.empty() ? "" : ": ", words);
}

Result<std::string> run_checked(const ProcessSpec& spec) {
    TRY(result, run_process(spec));
    if (!result.ok()) return fail(Code::internal, "{}", describe_end(spec, result));
    return std::move(result.output);
}

}  // namespace axle
