#include "agent/guest/serial_probe.hpp"

#include <array>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.hpp"

namespace axle {
namespace {

constexpr std::int64_t kTail = 65536;

std::string read_tail(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat st {};
    if (!fd || ::fstat(fd.get(), &st) != 0) return "";
    std::string text(static_cast<std::size_t>(std::min<std::int64_t>(st.st_size, kTail)), '\0');
    const ssize_t n = ::pread(fd.get(), text.data(), text.size(), st.st_size - static_cast<std::int64_t>(text.size()));
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
}

}  // namespace

std::string stage_in(std::string_view log) {
    struct Mark {
        std::string_view text;
        const char* stage;
    };
    // The latest mark counts: a reboot begins anew.
    static constexpr std::array kMarks = {Mark{"SeaBIOS", "firmware"},
                                          Mark{"iPXE", "firmware"},
                                          Mark{"GRUB", "firmware"},
                                          Mark{"BdsDxe", "firmware"},
                                          Mark{"Linux version", "kernel"},
                                          Mark{"] Run /", "kernel"},
                                          Mark{"AXLE-GUEST: kernel", "kernel"},
                                          Mark{"cloud-init", "userspace"},
                                          Mark{"login:", "userspace"},
                                          Mark{"systemd[1]:", "userspace"},
                                          Mark{"AXLE-GUEST: ready", "userspace"}};
    std::size_t latest = 0;
    const char* stage = log.empty() ? "none" : "firmware";
    for (const Mark& mark : kMarks) {
        const auto at = log.rfind(mark.text);
        if (at == std::string_view::npos || at < latest) continue;
        latest = at;
        stage = mark.stage;
    }
    return stage;
}

SerialProbe::SerialProbe(std::function<std::string(VmId)> log_path, Workers& workers, Executor& core)
    : log_path_(std::move(log_path)), workers_(workers), core_(core) {}

void SerialProbe::last_stage(VmId vm, Answer<std::string> answer) {
    auto shared = std::make_shared<Answer<std::string>>(std::move(answer));
    const bool taken = workers_.submit("probe", [this, path = log_path_(vm), shared] {
        core_.post([shared, stage = stage_in(read_tail(path))] { (*shared)(stage); });
    });
    if (!taken) core_.post([shared] { (*shared)(fail(Code::exhausted, "too much is waiting")); });
}

}  // namespace axle
