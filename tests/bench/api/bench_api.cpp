// Durable creates of VMs through the HTTP API with the fake host, while idle connections and watches stay open; then
// get and list. Server and clients share this machine and this process.
// usage: bench_api [--vms N] [--clients N] [--idle N] [--watches N]
#include <atomic>
#include <chrono>
#include <cstdio>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "tests/support/cloud_server.hpp"

namespace axle::test {
namespace {

using Clock = std::chrono::steady_clock;

struct Wish {
    int vms = 5000, clients = 64, idle = 2000, watches = 200;
};

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double at_share(std::vector<double>& sorted, double share) {
    if (sorted.empty()) return 0;
    return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(share * static_cast<double>(sorted.size())))];
}

// name: of the figures; what: for people.
void summary(const char* name, const char* what, std::vector<double> times_ms, double wall_ms) {
    std::sort(times_ms.begin(), times_ms.end());
    const double rate = static_cast<double>(times_ms.size()) / wall_ms * 1000;
    std::printf("%-28s %8.0f/s   p50 %7.2f ms   p99 %7.2f ms   (%zu)\n", what, rate, at_share(times_ms, 0.5),
                at_share(times_ms, 0.99), times_ms.size());
    std::printf("figure: api-%s-rate %.0f 1/s\nfigure: api-%s-p50 %.3f ms\nfigure: api-%s-p99 %.3f ms\n", name, rate,
                name, at_share(times_ms, 0.5), name, at_share(times_ms, 0.99));
    std::fflush(stdout);
}

void must(const Result<http::Response>& response, int status, const char* what) {
    if (response && response->status == status) return;
    std::fprintf(stderr, "%s: %s\n", what, response ? response->body.c_str() : response.error().message.c_str());
    std::exit(1);
}

void furnish(CloudServer& cloud, int projects) {
    auto client = cloud.client();
    const http::Headers json_type = {{"Content-Type", "application/json"}};
    for (int i = 0; i < 10; ++i)
        cloud.add_host(fmt::format("h{}", i),
                       {.cpus = 1'000'000, .memory = 1024 * kTiB, .pool_free = 1'000'000 * kTiB});
    must(client.request("POST", "/v1/pools", json_type, R"({"name":"main","spec":{"path":"/p","default":true}})"), 201,
         "pool");
    must(client.request("POST", "/v1/projects/default/networks", json_type,
                        R"({"name":"blue","spec":{"type":"nat","cidr":"10.0.0.0/12","shared":true}})"),
         201, "network");
    must(client.request("POST", "/v1/projects/default/images?wait=10s", json_type,
                        R"({"name":"tiny","spec":{"url":"http://127.0.0.1/x","shared":true}})"),
         201, "image");
    for (int i = 0; i < projects; ++i)
        must(client.request("POST", "/v1/projects", json_type, fmt::format(R"({{"name":"p{}"}})", i)), 201, "project");
}

std::vector<Fd> open_idle(const CloudServer& cloud, int count) {
    std::vector<Fd> out;
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    const std::string path = cloud.socket();
    path.copy(where.sun_path, sizeof where.sun_path - 1);
    for (int i = 0; i < count; ++i) {
        Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) != 0) {
            std::perror("an idle connection");
            std::exit(1);
        }
        out.push_back(std::move(fd));
    }
    return out;
}

// Each on a project of its own. They are read to nowhere by one thread.
std::vector<Fd> open_watches(const CloudServer& cloud, int count) {
    auto out = open_idle(cloud, count);
    for (int i = 0; i < count; ++i) {
        const std::string request = fmt::format("GET /v1/watch?project=p{} HTTP/1.1\r\nHost: x\r\n\r\n", i);
        if (::write(out[static_cast<std::size_t>(i)].get(), request.data(), request.size()) < 0) std::exit(1);
    }
    return out;
}

