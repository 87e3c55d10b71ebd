// A fleet in a box: a real orchestrator with its store, thousands of simulated hosts over real mutual TLS, and a load
// through the public API. Prints figures.
// usage: bench_fleet [--hosts N] [--vms N] [--orchestrator FILE]
#include <cstdio>
#include <filesystem>
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

constexpr int kAlone = 100;   // VMs that are made one after the other
constexpr int kAtOnce = 500;  // handshakes under way when all hosts come back
constexpr milliseconds kComeBackMax{900'000};
constexpr double kPatience = 10'000;  // ms that a person waits for an answer meanwhile

struct Wish {
    int hosts = 100, vms = 1000;
    std::string orchestrator;
};

class Report {
  public:
    explicit Report(const Wish& wish) : size_(fmt::format("fleet-{}-{}", wish.hosts, wish.vms)) {}
    void value(const char* name, double value, const char* unit) {
        std::printf("figure: %s-%s %.3f %s\n", size_.c_str(), name, value, unit);
        std::fflush(stdout);
    }
    void times(const std::string& name, Times times) {
        if (times.wall_ms > 0) value((name + "-rate").c_str(), times.per_second(), "1/s");
        value((name + "-p50").c_str(), times.at(0.5), "ms");
        value((name + "-p99").c_str(), times.at(0.99), "ms");
    }

    // CPU of the orchestrator since then, for each of so many.
    void cpu(const std::string& name, const OrchestratorProcess& orchestrator, const Cost& since, int count) {
        const Cost now = orchestrator.cost();
        const auto each = [&](const char* what, double Cost::*seconds) {
            value((name + what).c_str(), (now.*seconds - since.*seconds) * 1000 / count, "ms each");
        };
        each("-cpu", &Cost::cpu_seconds);
        each("-busiest-thread", &Cost::busiest_thread_seconds);
        each("-store-threads", &Cost::store_threads_seconds);
    }

  private:
    const std::string size_;
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
    furnish(orchestrator, wish.vms + kAlone, wish.hosts >= 20);
    Watcher watcher(orchestrator);
    const auto create = [&](http::Client& client, int n) {
        watcher.expect(vm_name(n), boot_now());
        create_vm(client, n);
    };
    if (before > 0) {
        const Cost cost = orchestrator.cost();
        const BootTime begin = boot_now();
        const Times filled = spread(orchestrator, 0, before, create);
        const Times run = watcher.wait(static_cast<std::size_t>(before));
        report.value("fill-rate", filled.per_second(), "1/s");
        report.value("fill-running-rate", before * 1000.0 / static_cast<double>((boot_now() - begin).count()), "1/s");
        report.cpu("fill", orchestrator, cost, before);
    }
    const Cost cost = orchestrator.cost();
    const BootTime begin = boot_now();
    report.times("create", spread(orchestrator, before, timed, create));
    Times running = watcher.wait(static_cast<std::size_t>(timed));
    running.wall_ms = static_cast<double>((boot_now() - begin).count());
    report.times("running", std::move(running));
    report.cpu("create", orchestrator, cost, timed);
}

// One after the other, with nothing beside it: from being asked for until it has a place, and until it runs, as seen by
// reading it again and again.
void measure_alone(const OrchestratorProcess& orchestrator, const Wish& wish, Report& report) {
    http::Client client = orchestrator.client();
    Times placed, running;
    for (int n = wish.vms; n < wish.vms + kAlone; ++n) {
        const auto begin = std::chrono::steady_clock::now();
        create_vm(client, n);
        for (bool has_place = false, runs = false; !runs;) {
            const json vm = json::parse(must(client.request("GET", vm_path(n)), 200, vm_name(n)));
            const json& status = vm.at("status");
            if (!has_place && status.contains("placement")) placed.ms.push_back(ms_since(begin));
            has_place = has_place || status.contains("placement");
            runs = status.value("phase", "") == "running";
            if (runs) running.ms.push_back(ms_since(begin));
            if (ms_since(begin) > 60'000) give_up(vm_name(n) + " does not run");
        }
    }
    report.times("alone-placed", std::move(placed));
    report.times("alone-running", std::move(running));
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
            times.ms.push_back(ms_since(begin));
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

// All hosts come back at once; meanwhile a person reads.
void measure_restart(OrchestratorProcess& orchestrator, Hosts& hosts, const Wish& wish, Report& report) {
    orchestrator.stop();
    hosts.dial_at_once(std::min(kAtOnce, wish.hosts));
    const BootTime begin = boot_now();
    report.value("restart-serving", static_cast<double>(orchestrator.start().count()), "ms");
    http::Client reader = orchestrator.client();
    Times gets;
    while (hosts.connected() < wish.hosts) {
        const auto asked = std::chrono::steady_clock::now();
        must(reader.request("GET", vm_path(wish.vms - 1)), 200, "a VM while all hosts come back");
        gets.ms.push_back(ms_since(asked));
        if (gets.ms.back() > kPatience) give_up("a person waited for longer than 10 s while all hosts came back");
        if (boot_now() - begin > kComeBackMax) give_up("not all hosts have come back");
        std::this_thread::sleep_for(milliseconds{20});
    }
    report.value("restart-all-hosts", static_cast<double>((boot_now() - begin).count()), "ms");
    report.times("restart-get", std::move(gets));
    report.value("restart-peak", orchestrator.cost().peak_mib, "MiB");
}

void run(const Wish& wish) {
    rlimit files{200'000, 200'000};
    ::setrlimit(RLIMIT_NOFILE, &files);
    const test::TempDir directory;
    OrchestratorProcess orchestrator(wish.orchestrator, directory / "orchestrator");
    std::printf("%d hosts, %d VMs\n", wish.hosts, wish.vms);
    Report report(wish);
    report.value("first-start", static_cast<double>(orchestrator.start().count()), "ms");
    {
        Hosts hosts(directory.path(), wish.vms / wish.hosts);
        const BootTime begin = boot_now();
        hosts.join(token_for(orchestrator, wish.hosts), wish.hosts);
        report.value("join-rate", wish.hosts * 1000.0 / static_cast<double>((boot_now() - begin).count()), "hosts/s");
        measure_rest(orchestrator, report);
        measure_creates(orchestrator, wish, report);
        measure_alone(orchestrator, wish, report);
        measure_others(orchestrator, wish, report);
        const Cost cost = orchestrator.cost();
        report.value("resident", cost.resident_mib, "MiB");
        report.value("anonymous", cost.anonymous_mib, "MiB");
        report.value("store", orchestrator.store_mib(), "MiB");
        measure_restart(orchestrator, hosts, wish, report);
    }
}

Wish parse(int argc, char** argv) {
    Wish wish{.orchestrator =
                  std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../bin/axle-orchestrator"};
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view flag = argv[i];
        if (flag == "--hosts") wish.hosts = std::atoi(argv[i + 1]);
        if (flag == "--vms") wish.vms = std::atoi(argv[i + 1]);
        if (flag == "--orchestrator") wish.orchestrator = argv[i + 1];
    }
    return wish;
}

}  // namespace
}  // namespace axle::fleet

int main(int argc, char** argv) {
    axle::fleet::run(axle::fleet::parse(argc, argv));
    return 0;
}
