#include "orchestrator/images/image_library.hpp"

#include <optional>

#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/base/now.hpp"

namespace axle {
namespace {

constexpr milliseconds kProgressEvery{250};

std::string lane_of(const char* what, const ImportRequest& request) {
    return fmt::format("{}/{}", what, request.project.str());
}

// Passes progress on to the core, not more often than anybody can read, and each step at its begin.
TellProgress on_core(Executor& core, TellProgress tell) {
    return [&core, tell = std::move(tell), last = BootTime{},
            step = std::optional<ImportStep>()](const ImportProgress& progress) mutable {
        if (!tell || (boot_now() - last < kProgressEvery && step == progress.step)) return;
        last = boot_now();
        step = progress.step;
        core.post([tell, progress] { tell(progress); });
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

void ImageLibrary::import(ImportRequest request, TellProgress progress, std::function<void(Result<Imported>)> done) {
    const Uuid image = request.image;
    if (const auto forgetting = forgetting_.find(image); forgetting != forgetting_.end()) {
        forgetting->second = [this, request = std::move(request), progress = std::move(progress), done] {
            import(request, progress, done);
        };
        return;
    }
    if (running_.contains(image)) {
        core_.post([done] { done(fail(Code::busy, "an import of this image runs already")); });
        return;
    }
    const std::stop_token cancel = running_[image].get_token();
    // Back on the core thread, where running_ may be touched, if it is there still.
    const Answer answer = [this, image, done = std::move(done), stopping = stopping_](const Result<Imported>& result) {
        if (*stopping) return;
        running_.erase(image);
        if (result) settings_.shelf->release(result->digest);
        done(result);
    };
    const TellProgress tell = on_core(core_, std::move(progress));
    const bool taken =
        submit_(lane_of(request.url.empty() ? "convert" : "receive", request),
                [this, &core = core_, stopping = stopping_, answer, cancel, request, settings = settings_, tell] {
                    auto source = receive_image(request, settings, cancel, tell);
                    core.post([this, stopping, answer, cancel, request, tell, source = std::move(source)] {
                        if (*stopping) return;
                        if (!source) return answer(fail(source.error()));
                        convert(request, *source, cancel, tell, answer);
                    });
                });
    if (!taken) refuse(answer);
}

void ImageLibrary::convert(const ImportRequest& request, const ImportSource& source, const std::stop_token& cancel,
                           const TellProgress& tell, const Answer& answer) {
    const bool taken = submit_(lane_of("convert", request),
                               [&core = core_, answer, cancel, request, source, settings = settings_, tell] {
                                   auto result = import_image(request, source, settings, cancel, tell);
                                   core.post([answer, result = std::move(result)] { answer(result); });
                               });
    if (!taken) refuse(answer);
}

void ImageLibrary::refuse(const Answer& answer) {
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
    if (!forgetting_.try_emplace(image).second) return;
    const bool taken = submit_("forget", [this, &core = core_, stopping = stopping_, settings = settings_, image] {
        const auto forgotten_now = forget_import(settings, image);
        if (!forgotten_now) log::warning(forgotten_now.error().message);
        core.post([this, stopping, image] {
            if (!*stopping) forgotten(image);
        });
    });
    if (taken) return;
    log::warning(fmt::format("what an import of image {} left stays until the next start", image.str()));
    forgotten(image);
}

void ImageLibrary::forgotten(const Uuid& image) {
    auto forgetting = forgetting_.extract(image);
    if (forgetting && forgetting.mapped()) forgetting.mapped()();
}

void ImageLibrary::remove(std::string digest, std::function<void(Result<>)> done) {
    const std::string file = path(digest);
    settings_.shelf->ask_removal(digest);
    const auto answer = [done = std::move(done), stopping = stopping_](const Result<>& removed) {
        if (!removed) log::warning(removed.error().message);
        if (!*stopping) done(removed);
    };
    const bool taken = submit_("remove", [&core = core_, file, digest, answer, shelf = settings_.shelf] {
        core.post([answer, removed = shelf->remove(digest, file)] { answer(removed); });
    });
    if (!taken)
        core_.post([answer, file] {
            answer(fail(Code::exhausted, "{} stays until the next start: too much work waits", file));
        });
}

std::string ImageLibrary::path(const std::string& digest) const {
    return library_path(settings_, digest);
}

}  // namespace axle
