// The witness: a small file outside the store's directory that remembers how far the store had got, so that a lost
// tail, an older copy or an empty directory is noticed. It may lag by a second, never lead.
//
//   0     slot 0: one line of text, padded to 512 bytes
//   4096  slot 1                       (apart by more than any sector or page, so that one torn write spoils one slot)
//
// The slot with the higher number counts; writes go to the other one.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/clock.hpp"
#include "common/base/file.hpp"
#include "orchestrator/store/opening.hpp"

namespace axle {

constexpr std::size_t kWitnessSlotBytes = 512;
constexpr std::size_t kWitnessSlotDistance = 4096;

struct WitnessSlot {
    std::uint64_t number = 0;  // of the write, from 1
    WitnessRecord record;
};
std::string write_witness_slot(const WitnessSlot& slot);                      // kWitnessSlotBytes
std::optional<WitnessSlot> read_witness_slot(std::string_view bytes);         // nothing if torn or never written
std::optional<WitnessSlot> newest_witness_slot(std::string_view whole_file);  // of the two

// The file, locked against other processes. One thread at a time; calls block on the disk.
class WitnessFile {
  public:
    // Code::busy if another process has it. A file that isn't there is a success; record() is then empty.
    static Result<std::unique_ptr<WitnessFile>> open(std::string path);
    const std::optional<WitnessRecord>& record() const { return record_; }
    // Makes the file if need be. Durable after success. Code::conflict if somebody else has written to it.
    Result<> write(const WitnessRecord& record);

  private:
    explicit WitnessFile(std::string path) : path_(std::move(path)) {}
    Result<> lock();
    Result<> create(const WitnessSlot& slot);
    Result<> refuse_foreign_writer() const;

    std::string path_;
    Fd fd_;
    std::uint64_t number_ = 0;
    std::optional<WitnessRecord> record_;
};

// When to write it: a pause after the first sync that it doesn't know of, so at most once a pause, and a pause after
// the last.
class WitnessPace {
  public:
    explicit WitnessPace(milliseconds pause) : pause_(pause) {}
    void synced(BootTime now) {
        if (!due_at_) due_at_ = now + pause_;
    }
    bool due(BootTime now) const { return due_at_ && now >= *due_at_; }
    std::optional<BootTime> due_at() const { return due_at_; }
    void written() { due_at_.reset(); }

  private:
    milliseconds pause_;
    std::optional<BootTime> due_at_;
};

}  // namespace axle
