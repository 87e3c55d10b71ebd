#include "orchestrator/core/housekeeper.hpp"

#include <limits>

#include <nlohmann/json.hpp>

#include "common/model/fleet.hpp"

namespace axle {
namespace {

constexpr milliseconds kEvery{60'000};
constexpr std::int64_t kAnyBytes = std::numeric_limits<std::int64_t>::max();
constexpr int kTasksAPass = 2000;
constexpr std::string_view kMarks = "mark/", kMarksEnd = "mark0";

std::string mark_key(Revision revision) {
    return fmt::format("{}{:016x}", kMarks, revision);
}

}  // namespace

Result<> Housekeeper::load() {
    const Store& store = pipeline_.store();
    TRY_VOID(store.scan(Table::meta, kMarks, kMarksEnd, false, [&](std::string_view key, std::string_view value) {
        const auto record = nlohmann::json::parse(value, nullptr, false);
        const Revision revision = std::strtoull(std::string(key.substr(kMarks.size())).c_str(), nullptr, 16);
        if (record.is_object())
            marks_.push_back({revision, record.value("at", INT64_C(0)), record.value("bytes", INT64_C(0))});
        return true;
    }));
    const Mark last = marks_.empty() ? Mark{} : marks_.back();
    bytes_ = last.bytes;
    return store.scan(Table::changes, revision_key(last.revision + 1), "", false,
                      [&](std::string_view key, std::string_view value) {
                          bytes_ += static_cast<std::int64_t>(key.size() + value.size());
                          return true;
                      });
}

void Housekeeper::start() {
    pipeline_.on_committed([this](const ChangeEvent& event) {
        bytes_ += static_cast<std::int64_t>(sizeof(Revision) + event.record->size());
    });
    look();
}

void Housekeeper::look() {
    if (!pipeline_.store_state().read_only) {
        Batch batch;
        put_back(batch);
        mark(batch);
        trim(batch);
        if (!batch.writes.empty() || !batch.deleted_ranges.empty()) pipeline_.store().commit(std::move(batch));
    }
    pipeline_.clock().after(kEvery, [this] { look(); });
}

// A person has accepted a clock that was put back: what lies ahead of it counts as of now, else it would be kept until
// the clock is there again.
void Housekeeper::put_back(Batch& batch) {
    const std::int64_t now = pipeline_.cluster_time();
    for (auto mark = marks_.rbegin(); mark != marks_.rend() && mark->at > now; ++mark) {
        mark->at = now;
        batch.writes.push_back(record_of(*mark));
    }
}

Write Housekeeper::record_of(const Mark& mark) {
    return {Table::meta, mark_key(mark.revision), fmt::format(R"({{"at":{},"bytes":{}}})", mark.at, mark.bytes)};
}

void Housekeeper::mark(Batch& batch) {
    const Mark now{pipeline_.head(), pipeline_.cluster_time(), bytes_};
    if (!marks_.empty()) {
        const Mark& last = marks_.back();
        if (now.revision <= last.revision) return;
        if (now.at - last.at < keep_.mark_every && now.bytes - last.bytes < keep_.mark_bytes) return;
    }
    marks_.push_back(now);
    batch.writes.push_back(record_of(now));
}

Revision Housekeeper::older_than(std::int64_t ms, std::int64_t bytes) const {
    Revision found = 0;
    for (const Mark& mark : marks_) {
        if (pipeline_.cluster_time() - mark.at < ms && bytes_ - mark.bytes <= bytes) break;
        found = mark.revision;
    }
    return found;
}

void Housekeeper::trim(Batch& batch) {
    trim_table(batch, Table::changes, older_than(keep_.changes, keep_.changes_bytes), changes_done_);
    const Revision old_events = older_than(keep_.events, kAnyBytes);
    trim_table(batch, Table::events, old_events, events_done_);
    trim_tasks(batch, old_events);
    const Revision old_audit = older_than(keep_.audit, kAnyBytes);
    trim_table(batch, Table::audit, old_audit, audit_done_);
    while (!marks_.empty() && marks_.front().revision < old_audit) {
        batch.writes.push_back({Table::meta, mark_key(marks_.front().revision), std::nullopt});
        marks_.pop_front();
    }
}

void Housekeeper::trim_table(Batch& batch, Table table, Revision until, Revision& done) {
    if (until <= done) return;
    batch.deleted_ranges.push_back({std::string(1, '\0'), revision_key(until + 1), table});
    done = until;
}

// Some at a time, oldest first (ids sort by time of creation); those that haven't ended stay, however old.
void Housekeeper::trim_tasks(Batch& batch, Revision until) {
    if (until == 0) return;
    int looked_at = 0;
    std::string next;
    const auto scanned =
        pipeline_.store().scan(Table::tasks, tasks_from_, "", false, [&](std::string_view key, std::string_view value) {
            if (++looked_at > kTasksAPass) return next = key, false;
            const auto object = from_store_form(Kind::task, value, pipeline_.secrets());
            if (!object) return true;  // of a newer release: that one knows when it ended
            const auto& task = static_cast<const Task&>(**object);
            if (task.meta.revision > until) return false;
            if (is_terminal(task.status.phase) && task.meta.status_revision <= until)
                batch.writes.push_back({Table::tasks, std::string(key), std::nullopt});
            return true;
        });
    tasks_from_ = scanned ? next : "";
}

}  // namespace axle
