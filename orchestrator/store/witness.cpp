#include "orchestrator/store/witness.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sstream>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/digest.hpp"
#include "common/base/ensure.hpp"

namespace axle {
namespace {

constexpr const char* kMagic = "axle-witness-1";

Result<> write_at(int fd, std::string_view bytes, off_t where, const std::string& path) {
    while (!bytes.empty()) {
        const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), where);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(system_error("write " + path, errno));
        bytes.remove_prefix(static_cast<std::size_t>(n));
        where += n;
    }
    return {};
}

// "-" stands for an empty word.
std::string word(const std::string& text) {
    return text.empty() ? "-" : text;
}
std::string from_word(std::string text) {
    return text == "-" ? "" : text;
}

}  // namespace

std::string write_witness_slot(const WitnessSlot& slot) {
    const WitnessRecord& r = slot.record;
    std::string line = fmt::format("{} {} {} {} {} {} {}", kMagic, slot.number, r.revision, r.incarnation,
                                   word(r.run_id), word(r.history), r.cluster.str());
    line += fmt::format(" {}", sha256_hex(line));
    ENSURE(line.size() < kWitnessSlotBytes, "ids are of bounded length");
    line.resize(kWitnessSlotBytes - 1, ' ');
    return line + "\n";
}

std::optional<WitnessSlot> read_witness_slot(std::string_view bytes) {
    std::string text(bytes.substr(0, kWitnessSlotBytes));
    text.erase(text.find_last_not_of(" \n") + 1);
    const std::size_t last_space = text.rfind(' ');
    if (last_space == std::string::npos) return std::nullopt;
    if (sha256_hex(std::string_view(text).substr(0, last_space)) != text.substr(last_space + 1)) return std::nullopt;
    std::istringstream words(text);
    std::string magic, cluster;
    WitnessSlot slot;
    WitnessRecord& r = slot.record;
    words >> magic >> slot.number >> r.revision >> r.incarnation >> r.run_id >> r.history >> cluster;
    const auto id = Uuid::parse(cluster);
    if (!words || magic != kMagic || !id) return std::nullopt;
    r.run_id = from_word(std::move(r.run_id));
    r.history = from_word(std::move(r.history));
    r.cluster = *id;
    return slot;
}

std::optional<WitnessSlot> newest_witness_slot(std::string_view whole_file) {
    auto first = read_witness_slot(whole_file);
    auto second = whole_file.size() > kWitnessSlotDistance ? read_witness_slot(whole_file.substr(kWitnessSlotDistance))
                                                           : std::nullopt;
    if (first && second) return first->number > second->number ? first : second;
    return first ? first : second;
}

Result<std::unique_ptr<WitnessFile>> WitnessFile::open(std::string path) {
    std::unique_ptr<WitnessFile> file(new WitnessFile(std::move(path)));
    auto content = read_file(file->path_, 1 << 16);
    if (!content && content.error().code == Code::not_found) return file;
    if (!content) return fail(std::move(content.error()).in("the store's witness"));
    TRY_VOID(file->lock());
    if (const auto slot = newest_witness_slot(*content)) {
        file->number_ = slot->number;
        file->record_ = slot->record;
    }
    return file;
}

Result<> WitnessFile::lock() {
    fd_.reset(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd_) return fail(system_error("open " + path_, errno));
    if (::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK) return fail(system_error("lock " + path_, errno));
    return fail(error(Code::busy,
                      "the witness {} is in use by another process: an orchestrator of this cluster runs here", path_)
                    .with_hint("stop the other one, or use the one that runs"));
}

Result<> WitnessFile::create(const WitnessSlot& slot) {
    std::string content = write_witness_slot(slot);
    content.resize(kWitnessSlotDistance, '\n');
    content.append(kWitnessSlotBytes, '\n');
    TRY_VOID(make_directories(parent_of(path_), 0700));
    TRY_VOID(write_file_durably(path_, content));
    return lock();
}

// Two orchestrators that share a witness but no store (a copied directory) would otherwise not see each other.
Result<> WitnessFile::refuse_foreign_writer() const {
    TRY(content, read_file(path_, 1 << 16));
    const auto slot = newest_witness_slot(content);
    const std::uint64_t number = slot ? slot->number : 0;
    if (number == number_) return {};
    return fail(error(Code::conflict, "the witness {} was written by somebody else (write {}, ours was {}, run {})",
                      path_, number, number_, slot ? slot->record.run_id : "unknown")
                    .with_hint("only one orchestrator may run on this cluster's identity: stop the other one"));
}

Result<> WitnessFile::write(const WitnessRecord& record) {
    const WitnessSlot slot{.number = number_ + 1, .record = record};
    KILL_POINT("store.witness.before-write");
    if (!fd_) {
        TRY_VOID(create(slot));
    } else {
        TRY_VOID(refuse_foreign_writer());
        const off_t where = slot.number % 2 == 1 ? 0 : off_t{kWitnessSlotDistance};
        TRY_VOID(write_at(fd_.get(), write_witness_slot(slot), where, path_));
        KILL_POINT("store.witness.before-sync");
        if (::fsync(fd_.get()) != 0) return fail(system_error("sync " + path_, errno));
    }
    KILL_POINT("store.witness.after-sync");
    number_ = slot.number;
    record_ = record;
    return {};
}

}  // namespace axle
