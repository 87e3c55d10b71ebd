// Programs run by an argument list, with limits; and those that are shut in.
#include "common/base/process.hpp"

#include <csignal>
#include <fstream>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "common/base/now.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/test_file.hpp"

namespace axle::test {
namespace {

ProcessSpec shell(std::string script) {
    return {.program = "sh", .arguments = {"-c", std::move(script)}, .time_limit = seconds{30}};
}

bool runs(int pid) {
    // A zombie that waits for its reaper doesn't run.
    const auto status = read_file("/proc/" + std::to_string(pid) + "/stat");
    return status && status->find(") Z ") == std::string::npos && status->find(") X ") == std::string::npos;
}

bool ends_soon(int pid) {
    const BootTime deadline = boot_now() + seconds{20};
    while (runs(pid) && boot_now() < deadline) std::this_thread::yield();
    return !runs(pid);
}

TEST_CASE("a program gets its arguments word by word, its input whole, and gives its output back") {
    const auto result = run_process({.program = "cat", .arguments = {"-", "/dev/null"}, .input = "a b\n$HOME `x`"});
    REQUIRE(result);
    CHECK(result->ok());
    CHECK(result->output == "a b\n$HOME `x`");
    CHECK(*run_checked({.program = "echo", .arguments = {"-n", "; rm -rf /", "*"}}) == "; rm -rf / *");
}

TEST_CASE("a program sees nothing of our environment and no descriptor of ours") {
    ::setenv("AXLE_TEST_SECRET", "s", 1);
    const int open = ::dup(1);
    CHECK(*run_checked({.program = "env", .environment = {{"A", "b c"}}}) ==
          "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\nA=b c\n");
    CHECK(*run_checked(shell("test -e /proc/$$/fd/" + std::to_string(open) + " && echo open; test -e /proc/$$/fd/2")) ==
          "");
    ::close(open);
    ::unsetenv("AXLE_TEST_SECRET");
}

TEST_CASE("how a program failed is told with its name and its last words") {
    const auto failed = run_checked(shell("echo first >&2; echo no room >&2; exit 3"));
    REQUIRE_FALSE(failed);
    CHECK(failed.error().message == "sh: exit status 3: first\nno room");
    const auto killed = run_process(shell("kill -9 $$"));
    REQUIRE(killed);
    CHECK(killed->signal == SIGKILL);
    CHECK_FALSE(killed->ok());
    const auto missing = run_process({.program = "no-such-program"});
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == Code::not_found);
    CHECK(missing.error().message.find("no-such-program") != std::string::npos);
    const auto nowhere = run_process({.program = "true", .directory = "/no/such/place"});
    REQUIRE_FALSE(nowhere);
    CHECK(nowhere.error().message == "true did not start: could not enter its directory: No such file or directory");
}

TEST_CASE("of a talkative program the output is limited and the tail of its errors kept") {
    auto spec = shell("yes 123456789");
    spec.output_limit = 100'000;
    const auto much = run_process(spec);
    REQUIRE_FALSE(much);
    CHECK(much.error().code == Code::too_large);
    spec = shell("yes 123456789 | head -c 100000 >&2; echo end >&2");
    spec.error_tail_limit = 50;
    const auto tail = run_process(spec);
    REQUIRE(tail);
    CHECK(tail->error_tail.size() == 50);
    CHECK(tail->error_tail.ends_with("end\n"));
    std::size_t seen = 0;
    spec = shell("yes 123456789 | head -c 5000000");
    spec.on_output = [&](std::string_view piece) { seen += piece.size(); };
    const auto streamed = run_process(spec);
    REQUIRE(streamed);
    CHECK(streamed->output.empty());
    CHECK(seen == 5'000'000);
}

TEST_CASE("out of time, the program and what it started are killed") {
    const TempDir dir;
    auto spec = shell("sleep 600 & echo $! >" + dir / "pid" + "; sleep 600");
    spec.time_limit = milliseconds{500};
    const auto result = run_process(spec);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Code::timeout);
    CHECK(result.error().message.find("500ms") != std::string::npos);
    CHECK(ends_soon(std::stoi(*read_file(dir / "pid"))));
}

TEST_CASE("what a program left running ends with it") {
    const TempDir dir;
    REQUIRE(run_checked(shell("sleep 600 >/dev/null 2>&1 & echo $! >" + dir / "pid")));
    CHECK(ends_soon(std::stoi(*read_file(dir / "pid"))));
}

TEST_CASE("a cancelled program is killed") {
    std::stop_source stop;
    auto spec = shell("echo ready; sleep 600");
    spec.cancel = stop.get_token();
    spec.on_output = [&](std::string_view) { stop.request_stop(); };
    const auto result = run_process(spec);
    REQUIRE_FALSE(result);
    CHECK(result.error().reason == "cancelled");
}

TEST_CASE("a program dies with the thread that runs it") {
    const TempDir dir;
    const pid_t runner = ::fork();
    if (runner == 0) {
        (void)run_process(
            shell("echo $$ >" + dir / "pid.new" + "; mv " + dir / "pid.new" + " " + dir / "pid" + "; exec sleep 600"));
        ::_exit(0);
    }
    const BootTime deadline = boot_now() + seconds{20};
    while (!file_exists(dir / "pid") && boot_now() < deadline) std::this_thread::yield();
    REQUIRE(file_exists(dir / "pid"));
    const int pid = std::stoi(*read_file(dir / "pid"));
    CHECK(runs(pid));
    ::kill(runner, SIGKILL);
    CHECK(ends_soon(pid));
}

