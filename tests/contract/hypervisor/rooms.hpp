// The fake and the real hypervisor behind one set of words, for the one suite.
#pragma once
#include <memory>
#include <set>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "agent/hypervisor/domain_xml.hpp"
#include "agent/hypervisor/fake_hypervisor.hpp"
#include "agent/hypervisor/libvirt_hypervisor.hpp"
#include "common/base/units.hpp"
#include "tests/contract/hypervisor/private_host.hpp"
#include "tests/support/boot_sectors.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/virtual_clock.hpp"
#include "tests/support/waiting_executor.hpp"

namespace axle::test {

inline Uuid uuid(int n) {
    Uuid id;
    id.bytes[0] = 1;
    id.bytes[14] = static_cast<std::uint8_t>(n >> 8);
    id.bytes[15] = static_cast<std::uint8_t>(n);
    return id;
}

class Room {
  public:
    virtual ~Room() = default;
    virtual std::string why_not() const { return ""; }
    virtual Hypervisor& hypervisor() = 0;
    virtual bool run_until(const std::function<bool()>& done) = 0;
    virtual void restart_agent() = 0;
    virtual void stop_libvirt() = 0;  // by kill -9; guests go on
    virtual void start_libvirt() = 0;
    virtual void virsh_destroy(VmId id) = 0;
    virtual void add_tap(const std::string& name) = 0;
    virtual void add_foreign(VmId id, const std::string& name, bool running,
                             const std::vector<DomainPlan::Disk>& disks = {}) = 0;
    virtual bool foreign_is_there(VmId id, bool running) = 0;

    // A guest with one disk, of its own number in this process.
    DomainPlan plan(Guest guest = Guest::deaf) {
        const int n = fresh();
        DomainPlan plan;
        plan.document = {.id = VmId(uuid(n)),
                         .epoch = {1, 10},
                         .rev = 10,
                         .name = fmt::format("default/vm<{}>&'\"", n),
                         .cluster = "c1",
                         .cpus = 1,
                         .memory = 32 * kMiB,
                         .machine = "pc-q35-7.2",
                         .cpu_model = "qemu64",
                         .accelerator = Accelerator::qemu,
                         .seed_slot = 30};
        plan.serial_log = file(fmt::format("run/{}.log", n));
        plan.console_socket = file(fmt::format("run/{}.console", n));
        plan.vnc_socket = file(fmt::format("run/{}.vnc", n));
        plan.disks.push_back(disk("root", 1, guest));
        plan.disks[0].document.boot_order = 1;
        behave(plan.document.id, guest);
        made_.insert(plan.document.id);
        return plan;
    }
    DomainPlan::Nic nic(const std::string& name, int slot) {
        const int n = fresh();
        const std::string tap = fmt::format("axt{:012}", n);
        add_tap(tap);
        return {.document = {.name = name, .mac = fmt::format("52:54:00:aa:bb:{:02x}", n), .slot = slot},
                .tap = tap,
                .mtu = 1450};
    }
    DomainPlan::Disk disk(const std::string& name, int slot, Guest guest = Guest::deaf) {
        const VolumeId volume(uuid(fresh()));
        const std::string path = file("disks/" + volume.str() + ".raw");
        write(path, boot_sector(guest));
        return {.document = {.name = name,
                             .volume = volume,
                             .format = DiskFormat::raw,
                             .slot = slot,
                             .serial = volume.str().substr(0, 20)},
                .path = path};
    }

