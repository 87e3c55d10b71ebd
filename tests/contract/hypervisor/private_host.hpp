// A host of this test alone (tests/support/host_init.py): namespaces, a process 1 that reaps, libvirt, directories. It
// dies with the test.
#pragma once
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "common/base/file.hpp"
#include "common/base/process.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/test_file.hpp"

namespace axle::test {

class PrivateHost {
  public:
    // The one of this program; empty why_not(): it runs.
    static PrivateHost& instance() {
        static PrivateHost host(1);
        return host;
    }
    // Another one, for what goes from host to host.
    static PrivateHost& other() {
        static PrivateHost host(2);
        return host;
    }
    const std::string& why_not() const { return why_not_; }

    std::string uri() const {
        return fmt::format("qemu+unix:///system?socket=/proc/{}/root/run/libvirt/libvirt-sock", pid_);
    }
    std::string definitions() const { return dir_ / "etc-libvirt/qemu"; }
    std::string operator/(const std::string& name) const { return dir_ / name; }

    // A program inside.
    Result<std::string> run(std::vector<std::string> command, std::string input = "") const {
        std::vector<std::string> words = {"-t", std::to_string(pid_), "-m", "-n", "-p", "-u", "-i", "-C", "--"};
        words.insert(words.end(), command.begin(), command.end());
        return run_checked({.program = "nsenter", .arguments = std::move(words), .input = std::move(input)});
    }
    Result<> signal_libvirtd(int number) const {
        auto pid = read_file(fmt::format("/proc/{}/root/run/libvirtd.pid", pid_));
        if (!pid) return fail(pid.error());
        pid->resize(pid->find_last_not_of(" \n") + 1);
        auto sent = run({"kill", fmt::format("-{}", number), *pid});
        if (!sent) return fail(sent.error());
        return {};
    }
    Result<> start_libvirtd() const {
        auto started = run({"libvirtd", "-d"});
        if (!started) return fail(started.error());
        return {};
    }
    static bool wait_for(const std::function<bool()>& claim, seconds patience) {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (!claim()) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            std::this_thread::sleep_for(milliseconds{20});
        }
        return true;
    }

  private:
    explicit PrivateHost(int number) : number_(number) {
        if (::geteuid() != 0) {
            why_not_ = "needs root, for namespaces and libvirt";
        } else if (!file_exists("/usr/sbin/libvirtd") || !file_exists("/usr/bin/qemu-system-x86_64")) {
            why_not_ = "needs libvirt-daemon and qemu-system-x86";
        } else {
            start();
        }
    }
    ~PrivateHost() {
        if (pid_ > 0) ::kill(pid_, SIGKILL);
        if (child_ > 0) ::waitpid(child_, nullptr, 0);
        std::error_code ignored;
        for (const auto& parent : std::filesystem::directory_iterator("/sys/fs/cgroup", ignored))
            remove_groups(parent.path() / cgroup_);
    }
    void start() {
        std::filesystem::permissions(dir_.path(), std::filesystem::perms(0711));
        for (const char* name : {"disks", "run"}) {
            std::filesystem::create_directory(dir_ / name);
            std::filesystem::permissions(dir_ / name, std::filesystem::perms(0777));
        }
        cgroup_ = fmt::format("axle-test-hypervisor-{}-{}", ::getpid(), number_);
        const std::string config = fmt::format(
            R"({{"name": "h{0}", "uuid": "8d1f7c3e-0a4b-4c55-9f3{0:x}-{1:012x}", "cgroup": "{2}", "libvirt": true,)"
            R"( "own_root": null, "keep_visible": [], "peers": {{}}, "boot_id": "5d1f7c3e-0a4b-4c55-9f3e-{0:012x}"}})",
            number_, ::getpid(), cgroup_);
        const std::string init = test_file("support/host_init.py");
        if (!write_file_durably(dir_ / "host.json", config)) return void(why_not_ = "cannot write a temporary file");
        spawn(init);
        const auto up = [this] { return file_exists(dir_ / "ready") || ::waitpid(child_, nullptr, WNOHANG) != 0; };
        if (!wait_for(up, seconds{30}) || !file_exists(dir_ / "ready"))
            return void(why_not_ = "no private host: " + read_file(dir_ / "init.log").value_or("it said nothing"));
        pid_ = std::stoi(read_file(dir_ / "pid").value_or("0"));
        if (!wait_for([this] { return run({"virsh", "-q", "uri"}).has_value(); }, seconds{30}))
            why_not_ = "libvirt on the private host does not answer";
    }
    void spawn(const std::string& init) {
        child_ = ::fork();
        if (child_ != 0) return;
        const int log = ::open((dir_ / "init.log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        ::dup2(log, 1);
        ::dup2(log, 2);
        ::setsid();
        ::execl("/usr/bin/python3", "python3", init.c_str(), dir_.path().c_str(), static_cast<char*>(nullptr));
        ::_exit(127);
    }
    // Kernel directories go by rmdir alone, deepest first, once their last process has.
    static void remove_groups(const std::filesystem::path& top) {
        std::error_code ignored;
        if (!std::filesystem::exists(top, ignored)) return;
        wait_for(
            [&] {
                std::vector<std::filesystem::path> groups{top};
                for (const auto& entry : std::filesystem::recursive_directory_iterator(top, ignored))
                    if (entry.is_directory(ignored)) groups.push_back(entry.path());
                for (auto it = groups.rbegin(); it != groups.rend(); ++it) ::rmdir(it->c_str());
                return !std::filesystem::exists(top, ignored);
            },
            seconds{5});
    }

    const int number_;
    TempDir dir_;
    std::string why_not_, cgroup_;
    pid_t child_ = -1, pid_ = 0;
};

}  // namespace axle::test