// --- confined -------------------------------------------------------------------------------------------------------

std::string why_not_confined() {
    auto spec = shell("true");
    spec.confinement = Confinement{};
    const auto result = run_checked(spec);
    return result ? "" : result.error().message;
}

#define NEEDS_CONFINEMENT()                                             \
    if (::geteuid() != 0) SKIP_TEST("only root can confine a program"); \
    if (const auto why = why_not_confined(); !why.empty()) FAIL(why)

Result<ProcessResult> confined(const std::string& script, Confinement confinement = {}) {
    auto spec = shell(script);
    spec.confinement = std::move(confinement);
    return run_process(spec);
}

TEST_CASE("a confined program sees the given files and nothing else of this machine") {
    NEEDS_CONFINEMENT();
    const TempDir dir;
    REQUIRE(write_file_durably(dir / "in", "hello", 0644));
    REQUIRE(write_file_durably(dir / "out", "", 0600));
    REQUIRE(::chown((dir / "out").c_str(), 65534, 65534) == 0);
    const auto result = confined("ls / /work; id -u; cat /work/in; cat /work/in >/work/out; echo x >/work/in",
                                 {.files = {{dir / "in", "/work/in"}, {dir / "out", "/work/out", true}}});
    REQUIRE(result);
    CHECK(result->output == "/:\nbin\netc\nlib\nlib64\nsbin\nusr\nwork\n\n/work:\nin\nout\n65534\nhello");
    CHECK(result->error_tail.find("cannot create /work/in") != std::string::npos);
    CHECK(*read_file(dir / "out") == "hello");
    CHECK(*read_file(dir / "in") == "hello");
    for (const std::string& script : std::vector<std::string>{
             "cat /etc/shadow", "cat /etc/passwd", "ls /proc/1", "cat </dev/vda", "ls " + test_file("support/main.cpp"),
             "echo x >/work/new", "echo x >/usr/x", "mkdir /new", "kill -9 $$ && false"}) {
        CAPTURE(script);
        const auto refused = confined(script);
        REQUIRE(refused);
        CHECK_FALSE(refused->ok());
    }
}

TEST_CASE("a confined program has no network, mounts and traces nothing, and is killed for trying") {
    NEEDS_CONFINEMENT();
    struct Row {
        std::string what;
        std::string script;
        bool killed;
    };
    const Row rows[] = {
        {"inet socket", "exit 42 if syscall(41, 2, 1, 0) >= 0; exit 1", true},
        {"packet socket", "syscall(41, 17, 3, 0)", true},
        {"unix socket", "exit(syscall(41, 1, 1, 0) >= 0 ? 42 : 1)", false},
        {"mount", "$t=\"tmpfs\";$p=\"/work\";syscall(165,$t,$p,$t,0,0)", true},
        {"ptrace", "syscall(101, 0, 0, 0, 0)", true},
        {"keyctl", "syscall(250, 0, 0, 0, 0, 0)", true},
        {"bpf", "syscall(321, 0, 0, 0)", true},
        {"module", "syscall(175, 0, 0, 0)", true},
        {"unshare", "syscall(272, 0x10000000)", true},
        {"clone with a user namespace", "syscall(56, 0x10000011, 0, 0, 0, 0)", true},
        {"signal to another", "exit(syscall(62, 1, 0) >= 0 ? 42 : 1)", false},
        {"the other system call table", "syscall(0x40000000 + 39)", true},
    };
    for (const Row& row : rows) {
        CAPTURE(row.what);
        const auto result =
            run_process({.program = "perl", .arguments = {"-"}, .input = row.script, .confinement = Confinement{}});
        REQUIRE(result);
        CAPTURE(result->error_tail);
        CHECK(result->exit_status != 42);
        CHECK_FALSE(result->ok());
        if (row.killed) CHECK(result->signal == SIGSYS);
    }
}

TEST_CASE("a confined program has its share of memory, time and disk, and no more") {
    NEEDS_CONFINEMENT();
    const TempDir dir;
    REQUIRE(write_file_durably(dir / "out", "", 0666));
    REQUIRE(::chown((dir / "out").c_str(), 65534, 65534) == 0);
    const auto written = confined("exec head -c 3000000 /usr/bin/perl >/work/out",
                                  {.files = {{dir / "out", "/work/out", true}}, .file_size = 1'000'000});
    REQUIRE(written);
    CHECK_FALSE(written->ok());
    struct stat st {};
    REQUIRE(::stat((dir / "out").c_str(), &st) == 0);
    CHECK(st.st_size <= 1'000'000);
    const auto eaten = confined("perl - <<'E'\n$x = 'a' x 400000000; exit 0\nE\n", {.address_space = 200'000'000});
    REQUIRE(eaten);
    CHECK_FALSE(eaten->ok());
    const auto burnt = confined("while :; do :; done", {.cpu_seconds = 1});
    REQUIRE(burnt);
    CHECK(burnt->signal != 0);
}

TEST_CASE("a confinement that can't be made is refused with the step that failed") {
    NEEDS_CONFINEMENT();
    const auto missing = confined("true", {.files = {{"/no/such/file", "/work/in"}}});
    REQUIRE_FALSE(missing);
    CHECK(missing.error().message.find("/no/such/file") != std::string::npos);
    const auto outside = confined("true", {.files = {{"/etc/passwd", "/etc/passwd"}}});
    REQUIRE_FALSE(outside);
}

}  // namespace
}  // namespace axle::test
