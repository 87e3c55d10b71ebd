// Images: imported, tried again while what hinders is temporary, forgotten when nothing is made of them.
#include <algorithm>

#include "common/base/units.hpp"
#include "orchestrator/core/controllers.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

constexpr std::size_t kLogMax = 20;
constexpr std::string_view kImageFile = "image-file/", kImageFileEnd = "image-file0";
constexpr int kTriesMax = 12;  // without any progress: somewhat more than an hour
constexpr milliseconds kFirstWait{15'000}, kLongestWait{600'000};

Condition not_ready(const char* reason, std::string message, std::string now) {
    return {"Ready", false, reason, std::move(message), std::move(now)};
}

// The network, a server, a full disk: it may be over when it is tried again.
bool is_temporary(Code code) {
    return code == Code::unavailable || code == Code::no_space || code == Code::exhausted || code == Code::busy;
}

milliseconds wait_before(int tries) {
    milliseconds wait = kFirstWait;
    for (int i = 1; i < tries && wait < kLongestWait; ++i) wait *= 2;
    return std::min(wait, kLongestWait);
}

// The share of each step in a whole import, by what they usually take. An upload begins with the checking.
std::int64_t percent_of(const ImportProgress& at, bool is_upload) {
    constexpr int kBegin[] = {0, 60, 65, 75, 99};
    const int step = static_cast<int>(at.step);
    const std::int64_t span = kBegin[step + 1] - kBegin[step];
    const std::int64_t share = at.all > 0 ? std::clamp<std::int64_t>(at.done * span / at.all, 0, span) : 0;
    const std::int64_t percent = kBegin[step] + share;
    return is_upload ? std::max<std::int64_t>(percent - 60, 0) * 100 / 40 : percent;
}

void note(std::vector<std::string>& log, const std::string& now, const std::string& text) {
    log.push_back(now + " " + text);
    if (log.size() > kLogMax) log.erase(log.begin());
}

bool is_wanted(const Image& image) {
    const ImagePhase phase = image.status.phase;
    return !image.is_deleted() && (phase == ImagePhase::pending || phase == ImagePhase::importing);
}

}  // namespace

void Controllers::reconcile_image(const Uuid& id) {
    const Image* image = pipeline_.world().find<Image>(id);
    if (image == nullptr) return;
    const std::set<Uuid> open = pipeline_.world().tasks_of(id);
    const auto any_is = [&](TaskPhase phase) {
        return std::ranges::any_of(
            open, [&](const Uuid& t) { return pipeline_.world().find<Task>(t)->status.phase == phase; });
    };
    const bool cancelling = any_is(TaskPhase::cancelling);
    const auto work = importing_.find(id);
    if ((cancelling || image->is_deleted()) && work != importing_.end()) return stop_import(id);
    if (image->is_deleted()) {
        if (pipeline_.cluster_time() < image->meta.deletion->expunge_at) return;
        const std::string digest = image->status.digest;
        Transaction tx = pipeline_.begin();
        for (const Uuid& task : open) move_task(tx, task, TaskPhase::superseded);
        tx.erase(Kind::image, id);
        forget_image_file(tx, digest);
        pipeline_.commit(tx);
        if (digest.empty()) pipeline_.when_durable([this, id] { importer_.forget(id); });
        return;
    }
    if (cancelling) return imported(id, fail(error(Code::conflict, "cancelled").with_reason("cancelled")));
    if (!is_wanted(*image)) return;
    if (work == importing_.end()) return start_import(*image);
    const bool asked = !open.empty() && !any_is(TaskPhase::waiting);  // somebody doesn't want to wait
    if (!work->second.runs && asked) start_import(*image);
}