    template <typename T, typename Call>
    Result<T> wait(Call&& call) {
        auto answer = std::make_shared<std::optional<Result<T>>>();
        call([answer](Result<T> result) {
            REQUIRE_FALSE(answer->has_value());  // once
            *answer = std::move(result);
        });
        REQUIRE_FALSE(answer->has_value());  // never inside the call
        REQUIRE(run_until([&] { return answer->has_value(); }));
        return std::move(**answer);
    }
    template <typename Call>
    Result<> ask(Call&& call) {
        return wait<void>([&](Done done) { call(hypervisor(), std::move(done)); });
    }
    Result<> define(const DomainPlan& p) {
        return ask([&](Hypervisor& h, Done done) { h.define(p, std::move(done)); });
    }
    Result<> start(VmId id, bool paused = false) {
        return ask([&](Hypervisor& h, Done done) { h.start(id, paused, std::move(done)); });
    }
    Result<> destroy(VmId id) {
        return ask([&](Hypervisor& h, Done done) { h.destroy(id, std::move(done)); });
    }
    Result<> undefine(VmId id) {
        return ask([&](Hypervisor& h, Done done) { h.undefine(id, std::move(done)); });
    }
    Result<DomainObservation> try_observe(VmId id) {
        return wait<DomainObservation>([&](auto done) { hypervisor().observe(id, done); });
    }
    DomainObservation observe(VmId id) {
        auto seen = try_observe(id);
        REQUIRE_MESSAGE(seen, seen.error().message);
        return *seen;
    }
    DomainState state(VmId id) { return observe(id).state; }
    bool becomes(VmId id, DomainState wanted) {
        return run_until([&] { return state(id) == wanted; });
    }
    // A guest that runs.
    DomainPlan running(Guest guest = Guest::deaf) {
        const DomainPlan p = plan(guest);
        const auto defined = define(p);
        REQUIRE_MESSAGE(defined, defined.error().message);
        const auto started = start(p.document.id);
        REQUIRE_MESSAGE(started, started.error().message);
        return p;
    }
    bool was_told(VmId id, RunEnd cause) {
        return run_until([&] { return hints.contains({id, cause}); });
    }

    std::set<std::pair<VmId, RunEnd>> hints;

  protected:
    virtual std::string file(const std::string& name) = 0;
    virtual void write(const std::string& path, const std::string& bytes) = 0;
    virtual void behave(VmId, Guest) {}
    void listen() {
        hypervisor().on_hint([this](DomainHint hint) { hints.insert({hint.id, hint.cause}); });
    }
    static int fresh() {
        static int last = 0;
        return ++last;
    }
    std::set<VmId> made_;
};

class FakeRoom final : public Room {
  public:
    FakeRoom() { restart_agent(); }
    Hypervisor& hypervisor() override { return *hypervisor_; }
    bool run_until(const std::function<bool()>& done) override { return time_.run_until(done, seconds{60}); }
    void restart_agent() override {
        hypervisor_.reset();
        agent_ = std::make_unique<VirtualClock>(time_);
        hypervisor_ = std::make_unique<FakeHypervisor>(domains, world_, *agent_, random_, options);
        listen();
    }
    void stop_libvirt() override { domains.away = true; }
    void start_libvirt() override { domains.away = false; }
    void virsh_destroy(VmId id) override { domains.virsh_destroy(id); }
    void add_tap(const std::string&) override {}
    void add_foreign(VmId id, const std::string& name, bool running,
                     const std::vector<DomainPlan::Disk>& disks = {}) override {
        std::vector<VolumeId> volumes;
        for (const auto& disk : disks) volumes.push_back(disk.document.volume);
        domains.add_foreign(id, name, running, std::move(volumes));
    }
    bool foreign_is_there(VmId id, bool running) override {
        return domains.domains.contains(id) && !domains.domains[id].ours && domains.is_on(id) == running;
    }

  private:
    std::string file(const std::string& name) override { return "/host/" + name; }
    void write(const std::string&, const std::string&) override {}
    void behave(VmId id, Guest guest) override {
        FakeGuest& g = domains.guests[id];
        g.hears_power_button = guest == Guest::obeys;
        g.lets_go_of_disks = false;
        if (guest == Guest::leaves) g.shuts_down_after = seconds{2};
        if (guest == Guest::panics) g.crashes_after = seconds{2};
    }

    VirtualTime time_;
    SeededRandom random_{1};
    VirtualClock world_{time_};
    std::unique_ptr<VirtualClock> agent_;
    std::unique_ptr<FakeHypervisor> hypervisor_;

