#include "common/base/process_child.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace axle {
namespace {

constexpr const char* kPath = "/usr/sbin:/usr/bin:/sbin:/bin";

// What the child needs, laid out before the fork: after it no memory may be taken.
struct Launch {
    std::string program;
    std::vector<std::string> words, environment;
    std::vector<char*> argv, envp;
    std::optional<PreparedConfinement> confinement;
    Fd input, output, errors, failure;  // the child's ends
    const char* directory = "/";
    mode_t umask = 0022;
    bool dies_with_us = true;
    pid_t parent = 0;
};

// What the child says when it doesn't come as far as exec.
struct Failure {
    char step[48];
    int error_number;
};

Result<std::string> find_program(const std::string& name) {
    if (name.starts_with('/')) {
        if (::access(name.c_str(), X_OK) == 0) return name;
    } else {
        std::string_view rest = kPath;
        while (!rest.empty()) {
            const auto end = std::min(rest.find(':'), rest.size());
            std::string path = fmt::format("{}/{}", rest.substr(0, end), name);
            if (::access(path.c_str(), X_OK) == 0) return path;
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
    }
    return fail(
        error(Code::not_found, "program {} isn't on this machine", name)
            .with_hint("install the package that has it; packaging/packages.runtime names all that are needed"));
}

Result<Fd> input_of(const std::string& input) {
    if (input.empty()) {
        Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (!null) return fail(system_error("open /dev/null", errno));
        return null;
    }
    // A file in memory: nobody has to feed it while the program runs.
    Fd memory(::memfd_create("axle-input", MFD_CLOEXEC));
    if (!memory || ::pwrite(memory.get(), input.data(), input.size(), 0) != static_cast<ssize_t>(input.size()))
        return fail(system_error("make room for a program's input", errno));
    return memory;
}

Result<> make_pipe(Fd& reader, Fd& writer, bool blocking_reader) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail(system_error("make a pipe", errno));
    reader.reset(ends[0]);
    writer.reset(ends[1]);
    if (!blocking_reader) ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return {};
}

Result<Launch> prepare(const ProcessSpec& spec) {
    Launch launch;
    TRY(program, find_program(spec.program));
    launch.program = std::move(program);
    launch.words.push_back(spec.program);
    launch.words.insert(launch.words.end(), spec.arguments.begin(), spec.arguments.end());
    launch.environment = {std::string("PATH=") + kPath, "LC_ALL=C"};
    for (const auto& [name, value] : spec.environment) launch.environment.push_back(name + "=" + value);
    for (auto& word : launch.words) launch.argv.push_back(word.data());
    for (auto& word : launch.environment) launch.envp.push_back(word.data());
    launch.argv.push_back(nullptr);
    launch.envp.push_back(nullptr);
    if (spec.confinement) {
        TRY(confinement, prepare_confinement(*spec.confinement));
        launch.confinement = std::move(confinement);
    }
    TRY(input, input_of(spec.input));
    launch.input = std::move(input);
    launch.directory = spec.confinement ? "/" : spec.directory.c_str();
    launch.umask = spec.umask;
    launch.dies_with_us = spec.dies_with_us;
    launch.parent = ::getpid();
    return launch;
}

void reset_signals() {
    for (int number = 1; number < NSIG; ++number)
        if (number != SIGKILL && number != SIGSTOP) ::signal(number, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Only system calls from here on. nullptr only if exec came back, then "run it" with errno.
const char* become(Launch& launch) {
    ::setsid();
    reset_signals();
    if (::dup2(launch.input.get(), 0) < 0 || ::dup2(launch.output.get(), 1) < 0 || ::dup2(launch.errors.get(), 2) < 0)
        return "connect its input and output";
    if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return "close our files";
    ::umask(launch.umask);
    if (launch.confinement) {
        if (const char* failed = enter_namespaces(*launch.confinement)) return failed;
        if (const char* failed = drop_privileges(*launch.confinement)) return failed;
    } else if (::chdir(launch.directory) != 0) {
        return "enter its directory";
    }
    // After the change of user, which takes it back.
    if (launch.dies_with_us || launch.confinement) {
        if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return "tie it to our life";
        if (::getppid() != launch.parent) ::_exit(127);
    }
    if (launch.confinement)
        if (const char* failed = install_filter(*launch.confinement)) return failed;
    ::execve(launch.program.c_str(), launch.argv.data(), launch.envp.data());
    return "run it";
}

[[noreturn]] void child(Launch& launch) {
    const char* step = become(launch);
    Failure failure{.step = {}, .error_number = errno};
    for (std::size_t i = 0; i + 1 < sizeof failure.step && step[i] != '\0'; ++i) failure.step[i] = step[i];
    [[maybe_unused]] const ssize_t told = ::write(launch.failure.get(), &failure, sizeof failure);
    ::_exit(127);
}

}  // namespace

Result<StartedProcess> start_process(const ProcessSpec& spec) {
    TRY(launch, prepare(spec));
    StartedProcess started;
    Fd failed;
    TRY_VOID(make_pipe(started.output, launch.output, false));
    TRY_VOID(make_pipe(started.errors, launch.errors, false));
    TRY_VOID(make_pipe(failed, launch.failure, true));
    started.pid = ::fork();
    if (started.pid < 0) return fail(system_error("start " + spec.program, errno));
    if (started.pid == 0) child(launch);
    launch.failure.reset();
    Failure failure{};
    ssize_t told = 0;
    do told = ::read(failed.get(), &failure, sizeof failure);
    while (told < 0 && errno == EINTR);
    if (told != 0) {
        while (::waitpid(started.pid, nullptr, 0) < 0 && errno == EINTR) {
        }
        failure.step[sizeof failure.step - 1] = '\0';
        return fail(error(Code::internal, "{} did not start: could not {}: {}", spec.program, failure.step,
                          std::strerror(failure.error_number)));
    }
    started.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, started.pid, 0)));
    if (!started.pidfd) {
        const int error_number = errno;
        ::kill(-started.pid, SIGKILL);
        while (::waitpid(started.pid, nullptr, 0) < 0 && errno == EINTR) {
        }
        return fail(system_error("watch " + spec.program, error_number));
    }
    return started;
}

}  // namespace axle
