// Guests by libvirt's C API (DESIGN 8). Every call blocks, so all run on workers, one at a time per domain; answers are
// posted to the core. One connection with keep-alive; while libvirtd is away calls answer Code::unavailable, and the
// connection comes back by itself. A call whose connection broke while it ran answers Code::timeout.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "agent/hypervisor/hypervisor.hpp"
#include "common/base/clock.hpp"
#include "common/loop/loop.hpp"
#include "common/loop/workers.hpp"

struct _virDomain;
typedef struct _virDomain* virDomainPtr;  // libvirt's, without its header

namespace axle {

struct LibvirtOptions {
    std::string uri = "qemu:///system";
    // Where libvirtd keeps its definitions: synced by us after each define, because it doesn't (RELIABILITY 1.1).
    // Empty: not done.
    std::string definitions = "/etc/libvirt/qemu";
    std::string moves_folder = "/run/axle/moves";  // sockets of guests that move: AppArmor lets each at its own
    std::optional<Accelerator> accelerator = {};   // the configuration's word; nullopt: what the machine has
    // A libvirtd that stays silent for interval times count seconds is taken for gone; its calls end then.
    int keep_alive_interval_s = 5;
    unsigned keep_alive_count = 5;
    // A call that has not ended by then answers Code::timeout; what waited behind it for the same domain, too, and is
    // not begun any more. Below the core's own patience.
    milliseconds call_limit{100'000};
};

class LibvirtHypervisor final : public Hypervisor {
  public:
    // events: the loop that libvirt's own sockets and timers live on. All outlive this object; stop the workers first.
    LibvirtHypervisor(LibvirtOptions options, Loop& events, Workers& workers, Executor& core);
    ~LibvirtHypervisor() override;

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
    class Connection;
    template <typename T>
    struct Call;
    template <typename T>
    void run(const std::string& lane, std::function<Result<T>(Connection&)> call,
             std::function<void(Result<T>)> answer);

    void on_domain(VmId id, Result<> absent, std::function<Result<>(virDomainPtr)> operation, Done done);
    using FindDevice = std::function<std::optional<std::string>(const std::string& live_xml)>;
    void attach(VmId id, std::string what, std::string xml, FindDevice there, Done done);
    void detach(VmId id, std::string what, FindDevice there, Done done);

    Workers& workers_;
    Executor& core_;
    std::shared_ptr<Connection> connection_;
};

}  // namespace axle
