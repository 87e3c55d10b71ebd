#include "tests/crash/cloud/disks.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/base/ensure.hpp"

namespace axle::test {

// Hands all on to the real files and keeps the machine's picture of them.
struct CloudOnDisk::Mirror final : StateFiles {
    CloudOnDisk& owner;
    SimulatedMachine& machine;
    Mirror(CloudOnDisk& o, SimulatedMachine& m) : owner(o), machine(m) {}

    void load(std::function<void(Result<std::vector<StateFile>>)> answer) override {
        ++owner.unanswered_;
        owner.real_files_->load([this, answer = std::move(answer)](Result<std::vector<StateFile>> files) {
            --owner.unanswered_;
            ENSURE(files.has_value(), "state files can be read");
            for (const StateFile& file : *files) {
                machine.files[file.name] = file.content;
                if (!file.name.starts_with("desired/volume-")) continue;
                // A destroy that was durable when the last process died was checked when it was sent.
                const auto record = from_json_text<DocumentRecord>(file.content.substr(0, file.content.find('\n')));
                if (record && record->verdict == Verdict::destroy) machine.expect_volume_destroy(VolumeId{record->id});
            }
            answer(std::move(files));
        });
    }
    void put(std::string name, std::string content, std::function<void(Result<>)> done) override {
        ++owner.unanswered_;
        owner.real_files_->put(name, content, [this, name, content, done = std::move(done)](Result<> put) {
            --owner.unanswered_;
            if (put) machine.files[name] = content;
            done(std::move(put));
        });
    }
    void remove(std::string name, std::function<void(Result<>)> done) override {
        ++owner.unanswered_;
        owner.real_files_->remove(name, [this, name, done = std::move(done)](Result<> removed) {
            --owner.unanswered_;
            if (removed) machine.files.erase(name);
            done(std::move(removed));
        });
    }
};

CloudOnDisk::CloudOnDisk(std::string directory) : directory_(std::move(directory)) {
    DirectoryStateOptions files;
    files.directory = directory_ + "/agent";
    files.reserve_bytes = 0;
    real_files_ = std::make_unique<DirectoryStateFiles>(core_, std::move(files));
    CloudOptions options{.hosts = 1};
    options.open_store = [this]() -> Result<std::unique_ptr<Store>> {
        RocksStoreOptions with{.directory = directory_ + "/store", .identity_directory = directory_ + "/identity"};
        with.any_file_system = true;
        with.reserve_bytes = 1 << 20;
        TRY(store, RocksStore::open(std::move(with), core_, random_, {1'800'000'000'000}));
        return std::unique_ptr<Store>(std::move(store));
    };
    options.prepare_host = [this](SimulatedMachine& machine) {
        load_machine(machine);
        mirror_ = std::make_unique<Mirror>(*this, machine);
        machine.real_files = mirror_.get();
        machine.power_cut();  // the guests died with the machine: it is another boot
    };
    options.after_event = [this] { wait_for_disks(); };
    cloud_ = std::make_unique<Cloud>(options);
}

CloudOnDisk::~CloudOnDisk() {
    cloud_.reset();
    real_files_.reset();
}

// Virtual time stands still while a disk works: so the same workload passes the same points in the same order.
void CloudOnDisk::wait_for_disks() {
    if (!cloud_ || !cloud_->orchestrator_runs()) return;
    save_machine();
    const bool done = core_.run_until([this] { return unanswered_ == 0 && cloud_->store().queued() == 0; });
    ENSURE(done, "disks answer");
    core_.run();
}

void CloudOnDisk::save_machine() {
    std::ostringstream out;
    const SimulatedMachine& machine = *cloud_->hosts[0].machine;
    for (const auto& [id, volume] : machine.volumes)
        out << "volume " << id.str() << " " << volume.pool.str() << " " << volume.size << " ." << volume.image << "\n";
    for (const auto& [pool, digest] : machine.images) out << "image " << pool.str() << " " << digest << "\n";
    for (const std::string& digest : cloud_->image_files) out << "original " << digest << "\n";
    if (out.str() == saved_) return;
    saved_ = out.str();
    std::ofstream(directory_ + "/machine.new") << saved_;
    std::filesystem::rename(directory_ + "/machine.new", directory_ + "/machine");
    KILL_POINT("machine.acted");  // on the disk of a guest, and the agent has not written it down
}

void CloudOnDisk::load_machine(SimulatedMachine& machine) {
    std::ifstream in(directory_ + "/machine");
    std::string what, id, pool, image;
    std::int64_t size = 0;
    while (in >> what) {
        if (what == "volume" && in >> id >> pool >> size >> image)
            machine.volumes[VolumeId{*Uuid::parse(id)}] = {size, image.substr(1), PoolId{*Uuid::parse(pool)}};
        if (what == "image" && in >> pool >> image) machine.images.insert({PoolId{*Uuid::parse(pool)}, image});
        if (what == "original") in >> image;  // originals are asked for again where they are missing
    }
}

}  // namespace axle::test
