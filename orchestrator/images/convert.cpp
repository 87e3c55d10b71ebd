#include "orchestrator/images/convert.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.hpp"
#include "common/base/io.hpp"
#include "common/base/process.hpp"
#include "common/base/space.hpp"
#include "common/base/units.hpp"

namespace axle {
namespace {

constexpr const char* kSource = "/work/source";
constexpr const char* kTarget = "/work/target";

Confinement confinement(const Conversion& conversion, const ImportSettings& settings, bool writes) {
    Confinement confined{.uid = settings.confined_uid, .gid = settings.confined_gid};
    confined.files.push_back({conversion.source, kSource});
    if (writes) confined.files.push_back({conversion.target, kTarget, true});
    confined.cpu_seconds = settings.convert_limit.count() / 1000;
    confined.file_size = settings.virtual_size_max + (settings.virtual_size_max >> 4);
    return confined;
}

// Looks, as qemu-img tells how far it is, whether there is room still; else it is stopped.
class RoomGuard {
  public:
    RoomGuard(const Conversion& conversion, const ImportSettings& settings)
        : directory_(settings.directory),
          keep_free_(settings.keep_free),
          forward_(conversion.cancel, [this] { stop_.request_stop(); }) {}
    std::stop_token token() const { return stop_.get_token(); }
    // Bytes that the target may take as things stand.
    Result<std::int64_t> room(std::int64_t otherwise) const {
        if (keep_free_ == 0) return otherwise;
        TRY(free, free_bytes(directory_));
        return std::clamp<std::int64_t>(free - keep_free_, 0, otherwise);
    }
    void look() {
        if (no_room_) return;
        auto fine = check_space(directory_, keep_free_, 0);
        if (fine) return;
        no_room_ = std::move(fine.error());
        stop_.request_stop();
    }
    const std::optional<Error>& no_room() const { return no_room_; }

  private:
    std::string directory_;
    std::int64_t keep_free_;
    std::stop_source stop_;
    std::optional<Error> no_room_;
    std::stop_callback<std::function<void()>> forward_;
};

bool met_its_limit(const ProcessResult& result) {
    return result.signal == SIGXFSZ || result.error_tail.find("File too large") != std::string::npos;
}

Result<> judge(const ProcessSpec& spec, const Result<ProcessResult>& result) {
    if (!result) return fail(result.error());
    const std::string words = describe_end(spec, *result);
    if (words.find("No space left") != std::string::npos)
        return fail(error(Code::no_space, "there is no room to convert the image: {}", words)
                        .with_hint("free space below the state directory"));
    return fail(error(Code::invalid, "the image can't be read: {}", words)
                    .with_hint("the file seems damaged or truncated: compare its size and checksum with the source"));
}

Result<> check(const Conversion& conversion, const ImportSettings& settings) {
    const ProcessSpec spec{.program = "qemu-img",
                           .arguments = {"check", "-q", "-f", "qcow2", kSource},
                           .time_limit = settings.convert_limit,
                           .cancel = conversion.cancel,
                           .confinement = confinement(conversion, settings, false)};
    const auto result = run_process(spec);
    if (result && (result->exit_status == 0 || result->exit_status == 3)) return {};  // 3: leaks, no loss
    return judge(spec, result);
}

// Reads "    (12.34/100%)\r" as it comes.
class Percent {
  public:
    Percent(const std::function<void(std::int64_t, std::int64_t)>& tell, std::int64_t all) : tell_(tell), all_(all) {}
    void read(std::string_view said) {
        for (const char c : said) {
            if (c == '(') number_.clear();
            if (c == '/' && tell_ && !number_.empty())
                tell_(
                    static_cast<std::int64_t>(std::strtod(number_.c_str(), nullptr) / 100 * static_cast<double>(all_)),
                    all_);
            if ((c >= '0' && c <= '9') || c == '.') number_ += c;
            if (number_.size() > 8) number_.clear();
        }
    }

  private:
    const std::function<void(std::int64_t, std::int64_t)>& tell_;
    std::int64_t all_;
    std::string number_;
};

Result<> make_target(const Conversion& conversion, const ImportSettings& settings) {
    if (io::unlink(conversion.target.c_str()) != 0 && errno != ENOENT)
        return fail(system_error("remove " + conversion.target, errno));
    const Fd fd(io::open(conversion.target.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600));
    if (!fd || ::fchown(fd.get(), settings.confined_uid, settings.confined_gid) != 0)
        return fail(system_error("create " + conversion.target, errno));
    return {};
}

}  // namespace

Result<> convert_image(const Conversion& conversion, const ImportSettings& settings) {
    struct stat st {};
    if (::stat(conversion.source.c_str(), &st) != 0 || ::chmod(conversion.source.c_str(), 0444) != 0)
        return fail(system_error("look at " + conversion.source, errno));
    if (conversion.format == "qcow2") TRY_VOID(check(conversion, settings));
    TRY_VOID(make_target(conversion, settings));
    RoomGuard guard(conversion, settings);
    Confinement confined = confinement(conversion, settings, true);
    TRY(room, guard.room(confined.file_size));
    const bool by_room = room < confined.file_size;
    if (by_room) TRY_VOID(check_space(settings.directory, settings.keep_free, 1));
    confined.file_size = room;
    Percent percent(conversion.progress, st.st_size);
    const ProcessSpec spec{
        .program = "qemu-img",
        .arguments = {"convert", "-p", "-f", conversion.format, "-O", "qcow2", "-o", "compat=1.1", kSource, kTarget},
        .time_limit = settings.convert_limit,
        .cancel = guard.token(),
        .on_output =
            [&](std::string_view said) {
                percent.read(said);
                guard.look();
            },
        .confinement = confined};
    const auto result = run_process(spec);
    if (result && result->ok()) return {};
    if (guard.no_room()) return fail(*guard.no_room());
    if (by_room && result && met_its_limit(*result))
        return fail(
            error(Code::no_space, "the image needs more than the {} that the server has for it", format_bytes(room))
                .with_hint("free some space under /var/lib/axle, e.g. delete images: axle image list"));
    return judge(spec, result);
}

}  // namespace axle
