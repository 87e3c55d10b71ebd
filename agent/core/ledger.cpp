#include "agent/core/ledger.hpp"

#include <algorithm>

#include "agent/core/planted.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

std::string document_file(const DocumentKey& key) {
    return fmt::format("desired/{}-{}", text_of(key.first), key.second.str());
}

Result<DocumentRecord> read_document(const std::string& content) {
    const auto line = content.find('\n');
    TRY(record, from_json_text<DocumentRecord>(std::string_view(content).substr(0, line)));
    if (line != std::string::npos) record.content = content.substr(line + 1);
    return record;
}

}  // namespace

void Ledger::load(Done done) {
    files_.load(life_.wrap([this, done = std::move(done)](Result<std::vector<StateFile>> files) {
        if (!files) return done(fail(std::move(files.error()).in("the agent's state can't be read")));
        for (const StateFile& file : *files) take(file);
        done({});
    }));
}

void Ledger::take(const StateFile& file) {
    const auto slash = file.name.find('/');
    const std::string folder = file.name.substr(0, slash);
    const auto read = [&]<typename T>(T, auto keep) {
        auto record = from_json_text<T>(file.content);
        if (!record) {
            unreadable_.push_back(file.name + ": " + record.error().message);
            return;
        }
        keep(std::move(*record));
    };
    if (folder == "desired") {
        auto record = read_document(file.content);
        if (!record) {
            unreadable_.push_back(file.name + ": " + record.error().message);
            return;
        }
        tombstones_ += record->verdict == Verdict::gone ? 1 : 0;
        documents_[record->key()] = std::move(*record);
    } else if (folder == "runs") {
        read(RunRecord{}, [this](RunRecord run) { runs_[run.vm] = std::move(run); });
    } else if (folder == "local") {
        read(LocalRecord{}, [this](LocalRecord local) { locals_[local.vm] = std::move(local); });
    } else if (folder == "moves") {
        read(MoveRecord{}, [this](MoveRecord move) { moves_[move.vm] = std::move(move); });
    } else if (folder == "made") {
        read(Mark{}, [this](Mark mark) { made_.insert(VolumeId{mark.id}); });
    } else if (folder == "known") {
        read(Mark{}, [this](Mark mark) { known_.insert(PoolId{mark.id}); });
    } else if (folder == "tasks") {
        read(TaskRecord{}, [this](TaskRecord task) { tasks_[task.id] = std::move(task); });
    } else if (file.name == "agent/seen") {
        read(SeenRecord{}, [this](SeenRecord seen) { seen_ = std::move(seen); });
    } else if (file.name == "agent/connection") {
        read(ConnectionRecord{}, [this](ConnectionRecord connection) { connection_ = connection; });
    } else if (file.name == "agent/going-down") {
        read(GoingDown{}, [this](GoingDown mark) { going_down_ = std::move(mark); });
    }  // others belong to later releases or to other parts
}

const DocumentRecord* Ledger::document(const DocumentKey& key) const {
    auto it = documents_.find(key);
    return it == documents_.end() ? nullptr : &it->second;
}

RunRecord Ledger::run(VmId vm) const {
    auto it = runs_.find(vm);
    return it == runs_.end() ? RunRecord{.vm = vm} : it->second;
}

const LocalRecord* Ledger::local(VmId vm) const {
    auto it = locals_.find(vm);
    return it == locals_.end() ? nullptr : &it->second;
}

const MoveRecord* Ledger::move(VmId vm) const {
    auto it = moves_.find(vm);
    return it == moves_.end() ? nullptr : &it->second;
}

void Ledger::write(std::string name, std::string content, std::function<void()> apply, Done done) {
    if (planted().act_before_durable) {
        apply();
        apply = [] {};
        done({});
        done = [](Result<>) {};
    }
    files_.put(std::move(name), std::move(content),
               life_.wrap([apply = std::move(apply), done = std::move(done)](Result<> answer) {
                   if (answer) apply();
                   done(std::move(answer));
               }));
}