  public:
    FakeDomains domains{world_};
    FakeHypervisorOptions options;
};

// libvirt's events live on one loop of the whole process.
inline Loop& event_loop() {
    static Loop loop("libvirt events");
    static std::jthread thread([] { loop.run(); });
    static struct Stop {
        ~Stop() { loop.stop(); }
    } stop;
    return loop;
}

class LibvirtRoom final : public Room {
  public:
    explicit LibvirtRoom(PrivateHost& on = PrivateHost::instance()) : host(on) {
        if (!host.why_not().empty()) return;
        event_loop();
        restart_agent();
    }
    ~LibvirtRoom() override {
        if (!hypervisor_) return;
        for (const VmId id : made_) {
            static_cast<void>(host.run({"virsh", "-q", "destroy", domain_name(id)}));
            static_cast<void>(host.run({"virsh", "-q", "undefine", domain_name(id)}));
        }
        for (const VmId id : foreign_) {
            static_cast<void>(host.run({"virsh", "-q", "destroy", id.str()}));
            static_cast<void>(host.run({"virsh", "-q", "undefine", id.str()}));
        }
        workers_->stop();
    }
    std::string why_not() const override { return host.why_not(); }
    Hypervisor& hypervisor() override { return *hypervisor_; }
    bool run_until(const std::function<bool()>& done) override { return core_.run_until(done, seconds{20}); }
    LibvirtOptions options() const { return {.uri = host.uri(), .definitions = host.definitions()}; }
    void restart_agent() override { restart_agent(options()); }
    void restart_agent(const LibvirtOptions& with) {
        if (workers_) workers_->stop();
        hypervisor_.reset();
        workers_ = std::make_unique<Workers>("hypervisor");
        hypervisor_ = std::make_unique<LibvirtHypervisor>(with, event_loop(), *workers_, core_);
        listen();
    }
    void stop_libvirt() override {
        REQUIRE(host.signal_libvirtd(SIGKILL));
        REQUIRE(PrivateHost::wait_for([this] { return !host.run({"virsh", "-q", "uri"}).has_value(); }, seconds{10}));
    }
    void start_libvirt() override {
        REQUIRE(host.start_libvirtd());
        REQUIRE(PrivateHost::wait_for([this] { return host.run({"virsh", "-q", "uri"}).has_value(); }, seconds{30}));
    }
    void add_tap(const std::string& name) override {
        REQUIRE(host.run({"ip", "tuntap", "add", "dev", name, "mode", "tap"}));
        REQUIRE(host.run({"ip", "link", "set", name, "up", "mtu", "1450"}));
    }
    void virsh_destroy(VmId id) override { REQUIRE(host.run({"virsh", "-q", "destroy", domain_name(id)})); }
    void add_foreign(VmId id, const std::string& name, bool running,
                     const std::vector<DomainPlan::Disk>& disks = {}) override {
        foreign_.insert(id);
        std::string devices;
        for (const auto& disk : disks)
            devices += fmt::format(
                "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{}'/>"
                "<target dev='vd{}' bus='virtio'/></disk>",
                disk.path, static_cast<char>('a' + devices.size() % 26));
        const std::string xml = fmt::format(
            "<domain type='qemu'><name>{}</name><uuid>{}</uuid><memory unit='MiB'>16</memory>"
            "<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>{}</devices></domain>",
            name, id.str(), devices);
        const auto defined = host.run({"virsh", "-q", "define", "/dev/stdin"}, xml);
        REQUIRE_MESSAGE(defined, defined.error().message);
        if (running) REQUIRE(host.run({"virsh", "-q", "start", id.str()}));
    }
    bool foreign_is_there(VmId id, bool running) override {
        const auto state = host.run({"virsh", "-q", "domstate", id.str()});
        return state && state->starts_with(running ? "running" : "shut off");
    }

    PrivateHost& host;

  private:
    std::string file(const std::string& name) override { return host / name; }
    void write(const std::string& path, const std::string& bytes) override {
        REQUIRE(write_file_durably(path, bytes, 0666));
        std::filesystem::permissions(path, std::filesystem::perms(0666));  // QEMU isn't root, and nobody chowns
    }

    std::set<VmId> foreign_;
    WaitingExecutor core_;
    std::unique_ptr<Workers> workers_;
    std::unique_ptr<LibvirtHypervisor> hypervisor_;
};

}  // namespace axle::test

// A room of the type, or the reason why not, loudly.
#define OPEN_ROOM(R, room) \
    R room;                \
    if (!room.why_not().empty()) SKIP_TEST(room.why_not().c_str())
