#include "agent/hypervisor/libvirt_hypervisor.hpp"

#include <atomic>
#include <unistd.h>

#include "agent/hypervisor/apparmor_profile.hpp"
#include "agent/hypervisor/connection.hpp"
#include "agent/hypervisor/domain_xml.hpp"
#include "agent/hypervisor/observe.hpp"
#include "agent/hypervisor/png.hpp"
#include "common/base/file.hpp"

namespace axle {
namespace {

Result<> synced_definition(const LibvirtOptions& options, VmId id, bool removed) {
    if (options.definitions.empty()) return {};
    if (!removed) TRY_VOID(sync_file(options.definitions + "/" + domain_name(id) + ".xml"));
    return sync_directory(options.definitions);
}

bool is_active(virDomainPtr domain) {
    return virDomainIsActive(domain) == 1;
}

Result<int> state_of(virDomainPtr domain) {
    int state = 0, reason = 0;
    if (virDomainGetState(domain, &state, &reason, 0) != 0) return fail(libvirt_error("ask for a domain's state"));
    return state;
}

// An operation that failed because its connection broke may have happened, or may happen yet.
Result<> unless_broken(virConnectPtr connect, Result<> done) {
    if (done || virConnectIsAlive(connect) == 1) return done;
    return fail(
        error(Code::timeout, "{}; the connection to libvirt broke, so the outcome is unknown", done.error().message));
}

Error not_defined(VmId id) {
    return error(Code::not_found, "domain {} is not defined", id.str());
}

// From here on the guest is not one that is coming in: whoever resumes it has decided that it lives here.
Result<> settle(virDomainPtr domain) {
    if (!read_domain_xml(take_string(virDomainGetXMLDesc(domain, 0))).incoming) return {};
    if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, nullptr, nullptr, kIncomingMark,
                             VIR_DOMAIN_AFFECT_LIVE) == 0)
        return {};
    return fail(libvirt_error("mark a domain as no longer incoming"));
}

Result<> define_domain(virConnectPtr connect, const LibvirtOptions& options, const DomainPlan& plan,
                       const Result<Domain>& found) {
    const VmId id = plan.document.id;
    if (!found) return fail(found.error());
    if (*found) {
        const auto there = read_domain_xml(take_string(virDomainGetXMLDesc(found->get(), VIR_DOMAIN_XML_INACTIVE)));
        if (there.epoch > plan.document.epoch)
            return fail(Code::conflict, "domain {} is defined at epoch {}.{}, a later one than {}.{}", id.str(),
                        there.epoch.incarnation, there.epoch.revision, plan.document.epoch.incarnation,
                        plan.document.epoch.revision);
    }
    if (!*found) {
        const Domain namesake(virDomainLookupByName(connect, domain_name(id).c_str()));
        char theirs[VIR_UUID_STRING_BUFLEN] = "";
        if (namesake && virDomainGetUUIDString(namesake.get(), theirs) == 0)
            return fail(
                error(Code::conflict, "the name {} belongs to domain {}; it stays as it is", domain_name(id), theirs)
                    .with_hint(fmt::format("virsh domrename {} another-name", domain_name(id))));
    }
    const Domain defined(virDomainDefineXML(connect, domain_xml(plan).c_str()));
    if (!defined) return fail(libvirt_error(fmt::format("define domain {}", id.str())));
    // virDomainDefineXML returns before its file's directory is on disk (seen lost in a power cut).
    return synced_definition(options, id, false);
}

Result<std::string> read_stream(virStreamPtr stream) {
    std::string bytes;
    char piece[65536];
    for (;;) {
        const int n = virStreamRecv(stream, piece, sizeof piece);
        if (n < 0) return fail(libvirt_error("read a screenshot"));
        if (n == 0) return bytes;
        bytes.append(piece, static_cast<std::size_t>(n));
        if (bytes.size() > (64u << 20)) return fail(Code::too_large, "the screenshot is over 64 MiB");
    }
}

