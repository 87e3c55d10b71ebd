// What users do, through the public API: VMs made, changed, read, listed, watched, deleted.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/fleet/process.hpp"

namespace axle::fleet {

double ms_since(std::chrono::steady_clock::time_point begin);

struct Times {
    std::vector<double> ms;  // sorted by at()
    double wall_ms = 0;
    double per_second() const { return wall_ms > 0 ? static_cast<double>(ms.size()) * 1000 / wall_ms : 0; }
    double at(double share);
};

// Sees every VM that is reported running, by a watch that is open from the beginning.
class Watcher {
  public:
    explicit Watcher(const OrchestratorProcess& orchestrator);
    ~Watcher();
    void expect(const std::string& name, BootTime asked);
    // Until as many as were expected run; from being asked for until then.
    Times wait(std::size_t count);

  private:
    void read(http::Client client);
    void told(const std::string& name);
    std::mutex mutex_;
    std::map<std::string, BootTime> asked_;
    std::map<std::string, BootTime> early_;  // told before expect() was called
    std::vector<double> ms_;
    std::atomic<bool> stopping_ = false;
    std::jthread thread_;
};

constexpr int kClients = 64;
// `what` is called by kClients threads at once, each with its own client, for every number of [from, from + count).
Times spread(const OrchestratorProcess& orchestrator, int from, int count,
             const std::function<void(http::Client& client, int number)>& what);

// A quota, networks of 20 VMs each, and groups of 10 that are kept apart by hosts (or only wish to be).
void furnish(const OrchestratorProcess& orchestrator, int vms, bool keep_apart);
std::string vm_name(int number);
std::string vm_path(int number);  // of the API
void create_vm(http::Client& client, int number);

}  // namespace axle::fleet
