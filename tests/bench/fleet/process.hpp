// A real axle-orchestrator beside the fleet, with directories of its own, and what it costs.
#pragma once
#include <string>
#include <sys/types.h>

#include "common/base/clock.hpp"
#include "common/http/client.hpp"

namespace axle::fleet {

// One of our programs, as /proc tells it.
struct Cost {
    double cpu_seconds = 0;
    double busiest_thread_seconds = 0;  // the core's: what no further processor makes faster
    double store_threads_seconds = 0;   // RocksDB's own: flushes and compactions
    double resident_mib = 0, anonymous_mib = 0, peak_mib = 0;
};

class OrchestratorProcess {
  public:
    // directory: is made; holds configuration, store, log and socket. The port is a free one of this machine's
    // loopback.
    OrchestratorProcess(std::string program, std::string directory);
    ~OrchestratorProcess();  // stops it
    OrchestratorProcess(const OrchestratorProcess&) = delete;
    OrchestratorProcess& operator=(const OrchestratorProcess&) = delete;

    // Returns when it serves; how long that took. Ends the program with a message if it doesn't within 10 min.
    milliseconds start();
    void stop();  // SIGTERM; waits
    Cost cost() const;
    double store_mib() const;
    // As an administrator, by the unix socket.
    http::Client client() const;

  private:
    const std::string program_, directory_;
    pid_t pid_ = 0;
};

[[noreturn]] void give_up(const std::string& why);
// Ends the program unless the answer has this status; its body.
std::string must(const Result<http::Response>& response, int status, const std::string& what);

}  // namespace axle::fleet