Result<std::string> take_screenshot(virConnectPtr connect, virDomainPtr domain) {
    struct StreamFree {
        void operator()(virStreamPtr s) const { virStreamFree(s); }
    };
    const std::unique_ptr<virStream, StreamFree> stream(virStreamNew(connect, 0));
    if (!stream) return fail(libvirt_error("open a stream"));
    const std::string type = take_string(virDomainScreenshot(domain, stream.get(), 0, 0));
    if (type.empty()) return fail(libvirt_error("take a screenshot"));
    auto bytes = read_stream(stream.get());
    bytes ? virStreamFinish(stream.get()) : virStreamAbort(stream.get());
    if (!bytes || type == "image/png") return bytes;
    return png_from_ppm(*bytes);
}

}  // namespace

LibvirtHypervisor::LibvirtHypervisor(LibvirtOptions options, Loop& events, Workers& workers, Executor& core)
    : workers_(workers),
      core_(core),
      connection_(std::make_shared<Connection>(std::move(options), events, workers, core)) {}
LibvirtHypervisor::~LibvirtHypervisor() {
    Loop& events = connection_->events();
    connection_->close();
    connection_.reset();
    events.call([] {});  // a limit that runs out just now has had its word before the core goes
}

// A call between its question and its one answer: libvirt's, or the limit's.
template <typename T>
struct LibvirtHypervisor::Call {
    Executor& core;
    std::function<void(Result<T>)> answer;
    std::atomic<bool> over{false};
    TimerId limit = 0;  // event loop's thread

    Call(Executor& e, std::function<void(Result<T>)> a) : core(e), answer(std::move(a)) {}
    void end(Result<T> result) {
        if (over.exchange(true)) return;
        core.post([answer = std::move(answer), result = std::make_shared<Result<T>>(std::move(result))] {
            answer(std::move(*result));
        });
    }
};

template <typename T>
void LibvirtHypervisor::run(const std::string& lane, std::function<Result<T>(Connection&)> work,
                            std::function<void(Result<T>)> answer) {
    auto call = std::make_shared<Call<T>>(core_, std::move(answer));
    Loop& events = connection_->events();
    const milliseconds limit = connection_->options().call_limit;
    events.post([call, &events, limit, hints = std::weak_ptr(connection_)] {
        if (call->over) return;
        call->limit = events.after(limit, [call, limit, hints] {
            if (!hints.expired())  // the core may have gone with the hypervisor
                call->end(fail(Code::timeout, "libvirt did not answer within {} ms", limit.count()));
        });
    });
    const bool taken = workers_.submit(lane, [call, connection = connection_, work = std::move(work)] {
        if (call->over) return;  // nobody expects it any more: not begun
        call->end(work(*connection));
        connection->events().post([call, &loop = connection->events()] { loop.cancel(call->limit); });
    });
    if (!taken) call->end(fail(Code::exhausted, "too many calls to libvirt are waiting"));
}

// Runs an operation on a domain of ours; without one, `absent` is the outcome.
void LibvirtHypervisor::on_domain(VmId id, Result<> absent, std::function<Result<>(virDomainPtr)> operation,
                                  Done done) {
    run<void>(
        id.str(),
        [id, absent = std::move(absent), operation = std::move(operation)](Connection& c) -> Result<> {
            TRY(connect, c.get());
            TRY(found, c.find(connect.get(), id));
            if (!found) return absent;
            return unless_broken(connect.get(), operation(found.get()));
        },
        std::move(done));
}

void LibvirtHypervisor::facts(Answer<HypervisorFacts> answer) {
    run<HypervisorFacts>(
        "",
        [](Connection& c) -> Result<HypervisorFacts> {
            TRY(connect, c.get());
            return read_facts(connect.get(), c.options().accelerator);
        },
        std::move(answer));
}

void LibvirtHypervisor::list(Answer<std::vector<DomainObservation>> answer) {
    run<std::vector<DomainObservation>>(
        "list",
        [](Connection& c) -> Result<std::vector<DomainObservation>> {
            TRY(connect, c.get());
            return observe_all(connect.get());
        },
        std::move(answer));
}

void LibvirtHypervisor::observe(VmId id, Answer<DomainObservation> answer) {
    run<DomainObservation>(
        id.str(),
        [id](Connection& c) -> Result<DomainObservation> {
            TRY(connect, c.get());
            TRY(found, c.find(connect.get(), id));
            if (!found) return DomainObservation{.id = id, .name = domain_name(id)};
            return observe_domain(found.get());
        },
        std::move(answer));
}

void LibvirtHypervisor::on_hint(std::function<void(DomainHint)> told) {
    connection_->hints().listen(std::move(told));
}

