// What is over is kept for a while and then goes, so that years of use don't grow the store: changes (7 days, at most
// 1 GiB), ended tasks and events (30 days), audit (400 days). How old a revision is, is known from marks: every hour,
// or 64 MiB of changes, the head and the cluster time are written down. So a wall clock that jumps makes nothing go
// early. Core thread only. Every batch of it can be lost or repeated without harm.
#pragma once
#include <deque>

#include "orchestrator/core/pipeline.hpp"

namespace axle {

// In ms of cluster time, and bytes.
struct Retention {
    static constexpr std::int64_t kDay = INT64_C(24) * 3'600'000;
    std::int64_t changes = 7 * kDay, events = 30 * kDay, audit = 400 * kDay;
    std::int64_t changes_bytes = std::int64_t{1} << 30;
    std::int64_t mark_every = 3'600'000, mark_bytes = std::int64_t{64} << 20;
};

class Housekeeper {
  public:
    explicit Housekeeper(Pipeline& pipeline, Retention keep = {}) : pipeline_(pipeline), keep_(keep) {}

    // At start, after the pipeline was loaded: reads the marks.
    Result<> load();
    void start();  // looks now and every minute

  private:
    // Everything up to `revision` is at least as old as `at`.
    struct Mark {
        Revision revision = 0;
        std::int64_t at = 0;     // cluster time
        std::int64_t bytes = 0;  // of all changes up to here, since the cluster was founded
    };

    void look();
    void put_back(Batch& batch);
    void mark(Batch& batch);
    static Write record_of(const Mark& mark);
    void trim(Batch& batch);
    void trim_table(Batch& batch, Table table, Revision until, Revision& done);
    void trim_tasks(Batch& batch, Revision until);
    // Highest revision of which everything is older than this many ms, or lies beyond so many bytes of changes. 0:
    // none.
    Revision older_than(std::int64_t ms, std::int64_t bytes) const;

    Pipeline& pipeline_;
    Retention keep_;
    std::deque<Mark> marks_;  // by revision
    std::int64_t bytes_ = 0;
    Revision changes_done_ = 0, events_done_ = 0, audit_done_ = 0;  // trimmed up to here
    std::string tasks_from_;                                        // where the next pass goes on
};

}  // namespace axle
