// The seam to what runs guests. Production: libvirt (libvirt_hypervisor.hpp). Tests and simulator: fake_hypervisor.hpp.
// The suite in tests/contract/hypervisor holds both to this page.
//
// Called on the core thread; each answer comes on the core thread, later, exactly once. An answer Code::timeout means:
// the outcome is unknown, observe before acting again. Every operation is idempotent: asked for what already is, it
// succeeds.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/channel/reports.hpp"

namespace axle {

using Done = std::function<void(Result<>)>;
template <typename T>
using Answer = std::function<void(Result<T>)>;

// Everything that a domain's XML is made from: the document with paths and interfaces filled in. The same plan always
// gives the same XML.
struct DomainPlan {
    struct Disk {
        VmDocumentDisk document;
        std::string path;
    };
    struct Nic {
        VmDocumentNic document;
        std::string tap;  // axt<hash>, made by the Network edge before the start
        std::int64_t mtu = 1500;
    };
    VmDocument document;
    std::vector<Disk> disks;
    std::vector<Nic> nics;
    std::string seed_path;       // read-only ISO; empty: none
    std::string serial_log;      // file that virtlogd rotates
    std::string console_socket;  // serial console, unix
    std::string vnc_socket;
    // Hash over what the guest's hardware is made of (not power, serials or policies): tells whether the persistent
    // definition is this plan's.
    std::string hardware_hash() const;
    // The same over what holds until the next start: all but NICs and data disks, which come and go.
    std::string fixed_hash() const;
};

struct DomainObservation {
    VmId id;
    bool ours = true;  // has our mark; foreign domains are listed for capacity only and never touched
    std::string name;
    std::string title;  // project/name, of ours
    DomainState state = DomainState::absent;
    RunEnd ended = RunEnd::none;  // when shut off: what libvirt gives as the reason (unknown if it says nothing)
    // Shut off because it went to another host. libvirt forgets it when it is restarted: false says nothing.
    bool migrated = false;
    // Live here, and never resumed since a migration brought it: paused, or still being filled. Its other half may run.
    bool incoming = false;
    Epoch epoch;  // from the metadata of the persistent definition
    std::uint64_t rev = 0;
    std::string hardware_hash;    // of the persistent definition; empty when absent
    std::string live_fixed_hash;  // of the running guest; empty when not running
    std::int64_t cpus = 0;        // live
    std::int64_t memory = 0;
    std::string boot_id;  // unused by libvirt; the core compares with its own
    // Disks that the running guest has open, hot-plugged ones too; empty when it isn't running. No volume is given to a
    // second guest, and none is destroyed, while it stands here.
    struct LiveDisk {
        std::string name;  // as in DomainPlan
        VolumeId volume;
    };
    std::vector<LiveDisk> live_disks;
    // Volumes that its definition names or that it has open; also of a domain that isn't ours.
    std::vector<VolumeId> volumes;
    struct LiveNic {
        std::string name;  // as in DomainPlan
        std::string mac;
        std::int64_t mtu = 0;
        bool operator==(const LiveNic&) const = default;
    };
    std::vector<LiveNic> live_nics;  // as live_disks
};

struct HypervisorFacts {
    std::string libvirt, qemu;
    Accelerator accelerator = Accelerator::qemu;
    std::string accelerator_why;
    std::string guest_machine, guest_cpu_model;
};

// Something about this domain changed, or may have: look again. cause: what the event said, RunEnd::none for anything
// but an end.
struct DomainHint {
    VmId id;
    RunEnd cause = RunEnd::none;
};

class Hypervisor {
  public:
    virtual ~Hypervisor() = default;

    virtual void facts(Answer<HypervisorFacts> answer) = 0;
    // All domains, foreign ones too (ours = false).
    virtual void list(Answer<std::vector<DomainObservation>> answer) = 0;
    // One of ours; state absent when there is none.
    virtual void observe(VmId id, Answer<DomainObservation> answer) = 0;
    // Set once. Hints may be lost, late and repeated.
    virtual void on_hint(std::function<void(DomainHint)> told) = 0;

    // Persistent definition (also of a running guest: holds from its next start). A domain of the same UUID or name
    // without our mark is Code::conflict and stays untouched. Our mark with a higher epoch is Code::conflict.
    virtual void define(DomainPlan plan, Done done) = 0;
    virtual void undefine(VmId id, Done done) = 0;  // running: Code::conflict. Unknown: success. Touches no disk file.
    // From shut off to running. Running already: success. Fails with Code::not_found when not defined.
    virtual void start(VmId id, bool paused, Done done) = 0;
    virtual void ask_shutdown(
        VmId id, Done done) = 0;  // ACPI button; success says that it was pressed, not that the guest is off
    virtual void destroy(VmId id, Done done) = 0;     // power off at once. Shut off or unknown: success.
    virtual void ask_reboot(VmId id, Done done) = 0;  // like ctrl-alt-del or ACPI
    virtual void reset(VmId id, Done done) = 0;       // reset button
    virtual void suspend(VmId id, Done done) = 0;     // paused already: success
    virtual void resume(VmId id, Done done) = 0;      // running already: success
    // Running guest only, and its persistent definition is changed by define(). Attached already: success.
    virtual void attach_disk(VmId id, DomainPlan::Disk disk, Done done) = 0;
    virtual void detach_disk(VmId id, std::string disk_name, Done done) = 0;
    // The guest sees the disk grow. Not running: Code::conflict. Without the disk: Code::not_found. So large or larger
    // already: success.
    virtual void grow_disk(VmId id, std::string disk_name, std::int64_t bytes, Done done) = 0;
    // As disks. The tap is there before, and stays.
    virtual void attach_nic(VmId id, DomainPlan::Nic nic, Done done) = 0;
    virtual void detach_nic(VmId id, std::string nic_name, Done done) = 0;
    virtual void screenshot(VmId id, Answer<std::string> png_or_ppm) = 0;
};

}  // namespace axle