void Ledger::remove(std::string name) {
    files_.remove(std::move(name), [](Result<>) {});
}

void Ledger::put(DocumentRecord record, Done done) {
    std::string content = to_json_text(record) + "\n" + record.content;
    ++writing_[record.key()];
    done = [this, key = record.key(), done = std::move(done)](Result<> answer) {
        if (--writing_[key] == 0) writing_.erase(key);
        done(std::move(answer));
    };
    write(
        document_file(record.key()), std::move(content),
        [this, record] {
            const auto* old = document(record.key());
            if (old != nullptr && old->verdict == Verdict::gone) --tombstones_;
            if (record.verdict == Verdict::gone) ++tombstones_;
            documents_[record.key()] = record;
            drop_old_tombstones();
        },
        std::move(done));
}

void Ledger::put(RunRecord record, Done done) {
    write(
        "runs/" + record.vm.str(), to_json_text(record), [this, record] { runs_[record.vm] = record; },
        std::move(done));
}

void Ledger::put(LocalRecord record, Done done) {
    write(
        "local/" + record.vm.str(), to_json_text(record), [this, record] { locals_[record.vm] = record; },
        std::move(done));
}

void Ledger::put(MoveRecord record, Done done) {
    write(
        "moves/" + record.vm.str(), to_json_text(record), [this, record] { moves_[record.vm] = record; },
        std::move(done));
}

void Ledger::put(TaskRecord record, Done done) {
    write(
        "tasks/" + record.id.str(), to_json_text(record), [this, record] { tasks_[record.id] = record; },
        std::move(done));
}

void Ledger::put(SeenRecord record, Done done) {
    write(
        "agent/seen", to_json_text(record), [this, record] { seen_ = record; }, std::move(done));
}

void Ledger::put(ConnectionRecord record, Done done) {
    write(
        "agent/connection", to_json_text(record), [this, record] { connection_ = record; }, std::move(done));
}

void Ledger::set_going_down(std::string boot_id, Done done) {
    const GoingDown mark{std::move(boot_id)};
    write(
        "agent/going-down", to_json_text(mark), [this, mark] { going_down_ = mark; }, std::move(done));
}

void Ledger::mark_made(VolumeId volume, Done done) {
    write(
        "made/" + volume.str(), to_json_text(Mark{volume}), [this, volume] { made_.insert(volume); }, std::move(done));
}

void Ledger::mark_known(PoolId pool, Done done) {
    write(
        "known/" + pool.str(), to_json_text(Mark{pool}), [this, pool] { known_.insert(pool); }, std::move(done));
}

void Ledger::forget_document(const DocumentKey& key) {
    documents_.erase(key);
    remove(document_file(key));
}

void Ledger::forget_run(VmId vm) {
    if (runs_.erase(vm) > 0) remove("runs/" + vm.str());
}

void Ledger::forget_local(VmId vm) {
    if (locals_.erase(vm) > 0) remove("local/" + vm.str());
}

void Ledger::forget_move(VmId vm) {
    if (moves_.erase(vm) > 0) remove("moves/" + vm.str());
}

void Ledger::forget_made(VolumeId volume) {
    if (made_.erase(volume) > 0) remove("made/" + volume.str());
}

void Ledger::forget_known(PoolId pool) {
    if (known_.erase(pool) > 0) remove("known/" + pool.str());
}

void Ledger::forget_task(TaskId task) {
    if (tasks_.erase(task) > 0) remove("tasks/" + task.str());
}

void Ledger::drop_old_tombstones() {
    while (tombstones_ > kMaxTombstones) {
        const DocumentRecord* oldest = nullptr;
        for (const auto& [key, record] : documents_) {
            if (record.verdict != Verdict::gone) continue;
            if (oldest == nullptr || record.order < oldest->order) oldest = &record;
        }
        --tombstones_;
        forget_document(DocumentKey{oldest->key()});
    }
}

}  // namespace axle
