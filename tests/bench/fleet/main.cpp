// A fleet in a box: a real orchestrator with its store, thousands of simulated hosts over real mutual TLS, and a load
// through the public API. Prints figures; --json writes them.
// usage: bench_fleet [--hosts N] [--vms N] [--orchestrator FILE] [--json FILE]
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "common/base/now.hpp"
#include "common/base/units.hpp"
#include "tests/bench/fleet/hosts.hpp"
#include "tests/bench/fleet/load.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle::fleet {
namespace {

using nlohmann::json;

struct Wish {
    int hosts = 100, vms = 1000;
    std::string orchestrator, json_file;
};

class Report {
  public:
    void value(const char* name, double value, const char* unit) {
        std::printf("figure: fleet-%s %.3f %s\n", name, value, unit);
        std::fflush(stdout);
        figures_.push_back({{"name", name}, {"value", value}, {"unit", unit}});
    }
    void times(const std::string& name, Times times) {
        if (times.wall_ms > 0) value((name + "-rate").c_str(), times.per_second(), "1/s");
        value((name + "-p50").c_str(), times.at(0.5), "ms");
        value((name + "-p99").c_str(), times.at(0.99), "ms");
    }
    const json& figures() const { return figures_; }

  private:
    json figures_ = json::array();
};

JoinString token_for(const OrchestratorProcess& orchestrator, int hosts) {
    http::Client client = orchestrator.client();
    const json info = json::parse(must(client.request("GET", "/v1/join-info"), 200, "join-info"));
    const json token =
        json::parse(must(client.request("POST", "/v1/jointokens", {{"Content-Type", "application/json"}},
                                        fmt::format(R"({{"name":"fleet","spec":{{"uses":{}}}}})", hosts)),
                         201, "join token"));
    return {.endpoints = info.value("endpoints", std::vector<std::string>{}),
            .authority = info.value("authority", ""),
            .cluster = info.value("cluster", ""),
            .secret = token.value("secret", "")};
}

void measure_rest(const OrchestratorProcess& orchestrator, Report& report) {
    constexpr int kSeconds = 20;
    const Cost before = orchestrator.cost();
    std::this_thread::sleep_for(std::chrono::seconds{kSeconds});
    const Cost after = orchestrator.cost();
    report.value("rest-cpu", (after.cpu_seconds - before.cpu_seconds) / kSeconds * 100, "%");
    report.value("rest-resident", after.resident_mib, "MiB");
    report.value("rest-anonymous", after.anonymous_mib, "MiB");
}

void measure_creates(const OrchestratorProcess& orchestrator, const Wish& wish, Report& report) {
    // Most come first and are not timed one by one: the figures are those of a cloud that has its VMs already.
    const int timed = std::max(1, std::min(wish.vms, 2000)), before = wish.vms - timed;
    furnish(orchestrator, wish.vms, wish.hosts >= 20);
    Watcher watcher(orchestrator);
    const auto create = [&](http::Client& client, int n) { create_vm(client, n, watcher); };
    if (before > 0) {
        const Cost cost = orchestrator.cost();
        const BootTime begin = boot_now();
        const Times filled = spread(orchestrator, 0, before, create);
        const Times run = watcher.wait(static_cast<std::size_t>(before));
        report.value("fill-rate", filled.per_second(), "1/s");
        report.value("fill-running-rate", before * 1000.0 / static_cast<double>((boot_now() - begin).count()), "1/s");
        const Cost after = orchestrator.cost();
        report.value("fill-cpu", (after.cpu_seconds - cost.cpu_seconds) * 1000 / before, "ms each");
        report.value("fill-busiest-thread",
                     (after.busiest_thread_seconds - cost.busiest_thread_seconds) * 1000 / before, "ms each");
    }
    const Cost cost = orchestrator.cost();
    const BootTime begin = boot_now();
    report.times("create", spread(orchestrator, before, timed, create));
    Times running = watcher.wait(static_cast<std::size_t>(timed));
    running.wall_ms = static_cast<double>((boot_now() - begin).count());
    report.times("running", std::move(running));
    report.value("create-cpu", (orchestrator.cost().cpu_seconds - cost.cpu_seconds) * 1000 / timed, "ms each");
}

void measure_others(const OrchestratorProcess& orchestrator, const Wish& wish, Report& report) {
    const int some = std::min(wish.vms, 1000);
    const auto get = [](http::Client& client, const std::string& path) {
        must(client.request("GET", path), 200, path);
    };
    http::Client one = orchestrator.client();
    const auto alone = [&](const std::string& path, int count) {
        Times times;
        for (int i = 0; i < count; ++i) {
            const auto begin = std::chrono::steady_clock::now();
            get(one, path);
            times.ms.push_back(
                std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
        }
        return times;
    };
    report.times("get", alone(vm_path(wish.vms / 2), some));
    report.times("list-100", alone("/v1/vms?limit=100", std::min(some, 200)));
    report.times("placement-explained",
                 alone("/v1/projects/default/vms/" + vm_name(0) + "/explain", std::min(some, 200)));
    report.times("change", spread(orchestrator, 0, some, [](http::Client& client, int n) {
                     must(client.request("PATCH", vm_path(n), {{"Content-Type", "application/merge-patch+json"}},
                                         R"({"labels":{"tier":"web"}})"),
                          200, "a label of " + vm_name(n));
                 }));
    report.times("delete", spread(orchestrator, 0, some, [](http::Client& client, int n) {
                     must(client.request("DELETE", vm_path(n) + "?now=true"), 202, "deleting " + vm_name(n));
                 }));
}

void measure_restart(OrchestratorProcess& orchestrator, Hosts& hosts, const Wish& wish, Report& report) {
    orchestrator.stop();
    const BootTime begin = boot_now();
    report.value("restart-serving", static_cast<double>(orchestrator.start().count()), "ms");
    hosts.wait_connected(wish.hosts);
    report.value("restart-all-hosts", static_cast<double>((boot_now() - begin).count()), "ms");
}

void run(const Wish& wish) {
    rlimit files{200'000, 200'000};
    ::setrlimit(RLIMIT_NOFILE, &files);
    const test::TempDir directory;
    OrchestratorProcess orchestrator(wish.orchestrator, directory / "orchestrator");
    std::printf("%d hosts, %d VMs\n", wish.hosts, wish.vms);
    Report report;
    report.value("first-start", static_cast<double>(orchestrator.start().count()), "ms");
    {
        Hosts hosts(directory.path());
        const BootTime begin = boot_now();
        hosts.join(token_for(orchestrator, wish.hosts), wish.hosts);
        report.value("join-rate", wish.hosts * 1000.0 / static_cast<double>((boot_now() - begin).count()), "hosts/s");
        measure_rest(orchestrator, report);
        measure_creates(orchestrator, wish, report);
        measure_others(orchestrator, wish, report);
        const Cost cost = orchestrator.cost();
        report.value("resident", cost.resident_mib, "MiB");
        report.value("anonymous", cost.anonymous_mib, "MiB");
        report.value("store", orchestrator.store_mib(), "MiB");
        measure_restart(orchestrator, hosts, wish, report);
    }
    if (!wish.json_file.empty()) std::ofstream(wish.json_file) << report.figures().dump(2) << "\n";
}

Wish parse(int argc, char** argv) {
    Wish wish{.orchestrator =
                  std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../bin/axle-orchestrator"};
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view flag = argv[i];
        if (flag == "--hosts") wish.hosts = std::atoi(argv[i + 1]);
        if (flag == "--vms") wish.vms = std::atoi(argv[i + 1]);
        if (flag == "--orchestrator") wish.orchestrator = argv[i + 1];
        if (flag == "--json") wish.json_file = argv[i + 1];
    }
    return wish;
}

}  // namespace
}  // namespace axle::fleet

int main(int argc, char** argv) {
    axle::fleet::run(axle::fleet::parse(argc, argv));
    return 0;
}