void LibvirtHypervisor::define(DomainPlan plan, Done done) {
    const VmId id = plan.document.id;
    run<void>(
        id.str(),
        [plan = std::move(plan), id](Connection& c) -> Result<> {
            TRY(connect, c.get());
            if (AppArmor::is_on()) TRY_VOID(write_profile({.moves_folder = c.options().moves_folder}, id));
            return unless_broken(connect.get(),
                                 define_domain(connect.get(), c.options(), plan, c.find(connect.get(), id)));
        },
        std::move(done));
}

void LibvirtHypervisor::undefine(VmId id, Done done) {
    run<void>(
        id.str(),
        [id](Connection& c) -> Result<> {
            TRY(connect, c.get());
            TRY(found, c.find(connect.get(), id));
            if (!found) return synced_definition(c.options(), id, true);
            if (is_active(found.get())) return fail(Code::conflict, "domain {} is running", id.str());
            constexpr unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                                       VIR_DOMAIN_UNDEFINE_NVRAM | VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
            if (virDomainUndefineFlags(found.get(), flags) != 0)
                return fail(libvirt_error(fmt::format("undefine domain {}", id.str())));
            forget_profile({}, id);
            return synced_definition(c.options(), id, true);
        },
        std::move(done));
}

void LibvirtHypervisor::start(VmId id, bool paused, Done done) {
    on_domain(
        id, fail(not_defined(id)),
        [=](virDomainPtr domain) -> Result<> {
            if (is_active(domain)) return {};
            if (virDomainCreateWithFlags(domain, paused ? VIR_DOMAIN_START_PAUSED : VIR_DOMAIN_NONE) == 0) return {};
            Error e = libvirt_error(fmt::format("start domain {}", id.str()));
            if (is_active(domain)) return {};
            return fail(std::move(e));
        },
        std::move(done));
}

void LibvirtHypervisor::ask_shutdown(VmId id, Done done) {
    on_domain(
        id, Result<>{},
        [=](virDomainPtr domain) -> Result<> {
            if (!is_active(domain)) return {};
            if (virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN) == 0) return {};
            Error e = libvirt_error(fmt::format("press the power button of domain {}", id.str()));
            if (!is_active(domain) || state_of(domain) == VIR_DOMAIN_SHUTDOWN) return {};  // by an earlier press
            return fail(std::move(e));
        },
        std::move(done));
}

void LibvirtHypervisor::destroy(VmId id, Done done) {
    on_domain(
        id, Result<>{},
        [=](virDomainPtr domain) -> Result<> {
            if (!is_active(domain)) return {};
            if (virDomainDestroy(domain) == 0) return {};
            Error e = libvirt_error(fmt::format("switch off domain {}", id.str()));
            if (!is_active(domain)) return {};
            return fail(std::move(e));
        },
        std::move(done));
}

void LibvirtHypervisor::ask_reboot(VmId id, Done done) {
    on_domain(
        id, fail(not_defined(id)),
        [=](virDomainPtr domain) -> Result<> {
            if (virDomainReboot(domain, VIR_DOMAIN_REBOOT_ACPI_POWER_BTN) == 0) return {};
            return fail(libvirt_error(fmt::format("reboot domain {}", id.str())));
        },
        std::move(done));
}

void LibvirtHypervisor::reset(VmId id, Done done) {
    on_domain(
        id, fail(not_defined(id)),
        [=](virDomainPtr domain) -> Result<> {
            if (virDomainReset(domain, 0) == 0) return {};
            return fail(libvirt_error(fmt::format("reset domain {}", id.str())));
        },
        std::move(done));
}

void LibvirtHypervisor::suspend(VmId id, Done done) {
    on_domain(
        id, fail(not_defined(id)),
        [=](virDomainPtr domain) -> Result<> {
            TRY(state, state_of(domain));
            if (state == VIR_DOMAIN_PAUSED || virDomainSuspend(domain) == 0) return {};
            return fail(libvirt_error(fmt::format("pause domain {}", id.str())));
        },
        std::move(done));
}

