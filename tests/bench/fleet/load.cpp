#include "tests/bench/fleet/load.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "common/base/now.hpp"
#include "common/base/units.hpp"

namespace axle::fleet {
namespace {

const http::Headers kJson = {{"Content-Type", "application/json"}};
constexpr milliseconds kRunMax{900'000};
constexpr int kVmsANetwork = 20, kVmsAGroup = 10;  // as tenants have them

double ms_between(BootTime from, BootTime to) {
    return static_cast<double>((to - from).count());
}

}  // namespace

double ms_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

double Times::at(double share) {
    if (ms.empty()) return 0;
    std::ranges::sort(ms);
    return ms[std::min(ms.size() - 1, static_cast<std::size_t>(share * static_cast<double>(ms.size())))];
}

// ---- the watch

Watcher::Watcher(const OrchestratorProcess& orchestrator)
    : thread_([this, client = std::make_shared<http::Client>(orchestrator.client())] { read(std::move(*client)); }) {}

Watcher::~Watcher() {
    stopping_ = true;
}

void Watcher::read(http::Client client) {
    http::EventReader events;
    (void)client.download("/v1/watch?kinds=vm&filter=" + http::percent_encode("status.phase=running"), {},
                          [&](std::string_view bytes) {
                              for (const auto& event : events.feed(bytes)) {
                                  if (event.event != "put") continue;
                                  const auto record = nlohmann::json::parse(event.data, nullptr, false);
                                  if (record.is_object()) told(record["object"].value("name", ""));
                              }
                              return !stopping_;
                          });
}

void Watcher::told(const std::string& name) {
    const std::lock_guard lock(mutex_);
    if (const auto asked = asked_.find(name); asked != asked_.end()) {
        ms_.push_back(ms_between(asked->second, boot_now()));
        asked_.erase(asked);
    }
}

void Watcher::expect(const std::string& name, BootTime asked) {
    const std::lock_guard lock(mutex_);
    asked_[name] = asked;
}

Times Watcher::wait(std::size_t count) {
    const BootTime begin = boot_now();
    while (boot_now() - begin < kRunMax) {
        {
            const std::lock_guard lock(mutex_);
            if (ms_.size() >= count) return {std::exchange(ms_, {}), 0};
        }
        std::this_thread::sleep_for(milliseconds{2});
    }
    give_up(fmt::format("only {} of {} VMs are reported running", ms_.size(), count));
}

// ---- the load

Times spread(const OrchestratorProcess& orchestrator, int from, int count,
             const std::function<void(http::Client& client, int number)>& what) {
    std::atomic<int> next{from};
    std::mutex mutex;
    Times all;
    const BootTime begin = boot_now();
    {
        std::vector<std::jthread> threads;
        for (int c = 0; c < std::min(kClients, count); ++c) {
            threads.emplace_back([&] {
                http::Client client = orchestrator.client();
                std::vector<double> mine;
                for (int n = next++; n < from + count; n = next++) {
                    const auto before = std::chrono::steady_clock::now();
                    what(client, n);
                    mine.push_back(ms_since(before));
                }
                const std::lock_guard lock(mutex);
                all.ms.insert(all.ms.end(), mine.begin(), mine.end());
            });
        }
    }
    all.wall_ms = std::max(1.0, ms_between(begin, boot_now()));
    return all;
}

void furnish(const OrchestratorProcess& orchestrator, int vms, bool keep_apart) {
    http::Client client = orchestrator.client();
    must(client.request("PATCH", "/v1/projects/default", {{"Content-Type", "application/merge-patch+json"}},
                        R"({"spec":{"limits":{"vms":10000000,"cpus":10000000}}})"),
         200, "a quota");
    const auto make = [&](int size, const char* path, const auto& document) {
        spread(orchestrator, 0, (vms + size - 1) / size,
               [&](http::Client& each, int n) { must(each.request("POST", path, kJson, document(n)), 201, path); });
    };
    make(kVmsANetwork, "/v1/projects/default/networks", [](int n) {
        return fmt::format(R"({{"name":"n{}","spec":{{"type":"nat","cidr":"10.{}.{}.0/24"}}}})", n, n / 256, n % 256);
    });
    make(kVmsAGroup, "/v1/projects/default/placementgroups",
         [keep_apart](int n) { return fmt::format(R"({{"name":"g{}","spec":{{"required":{}}}}})", n, keep_apart); });
}

std::string vm_name(int number) {
    return fmt::format("vm{}", number);
}

std::string vm_path(int number) {
    return "/v1/projects/default/vms/" + vm_name(number);
}

void create_vm(http::Client& client, int number) {
    must(
        client.request(
            "POST", "/v1/projects/default/vms", kJson,
            fmt::format(
                R"({{"name":"{}","spec":{{"cpus":1,"memory":"128MiB",)"
                R"("disks":{{"root":{{"size":"1GiB"}}}},"nics":{{"eth0":{{"network":"n{}"}}}},"placementGroup":"g{}"}}}})",
                vm_name(number), number / kVmsANetwork, number / kVmsAGroup)),
        202, "creating " + vm_name(number));
}

}  // namespace axle::fleet