void Controllers::start_import(const Image& image) {
    const Uuid id = image.meta.id;
    ImportWork& work = importing_[id];
    pipeline_.clock().cancel(work.timer);
    work.timer = 0;
    work.runs = true;
    work.progress = {.step = image.spec.url.empty() ? ImportStep::checking : ImportStep::downloading};
    note(work.log, pipeline_.now_text(), text_of(work.progress.step));
    ImportRequest request{.image = id,
                          .project = image.meta.project.id,
                          .url = image.spec.url,
                          .from_this_machine = image.status.by_administrator,
                          .checksum = image.spec.checksum};
    Transaction tx = pipeline_.begin();
    tx.update_status<Image>(id, [](Image& i) {
        i.status.phase = ImagePhase::importing;
        drop_condition(i.status.conditions, "Ready");
    });
    for (const Uuid& task : std::set<Uuid>(tx.world().tasks_of(id))) wait_task_for(tx, task, "");
    pipeline_.commit(tx);
    importer_.import(
        std::move(request),
        [this, id](const ImportProgress& progress) {
            if (const Image* now = pipeline_.world().find<Image>(id)) progressed(*now, progress);
        },
        [this, id](Result<Imported> result) { imported(id, std::move(result)); });
}

// One that runs answers when it has ended; one that waits is over now.
void Controllers::stop_import(const Uuid& id) {
    const auto work = importing_.find(id);
    importer_.cancel(id);
    if (work->second.runs) return;
    pipeline_.clock().cancel(work->second.timer);
    imported(id, fail(error(Code::conflict, "the import was cancelled").with_reason("cancelled")));
}

const Controllers::ImportWork* Controllers::import_of(const Uuid& image) const {
    const auto found = importing_.find(image);
    return found == importing_.end() ? nullptr : &found->second;
}

void Controllers::progressed(const Image& image, const ImportProgress& progress) {
    const auto found = importing_.find(image.meta.id);
    if (found == importing_.end()) return;
    ImportWork& work = found->second;
    if (work.progress.step != progress.step) note(work.log, pipeline_.now_text(), text_of(progress.step));
    work.progress = progress;
    work.percent = std::max(work.percent, percent_of(progress, image.spec.url.empty()));
}

// False: it was tried often enough.
bool Controllers::try_import_later(const Image& image, const Error& why) {
    const Uuid id = image.meta.id;
    ImportWork& work = importing_[id];
    work.runs = false;
    if (work.progress.step == ImportStep::downloading && work.progress.done > work.reached) {
        work.reached = work.progress.done;
        work.tries = 0;
    }
    if (++work.tries >= kTriesMax) return false;
    const milliseconds longest = wait_before(work.tries);
    const auto jitter = pipeline_.random().below(static_cast<std::uint64_t>(longest.count() / 4));
    const milliseconds wait = longest - milliseconds{static_cast<std::int64_t>(jitter)};
    const std::string at = format_time(WallTime{pipeline_.wall().ms + wait.count()});
    const std::string text = fmt::format("{}; try {} of {} is at {}", why.message, work.tries + 1, kTriesMax, at);
    note(work.log, pipeline_.now_text(), why.message);
    Transaction tx = pipeline_.begin();
    tx.update_status<Image>(id, [&](Image& i) {
        set_condition(i.status.conditions, not_ready("ImportWaits", text, pipeline_.now_text()));
    });
    for (const Uuid& task : std::set<Uuid>(tx.world().tasks_of(id))) {
        wait_task_for(tx, task, text);
        tx.update_status<Task>(task, [&](Task& t) { t.status.log = work.log; });
    }
    pipeline_.commit(tx);
    work.timer = pipeline_.clock().after(wait, [this, id] {
        const Image* now = pipeline_.world().find<Image>(id);
        importing_[id].timer = 0;
        if (pipeline_.store_state().read_only || now == nullptr || !is_wanted(*now))
            importing_.erase(id);
        else
            start_import(*now);
    });
    return true;
}

void Controllers::end_import_tasks(Transaction& tx, const Uuid& image, const Result<Imported>& result,
                                   const std::vector<std::string>& log) {
    const bool cancelled = !result && result.error().reason == "cancelled";
    for (const Uuid& task : std::set<Uuid>(tx.world().tasks_of(image))) {
        // Cancelled by its user, or because the image was deleted.
        const bool asked = tx.world().find<Task>(task)->status.phase == TaskPhase::cancelling;
        if (result) {
            move_task(tx, task, TaskPhase::succeeded);
        } else if (cancelled) {
            move_task(tx, task, asked ? TaskPhase::cancelled : TaskPhase::superseded);
        } else {
            const Error& why = result.error();
            tx.update_status<Task>(task, [&](Task& t) { t.status.log = log; });
            move_task(tx, task, TaskPhase::failed,
                      TaskError{why.reason.empty() ? name_of(why.code) : why.reason, why.message, why.hint});
        }
    }
}