void LibvirtHypervisor::resume(VmId id, Done done) {
    on_domain(
        id, fail(not_defined(id)),
        [=](virDomainPtr domain) -> Result<> {
            TRY(state, state_of(domain));
            if (state == VIR_DOMAIN_RUNNING) return {};
            TRY_VOID(settle(domain));
            if (virDomainResume(domain) == 0) return {};
            return fail(libvirt_error(fmt::format("resume domain {}", id.str())));
        },
        std::move(done));
}

// Devices of a running guest. `there` finds the device in the live XML by its name.
void LibvirtHypervisor::attach(VmId id, std::string what, std::string xml, FindDevice there, Done done) {
    on_domain(
        id, fail(not_defined(id)),
        [=](virDomainPtr domain) -> Result<> {
            if (there(take_string(virDomainGetXMLDesc(domain, 0)))) return {};
            if (virDomainAttachDeviceFlags(domain, xml.c_str(), VIR_DOMAIN_AFFECT_LIVE) == 0) return {};
            return fail(libvirt_error(fmt::format("attach {} to domain {}", what, id.str())));
        },
        std::move(done));
}

void LibvirtHypervisor::detach(VmId id, std::string what, FindDevice there, Done done) {
    on_domain(
        id, Result<>{},
        [=](virDomainPtr domain) -> Result<> {
            if (!is_active(domain)) return {};
            const auto element = there(take_string(virDomainGetXMLDesc(domain, 0)));
            if (!element) return {};
            // The guest must let go of it: success says that it was asked, observation shows when it is gone.
            if (virDomainDetachDeviceFlags(domain, element->c_str(), VIR_DOMAIN_AFFECT_LIVE) == 0) return {};
            return fail(libvirt_error(fmt::format("detach {} from domain {}", what, id.str())));
        },
        std::move(done));
}

void LibvirtHypervisor::attach_disk(VmId id, DomainPlan::Disk disk, Done done) {
    const std::string name = disk.document.name;
    attach(
        id, "disk " + name, disk_xml(disk), [name](const std::string& xml) { return disk_element(xml, name); },
        std::move(done));
}
void LibvirtHypervisor::detach_disk(VmId id, std::string disk_name, Done done) {
    detach(
        id, "disk " + disk_name, [disk_name](const std::string& xml) { return disk_element(xml, disk_name); },
        std::move(done));
}
void LibvirtHypervisor::attach_nic(VmId id, DomainPlan::Nic nic, Done done) {
    const std::string name = nic.document.name;
    attach(
        id, "NIC " + name, nic_xml(nic), [name](const std::string& xml) { return nic_element(xml, name); },
        std::move(done));
}
void LibvirtHypervisor::detach_nic(VmId id, std::string nic_name, Done done) {
    detach(
        id, "NIC " + nic_name, [nic_name](const std::string& xml) { return nic_element(xml, nic_name); },
        std::move(done));
}

void LibvirtHypervisor::grow_disk(VmId id, std::string disk_name, std::int64_t bytes, Done done) {
    on_domain(
        id, fail(not_defined(id)),
        [=](virDomainPtr domain) -> Result<> {
            if (!is_active(domain)) return fail(Code::conflict, "domain {} is not running", id.str());
            const auto target = disk_target(take_string(virDomainGetXMLDesc(domain, 0)), disk_name);
            if (!target) return fail(Code::not_found, "domain {} has no disk {}", id.str(), disk_name);
            virDomainBlockInfo now{};
            if (virDomainGetBlockInfo(domain, target->c_str(), &now, 0) != 0)
                return fail(libvirt_error(fmt::format("measure disk {} of domain {}", disk_name, id.str())));
            const auto wanted = static_cast<unsigned long long>(bytes);
            if (now.capacity >= wanted) return {};
            if (virDomainBlockResize(domain, target->c_str(), wanted, VIR_DOMAIN_BLOCK_RESIZE_BYTES) == 0) return {};
            return fail(libvirt_error(fmt::format("grow disk {} of domain {}", disk_name, id.str())));
        },
        std::move(done));
}

void LibvirtHypervisor::screenshot(VmId id, Answer<std::string> png) {
    run<std::string>(
        id.str(),
        [id](Connection& c) -> Result<std::string> {
            TRY(connect, c.get());
            TRY(found, c.find(connect.get(), id));
            if (!found) return fail(not_defined(id));
            return take_screenshot(connect.get(), found.get());
        },
        std::move(png));
}

}  // namespace axle
