// The fake behind the Hypervisor seam: pure, driven by a clock and a seed. What libvirt and QEMU would keep
// (FakeDomains) outlives the agent that uses it (FakeHypervisor), so that a simulator can crash the one or cut the
// power of the other.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/hypervisor/hypervisor.hpp"
#include "common/base/clock.hpp"

namespace axle {

// How a guest answers to what is done to it. Of its VM, for every run.
struct FakeGuest {
    bool hears_power_button = true;
    bool lets_go_of_disks = true;      // and of NICs
    milliseconds shuts_down_after{0};  // by itself, after the start; 0: never
    milliseconds crashes_after{0};
};

// The domains of one host. One thread. Members are for tests to look at and to meddle with.
class FakeDomains {
  public:
    struct Domain {
        bool ours = true;
        std::string name;
        std::optional<DomainPlan> persistent;
        std::optional<DomainPlan> synced;  // what a power cut leaves of it
        std::optional<DomainPlan> live;    // what the guest was started with, and devices that came and went since
        std::string live_hash;             // of what holds until its next start
        DomainState state = DomainState::shut_off;
        RunEnd ended = RunEnd::unknown;  // libvirt knows nothing of a domain that was never started
        bool migrated = false;           // shut off, since it went to another host
        bool incoming = false;           // on, and not resumed since a migration brought it
        std::uint64_t run = 0;           // number of starts; a shutdown that was asked of one run does not end the next
        int resets = 0;
        std::vector<VolumeId> foreign_volumes;  // of one that isn't ours
    };
    // What must hold whatever happens is judged by whoever listens: each disk that a guest opens and closes.
    struct DiskUse {
        VmId vm;
        VolumeId volume;
        bool opened = true;
    };

    explicit FakeDomains(Clock& clock) : clock_(clock) {}

    std::map<VmId, Domain> domains;
    std::map<VmId, FakeGuest> guests;  // those that aren't listed are well-behaved
    bool syncs_definitions = true;     // false: an edge that forgets to, for a power cut to find out
    bool away = false;                 // libvirtd is down: guests go on, calls answer Code::unavailable
    HypervisorFacts facts{.libvirt = "9.0.0",
                          .qemu = "7.2.0",
                          .accelerator = Accelerator::qemu,
                          .accelerator_why = "guests are pretended",
                          .guest_machine = "pc-q35-7.2",
                          .guest_cpu_model = "qemu64"};
    std::function<void(const DiskUse&)> on_disk_use;
    std::function<void(VolumeId, std::int64_t bytes)> on_grow;  // QEMU changes the file

    // What happens in guests and around them; nothing for a guest that isn't on.
    void guest_shuts_down(VmId id);
    void guest_crashes(VmId id);
    void virsh_destroy(VmId id);
    void add_foreign(VmId id, std::string name, bool running, std::vector<VolumeId> volumes = {});
    // Every guest is gone; of definitions what was synced is there afterwards.
    void power_cut();
    bool is_on(VmId id) const;

    // Of FakeHypervisor.
    Result<DomainObservation> look(VmId id) const;
    Result<> define(const DomainPlan& plan);
    Result<> undefine(VmId id);
    Result<> start(VmId id, bool paused);
    Result<> press_power_button(VmId id, bool reboot);
    Result<> reset(VmId id);
    Result<> set_paused(VmId id, bool paused);
    Result<> attach(VmId id, const DomainPlan::Disk& disk);
    Result<> detach(VmId id, const std::string& disk);
    Result<> grow(VmId id, const std::string& disk, std::int64_t bytes);
    Result<> attach_nic(VmId id, const DomainPlan::Nic& nic);
    Result<> detach_nic(VmId id, const std::string& nic);
    Result<> destroy(VmId id);
    std::function<void(DomainHint)> hint;

  private:
    Domain* mine(VmId id);  // null: there is none of ours
    Result<> refuse_foreign(VmId id) const;
    void end(VmId id, RunEnd cause);
    void later(VmId id, milliseconds delay, std::function<void()> then);
    bool lets_go(VmId id) const;
    void use_disks(VmId id, const Domain& domain, bool opened);

    Clock& clock_;  // of the host, not of the agent
};

// What befalls one call, or one hint.
struct HypervisorFault {
    bool acts = true;            // false: nothing is done
    bool answers = true;         // false: it hangs for ever
    std::optional<Error> error;  // answered in place of the truth
    milliseconds delay{0};       // besides the usual
};

struct FakeHypervisorOptions {
    milliseconds longest_delay{20};  // each call acts, and answers, at random within it
    // call: name of the method, or "hint" (which is lost unless it acts). Asked once for each.
    std::function<HypervisorFault(const std::string& call, VmId id)> fault;
};

// One agent's life with these domains. Destroying it is a crash of the process: no answer comes any more, but what was
// asked may still happen, as with libvirtd.
class FakeHypervisor final : public Hypervisor {
  public:
    // world: the host's clock, which carries on what was asked when the agent's own is gone.
    FakeHypervisor(FakeDomains& domains, Clock& world, Clock& clock, Random& random,
                   FakeHypervisorOptions options = {});
    ~FakeHypervisor() override;

    void facts(Answer<HypervisorFacts> answer) override;
    void list(Answer<std::vector<DomainObservation>> answer) override;
    void observe(VmId id, Answer<DomainObservation> answer) override;
    void on_hint(std::function<void(DomainHint)> told) override;
    void define(DomainPlan plan, Done done) override;
    void undefine(VmId id, Done done) override;
    void start(VmId id, bool paused, Done done) override;
    void ask_shutdown(VmId id, Done done) override;
    void destroy(VmId id, Done done) override;
    void ask_reboot(VmId id, Done done) override;
    void reset(VmId id, Done done) override;
    void suspend(VmId id, Done done) override;
    void resume(VmId id, Done done) override;
    void attach_disk(VmId id, DomainPlan::Disk disk, Done done) override;
    void detach_disk(VmId id, std::string disk_name, Done done) override;
    void grow_disk(VmId id, std::string disk_name, std::int64_t bytes, Done done) override;
    void attach_nic(VmId id, DomainPlan::Nic nic, Done done) override;
    void detach_nic(VmId id, std::string nic_name, Done done) override;
    void screenshot(VmId id, Answer<std::string> png) override;

  private:
    template <typename T>
    void perform(const char* call, VmId id, std::function<Result<T>()> act, Answer<T> answer);
    milliseconds delay();
    void pass_on(DomainHint hint);

    FakeDomains& domains_;
    Clock& world_;
    Clock& clock_;
    Random& random_;
    FakeHypervisorOptions options_;
    std::map<std::string, BootTime> lanes_;  // calls about one domain happen in order
    std::function<void(DomainHint)> told_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace axle
