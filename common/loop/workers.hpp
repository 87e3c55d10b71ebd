// Threads for what blocks or costs: a bounded queue, and lanes so that one busy lane (a dead host, say) can't take all.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace axle {

struct WorkersOptions {
    int threads = 4;
    std::size_t queue_max = 4096;      // jobs waiting, all lanes together
    int lane_running_max = 1;          // threads that one named lane may hold at once
    std::size_t lane_queue_max = 256;  // jobs waiting in one named lane
};

// All methods from any thread. Jobs of one lane begin in order; lanes take turns. A job that throws is logged; the
// thread goes on.
class Workers {
  public:
    explicit Workers(std::string name, WorkersOptions options = {});
    ~Workers();  // stop()
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    // False, and the job is not taken, when the queue is full or stop() has begun. The common lane has all threads.
    [[nodiscard]] bool submit(std::function<void()> job);
    // The same, within the limits of one lane.
    [[nodiscard]] bool submit(const std::string& lane, std::function<void()> job);

    // Takes no more jobs, runs those that wait, joins the threads. Idempotent; not from a worker.
    void stop();

    std::size_t waiting() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace axle