void Controllers::imported(const Uuid& id, Result<Imported> result) {
    if (pipeline_.store_state().read_only) {  // it is looked for again when the loss is accepted
        importing_.erase(id);
        return;
    }
    const Image* image = pipeline_.world().find<Image>(id);
    if (image != nullptr && !image->is_deleted() && !result && is_temporary(result.error().code) &&
        try_import_later(*image, result.error()))
        return;
    std::vector<std::string> log = std::move(importing_[id].log);
    importing_.erase(id);
    if (image == nullptr) {
        Transaction gone = pipeline_.begin();
        if (result) forget_image_file(gone, result->digest);
        pipeline_.commit(gone);
        return importer_.forget(id);
    }
    if (!result) note(log, pipeline_.now_text(), result.error().message);
    Transaction tx = pipeline_.begin();
    const bool cancelled = !result && result.error().reason == "cancelled";
    const bool interrupted = !result && result.error().reason == "interrupted";
    tx.update_status<Image>(id, [&](Image& i) {
        if (result) {
            i.status = {.phase = ImagePhase::ready,
                        .digest = result->digest,
                        .size = result->size,
                        .virtual_size = result->virtual_size,
                        .source_format = result->source_format};
            return;
        }
        const bool again = (cancelled || interrupted) && i.spec.url.empty();
        i.status.phase = again ? ImagePhase::uploading : ImagePhase::failed;
        const char* reason = cancelled ? "Cancelled" : interrupted ? "Interrupted" : "ImportFailed";
        set_condition(i.status.conditions, not_ready(reason, result.error().message, pipeline_.now_text()));
    });
    end_import_tasks(tx, id, result, log);
    pipeline_.commit(tx);
    // Not before: a crash would leave an acknowledged upload without its bytes.
    if (result) pipeline_.when_durable([this, id] { importer_.forget(id); });
    enqueue({Kind::image, id});
}

// The original goes when neither an image nor a disk is made of it. That it is to go is noted in the same commit, and
// struck out when the file is gone: a crash in between leaves the note, and the next start goes on with it.
void Controllers::forget_image_file(Transaction& tx, const std::string& digest) {
    if (digest.empty() || image_file_is_needed(digest)) return;
    tx.write({Table::meta, std::string(kImageFile) + digest, "{}"});
    core_.post([this, digest] {  // after the commit that says so
        pipeline_.when_durable([this, digest] { remove_image_file(digest); });
    });
}

bool Controllers::image_file_is_needed(const std::string& digest) const {
    const World& world = pipeline_.world();
    const auto any = [&](Kind kind, auto has_it) {
        return std::ranges::any_of(world.all(kind), [&](const auto& item) { return has_it(*item.second); });
    };
    return any(Kind::image, [&](const Object& o) { return static_cast<const Image&>(o).status.digest == digest; }) ||
           any(Kind::volume,
               [&](const Object& o) { return static_cast<const Volume&>(o).spec.image_digest == digest; });
}

void Controllers::remove_image_file(const std::string& digest) {
    importer_.remove(digest, [this, digest](Result<> removed) {
        if (!removed || pipeline_.store_state().read_only) return;  // the note stays
        Transaction tx = pipeline_.begin();
        tx.write({Table::meta, std::string(kImageFile) + digest, std::nullopt});
        pipeline_.commit(tx);
    });
}

Result<> Controllers::load() {
    std::vector<std::string> noted;
    TRY_VOID(pipeline_.store().scan(Table::meta, kImageFile, kImageFileEnd, false,
                                    [&](std::string_view key, std::string_view) {
                                        noted.emplace_back(key.substr(kImageFile.size()));
                                        return true;
                                    }));
    std::erase_if(noted, [this](const std::string& digest) { return image_file_is_needed(digest); });
    image_files_left_ = std::move(noted);
    return {};
}

}  // namespace axle
