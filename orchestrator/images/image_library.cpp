#include "orchestrator/images/image_library.hpp"

#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/base/now.hpp"

namespace axle {
namespace {

constexpr milliseconds kProgressEvery{250};

std::string lane_of(const Uuid& image) {
    return image.bytes[15] % 2 == 0 ? "import/0" : "import/1";
}

// Passes progress on to the core, not more often than anybody can read.
ImportProgress on_core(Executor& core, std::function<void(std::int64_t, std::int64_t)> tell) {
    return [&core, tell = std::move(tell), last = BootTime{}](std::int64_t done, std::int64_t all) mutable {
        if (!tell || boot_now() - last < kProgressEvery) return;
        last = boot_now();
        core.post([tell, done, all] { tell(done, all); });
    };
}

}  // namespace

Result<> ImageLibrary::prepare(const ImportSettings& settings) {
    TRY_VOID(make_directories(settings.directory, 0711));
    return make_directories(incoming_directory(settings), 0700);
}

Result<> ImageLibrary::sweep(const ImportSettings& settings, const UnfinishedImports& unfinished, WallTime now) {
    return sweep_incoming(settings, unfinished, now);
}

ImageLibrary::ImageLibrary(Executor& core, Submit submit, ImportSettings settings)
    : core_(core), submit_(std::move(submit)), settings_(std::move(settings)) {
    settings_.stopping = stopping_;
}

ImageLibrary::~ImageLibrary() {
    stop();
}

void ImageLibrary::stop() {
    *stopping_ = true;
    for (auto& [image, source] : running_) source.request_stop();
}

void ImageLibrary::import(ImportRequest request, std::function<void(std::int64_t, std::int64_t)> progress,
                          std::function<void(Result<Imported>)> done) {
    const Uuid image = request.image;
    if (running_.contains(image)) {
        core_.post([done] { done(fail(Code::busy, "an import of this image runs already")); });
        return;
    }
    const std::stop_token cancel = running_[image].get_token();
    // Back on the core thread, where running_ may be touched, if it is there still.
    const auto answer = [this, image, done = std::move(done), stopping = stopping_](const Result<Imported>& result) {
        if (*stopping) return;
        running_.erase(image);
        done(result);
    };
    Executor& core = core_;
    const bool taken = submit_(lane_of(image), [&core, answer, cancel, request = std::move(request),
                                                settings = settings_, tell = on_core(core, std::move(progress))] {
        auto result = import_image(request, settings, cancel, tell);
        core.post([answer, result = std::move(result)] { answer(result); });
    });
    if (taken) return;
    core_.post([answer] {
        answer(
            fail(error(Code::exhausted, "too many imports wait already").with_hint("try again when some are through")));
    });
}

void ImageLibrary::cancel(Uuid image) {
    if (const auto found = running_.find(image); found != running_.end()) {
        found->second.request_stop();
        return;
    }
    forget(image);
}

void ImageLibrary::forget(Uuid image) {
    const bool taken = submit_(lane_of(image), [settings = settings_, image] {
        if (const auto forgotten = forget_import(settings, image); !forgotten) log::warning(forgotten.error().message);
    });
    if (!taken) log::warning(fmt::format("what an import of image {} left stays until the next start", image.str()));
}

void ImageLibrary::remove(std::string digest) {
    const std::string file = path(digest);
    const bool taken = submit_("import/remove", [file] {
        if (const auto removed = remove_file_durably(file); !removed) log::warning(removed.error().message);
    });
    if (!taken) log::warning(fmt::format("{} stays: too much work waits", file));
}

std::string ImageLibrary::path(const std::string& digest) const {
    return library_path(settings_, digest);
}

}  // namespace axle
