#include "tests/crash/store/child.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "common/base/ensure.hpp"

extern char** environ;

namespace axle::test {
namespace {

constexpr int kPipe = 3;  // the child's end

std::vector<std::string> environment_with(const std::map<std::string, std::string>& more) {
    std::vector<std::string> all;
    for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
    for (const auto& [name, value] : more) all.push_back(name + "=" + value);
    return all;
}
std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (std::string& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
}

}  // namespace

Child::Child(const std::string& test_case, std::map<std::string, std::string> environment) {
    int ends[2];
    ENSURE(::pipe2(ends, O_CLOEXEC) == 0, "a pipe can be made");
    acknowledgements_.reset(ends[0]);
    const Fd write_end(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, write_end.get(), kPipe);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    std::vector<std::string> arguments = {"crash_store", "--no-skip", "--test-case=" + test_case};
    std::vector<std::string> variables = environment_with(environment);
    const auto argv = pointers(arguments), envp = pointers(variables);
    ENSURE(::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv.data(), envp.data()) == 0,
           "this binary can be run again");
    posix_spawn_file_actions_destroy(&actions);
}

Child::~Child() {
    kill();
    wait();
}

std::uint64_t Child::next_acknowledged() {
    std::uint64_t number = 0;
    ssize_t n = 0;
    do n = ::read(acknowledgements_.get(), &number, sizeof number);
    while (n < 0 && errno == EINTR);
    if (n != sizeof number) return 0;
    return last_ = number;
}

std::uint64_t Child::last_acknowledged() {
    while (next_acknowledged() != 0) {
    }
    return last_;
}

void Child::kill() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
}

int Child::wait() {
    if (pid_ < 0) return 0;
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    if (WIFSIGNALED(status)) return WTERMSIG(status);
    return WEXITSTATUS(status) == 0 ? 0 : 256 + WEXITSTATUS(status);
}

void acknowledge(std::uint64_t number) {
    ENSURE(::write(kPipe, &number, sizeof number) == sizeof number, "the parent reads");
}

std::string child_directory() {
    const char* directory = std::getenv("AXLE_CHILD_DIR");
    ENSURE(directory != nullptr, "started by the parent");
    return directory;
}

}  // namespace axle::test
