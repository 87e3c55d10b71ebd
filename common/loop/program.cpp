#include "common/loop/program.hpp"

#include <algorithm>
#include <csignal>

#include "common/base/service_manager.hpp"

namespace axle {

Program::Program(Loop& io, std::vector<Loop*> others) : io_(io), others_(std::move(others)) {}

Program::~Program() {
    for (Loop* loop : others_) stop_loop(*loop);
    stop_loop(io_);
}

void Program::start() {
    std::signal(SIGPIPE, SIG_IGN);
    for (const int number : {SIGTERM, SIGINT}) io_.on_signal(number, [this] { end(); });
    for (Loop* loop : others_) running_.push_back({loop, std::jthread([loop] { loop->run(); })});
    running_.push_back({&io_, std::jthread([this] { io_.run(); })});
    io_.post([this] { notify_watchdog(); });
}

void Program::tell_ready() {
    axle::tell_ready();
}

void Program::wait() {
    end_wanted_.get_future().wait();
    if (for_good_) tell_stopping();
}

void Program::end(bool for_good) {
    if (ending_.exchange(true)) return;
    for_good_ = for_good;
    end_wanted_.set_value();
}

void Program::stop_loop(Loop& loop) {
    const auto found = std::ranges::find(running_, &loop, &Running::loop);
    if (found == running_.end() || !found->thread.joinable()) return;
    loop.stop();
    found->thread.join();
}

// Every loop must turn, or systemd starts the process anew.
void Program::notify_watchdog() {
    std::function<void()> round = [] { tell_alive(); };
    for (Loop* loop : others_) round = [loop, next = std::move(round)] { loop->post(next); };
    round();
    if (!ending_) io_.after(milliseconds{5'000}, [this] { notify_watchdog(); });
}

}  // namespace axle
