#include "tests/bench/fleet/process.hpp"

#include <arpa/inet.h>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "common/base/file.hpp"
#include "common/base/now.hpp"
#include "common/base/units.hpp"

namespace axle::fleet {
namespace {

constexpr milliseconds kStartMax{600'000};

int free_port() {
    const Fd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (::bind(probe.get(), reinterpret_cast<sockaddr*>(&at), size) != 0 ||
        ::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&at), &size) != 0)
        give_up("no free port");
    return ntohs(at.sin_port);
}

// Value of a line "Name:   123 kB" of /proc/PID/status, in MiB.
double status_mib(pid_t pid, std::string_view name) {
    std::ifstream file(fmt::format("/proc/{}/status", pid));
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with(name)) return std::atof(line.c_str() + name.size()) / 1024;
    }
    return 0;
}

}  // namespace

void give_up(const std::string& why) {
    std::fprintf(stderr, "fleet: %s\n", why.c_str());
    std::exit(1);
}

std::string must(const Result<http::Response>& response, int status, const std::string& what) {
    if (!response) give_up(what + ": " + response.error().message);
    if (response->status != status) give_up(fmt::format("{}: {} {}", what, response->status, response->body));
    return response->body;
}

OrchestratorProcess::OrchestratorProcess(std::string program, std::string directory)
    : program_(std::move(program)), directory_(std::move(directory)) {
    std::filesystem::create_directories(directory_);
    std::ofstream(directory_ + "/axle.yaml") << fmt::format(
        "stateDirectory: {0}/state\nlogDirectory: {0}/log\nrunDirectory: {0}/run\ngroup: root\n"
        "listen: \"127.0.0.1:{1}\"\nadvertise: [\"127.0.0.1:{1}\"]\n",
        directory_, free_port());
}

OrchestratorProcess::~OrchestratorProcess() {
    stop();
}

milliseconds OrchestratorProcess::start() {
    const BootTime begin = boot_now();
    const std::string config = directory_ + "/axle.yaml", log = directory_ + "/log.txt";
    pid_ = ::fork();
    if (pid_ < 0) give_up("fork fails");
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        ::dup2(out, 1);
        ::dup2(out, 2);
        ::execl(program_.c_str(), program_.c_str(), "--config", config.c_str(), nullptr);
        ::_exit(127);
    }
    while (boot_now() - begin < kStartMax) {
        auto ready = client().request("GET", "/readyz");
        if (ready && ready->status == 200) return boot_now() - begin;
        if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
            pid_ = 0;
            give_up(fmt::format("{} ended; see {}", program_, log));
        }
        std::this_thread::sleep_for(milliseconds{10});
    }
    give_up("the orchestrator doesn't serve; see " + log);
}

// User and system time of a process or thread; 0 if it is gone.
static double cpu_seconds(const std::string& stat) {
    std::ifstream file(stat);
    std::string text;
    std::getline(file, text);
    std::istringstream fields(text.substr(text.rfind(')') + 1));
    std::string skipped;
    double user = 0, system = 0;
    for (int i = 0; i < 11; ++i) fields >> skipped;
    fields >> user >> system;
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

void OrchestratorProcess::stop() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
}

Cost OrchestratorProcess::cost() const {
    Cost cost{.resident_mib = status_mib(pid_, "VmRSS:"),
              .anonymous_mib = status_mib(pid_, "RssAnon:"),
              .peak_mib = status_mib(pid_, "VmHWM:")};
    cost.cpu_seconds = cpu_seconds(fmt::format("/proc/{}/stat", pid_));
    std::error_code gone;  // threads come and go
    for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid_), gone)) {
        const double seconds = cpu_seconds(task.path().string() + "/stat");
        cost.busiest_thread_seconds = std::max(cost.busiest_thread_seconds, seconds);
        std::string name;
        std::getline(std::ifstream(task.path() / "comm"), name);
        if (name.starts_with("rocksdb")) cost.store_threads_seconds += seconds;
    }
    return cost;
}

double OrchestratorProcess::store_mib() const {
    std::uintmax_t bytes = 0;
    std::error_code gone;  // files of a store come and go
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_ + "/state", gone))
        if (entry.is_regular_file(gone)) bytes += entry.file_size(gone);
    return static_cast<double>(bytes) / kMiB;
}

http::Client OrchestratorProcess::client() const {
    return http::Client({.endpoint = *http::Endpoint::parse("unix:" + directory_ + "/run/api.sock")});
}

}  // namespace axle::fleet