void create_vms(const CloudServer& cloud, const Wish& wish) {
    std::atomic<int> next{0};
    std::vector<std::vector<double>> times(static_cast<std::size_t>(wish.clients));
    std::vector<std::thread> threads;
    const auto start = Clock::now();
    for (int c = 0; c < wish.clients; ++c) {
        threads.emplace_back([&, c] {
            auto client = cloud.client();
            const int projects = std::max(1, wish.watches);
            for (int n = next++; n < wish.vms; n = next++) {
                const std::string body = fmt::format(
                    R"({{"name":"vm{}","spec":{{"cpus":1,"memory":"128MiB","disks":{{"root":{{"image":"default/tiny"}}}},)"
                    R"("nics":{{"eth0":{{"network":"default/blue"}}}}}}}})",
                    n);
                const auto before = Clock::now();
                const auto made = client.request("POST", fmt::format("/v1/projects/p{}/vms", n % projects),
                                                 {{"Content-Type", "application/json"}}, body);
                must(made, 202, "vm");
                times[static_cast<std::size_t>(c)].push_back(ms_since(before));
            }
        });
    }
    for (std::thread& t : threads) t.join();
    const double wall_ms = ms_since(start);
    std::vector<double> all;
    for (const auto& some : times) all.insert(all.end(), some.begin(), some.end());
    summary("create", "create VM, durable", std::move(all), wall_ms);
}

void repeat(const CloudServer& cloud, const char* name, const char* what, const std::string& target, int count) {
    auto client = cloud.client();
    std::vector<double> times;
    const auto start = Clock::now();
    for (int i = 0; i < count; ++i) {
        const auto before = Clock::now();
        must(client.request("GET", target), 200, what);
        times.push_back(ms_since(before));
    }
    summary(name, what, std::move(times), ms_since(start));
}

Wish parse(int argc, char** argv) {
    Wish wish;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view flag = argv[i];
        if (flag == "--vms") wish.vms = std::atoi(argv[i + 1]);
        if (flag == "--clients") wish.clients = std::atoi(argv[i + 1]);
        if (flag == "--idle") wish.idle = std::atoi(argv[i + 1]);
        if (flag == "--watches") wish.watches = std::atoi(argv[i + 1]);
    }
    return wish;
}

void run(const Wish& wish) {
    rlimit files{65536, 65536};
    ::setrlimit(RLIMIT_NOFILE, &files);
    CloudServer cloud({.api = {.streams_max = 10'000}, .workers = 4});
    furnish(cloud, std::max(1, wish.watches));
    const auto idle = open_idle(cloud, wish.idle);
    auto watches = open_watches(cloud, wish.watches);
    std::atomic<bool> over{false};
    std::uint64_t watched_bytes = 0;
    std::thread reader([&] {
        std::string buffer(64 << 10, '\0');
        std::vector<pollfd> ready;
        for (const Fd& fd : watches) ready.push_back({fd.get(), POLLIN, 0});
        while (!over) {
            ::poll(ready.data(), ready.size(), 100);
            for (const pollfd& fd : ready) {
                const ssize_t n =
                    (fd.revents & POLLIN) != 0 ? ::recv(fd.fd, buffer.data(), buffer.size(), MSG_DONTWAIT) : 0;
                if (n > 0) watched_bytes += static_cast<std::uint64_t>(n);
            }
        }
    });
    std::printf("%d clients, %d idle connections, %d watches\n", wish.clients, wish.idle, wish.watches);
    create_vms(cloud, wish);
    repeat(cloud, "get", "get VM, 1 client", "/v1/projects/p0/vms/vm0", 2000);
    repeat(cloud, "list-100", "list 100 VMs, 1 client", "/v1/vms?limit=100", 200);
    over = true;
    reader.join();
    std::printf("watches were told %.1f MiB\n", static_cast<double>(watched_bytes) / kMiB);
}

}  // namespace
}  // namespace axle::test

int main(int argc, char** argv) {
    axle::test::run(axle::test::parse(argc, argv));
    return 0;
}
