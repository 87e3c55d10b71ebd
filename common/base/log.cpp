#include <atomic>
#include <ctime>
#include <mutex>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

#include <systemd/sd-journal.h>

#include "common/base/log_sink.hpp"

namespace axle::log {
namespace {

std::atomic<Level> least_level{Level::info};

struct SinkPlace {
    std::mutex mutex;
    Sink sink;  // guarded
};
// Never destroyed: threads may log until the process is gone.
SinkPlace& sink_place() {
    static auto& place = *new SinkPlace;
    return place;
}
std::atomic<bool> has_sink{false};  // the mutex is nobody's affair who has none

// sd_journal_sendv says 0 without a journal and the line is lost: so look first.
bool has_journal() {
    static const bool there = ::access("/run/systemd/journal/socket", W_OK) == 0 && ::isatty(2) == 0;
    return there;
}

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    for (char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        } else {
            out += c;
        }
    }
    out += '"';
}

const char* word_for(Level level) {
    switch (level) {
        case Level::error:
            return "error";
        case Level::warning:
            return "warning";
        case Level::info:
            return "info";
        case Level::debug:
            return "debug";
    }
    return "info";
}

std::string now_text() {
    std::timespec ts{};
    std::timespec_get(&ts, TIME_UTC);
    std::tm utc{};
    gmtime_r(&ts.tv_sec, &utc);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                       utc.tm_hour, utc.tm_min, utc.tm_sec, ts.tv_nsec / 1'000'000);
}

void to_journal(Level level, std::string_view message, std::initializer_list<Field> fields) {
    std::vector<std::string> lines;
    lines.push_back(fmt::format("MESSAGE={}", message));
    lines.push_back(fmt::format("PRIORITY={}", static_cast<int>(level)));
    for (const auto& [name, value] : fields) lines.push_back(fmt::format("{}={}", name, value));
    std::vector<iovec> parts;
    for (std::string& line : lines) parts.push_back({line.data(), line.size()});
    sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));
}

void to_stderr(Level level, std::string_view message, std::initializer_list<Field> fields) {
    std::string line;
    if (::isatty(2) != 0) {
        line = fmt::format("{:7} {}", word_for(level), message);
        for (const auto& [name, value] : fields) line += fmt::format("  {}={}", name, value);
    } else {
        line = fmt::format(R"({{"time":"{}","level":"{}","message":)", now_text(), word_for(level));
        append_json_string(line, message);
        for (const auto& [name, value] : fields) {
            line += fmt::format(",\"{}\":", name);
            append_json_string(line, value);
        }
        line += '}';
    }
    line += '\n';
    // One write, so that lines of several threads don't mix; a full or closed stderr must not stop us.
    [[maybe_unused]] const auto written = ::write(2, line.data(), line.size());
}

}  // namespace

void set_level(Level least) {
    least_level = least;
}

void set_sink(Sink sink) {
    const std::lock_guard lock(sink_place().mutex);
    has_sink = static_cast<bool>(sink);
    sink_place().sink = std::move(sink);
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
    if (level > least_level.load(std::memory_order_relaxed)) return;
    if (has_sink.load(std::memory_order_relaxed)) {
        const std::lock_guard lock(sink_place().mutex);
        if (sink_place().sink) sink_place().sink(level, message);
    }
    has_journal() ? to_journal(level, message, fields) : to_stderr(level, message, fields);
}

}  // namespace axle::log
