#include "agent/hypervisor/connection.hpp"

#include <cstdlib>

#include "agent/hypervisor/domain_xml.hpp"
#include "agent/hypervisor/event_loop.hpp"
#include "common/base/log.hpp"

namespace axle {
namespace {

std::optional<VmId> id_of(virDomainPtr domain) {
    char text[VIR_UUID_STRING_BUFLEN];
    if (virDomainGetUUIDString(domain, text) != 0) return std::nullopt;
    const auto id = Uuid::parse(text);
    return id ? std::optional(VmId{*id}) : std::nullopt;
}

RunEnd cause_of(int event, int detail) {
    if (event == VIR_DOMAIN_EVENT_CRASHED) return RunEnd::crashed;
    if (event != VIR_DOMAIN_EVENT_STOPPED) return RunEnd::none;
    switch (detail) {
        case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
            return RunEnd::guest_shutdown;
        case VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
            return RunEnd::destroyed;
        case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
            return RunEnd::crashed;
        case VIR_DOMAIN_EVENT_STOPPED_FAILED:
            return RunEnd::failed;
        default:
            return RunEnd::unknown;
    }
}

using Listener = std::function<void(DomainHint)>;

int on_lifecycle(virConnectPtr, virDomainPtr domain, int event, int detail, void* opaque) {
    if (const auto id = id_of(domain)) (*static_cast<Listener*>(opaque))({*id, cause_of(event, detail)});
    return 0;
}
void on_any(virConnectPtr, virDomainPtr domain, void* opaque) {
    if (const auto id = id_of(domain)) (*static_cast<Listener*>(opaque))({*id, RunEnd::none});
}
void on_io_error(virConnectPtr, virDomainPtr domain, const char*, const char*, int, const char*, void* opaque) {
    on_any(nullptr, domain, opaque);
}

void free_listener(void* opaque) {
    delete static_cast<Listener*>(opaque);
}

}  // namespace

Error libvirt_error(std::string_view what) {
    const virErrorPtr e = virGetLastError();
    if (e == nullptr || e->code == VIR_ERR_OK) return error(Code::internal, "{}: libvirt gives no reason", what);
    Code code = Code::internal;
    switch (e->code) {
        case VIR_ERR_NO_DOMAIN:
            code = Code::not_found;
            break;
        case VIR_ERR_NO_CONNECT:
        case VIR_ERR_INVALID_CONN:
        case VIR_ERR_SYSTEM_ERROR:
        case VIR_ERR_RPC:
            code = Code::unavailable;
            break;
        case VIR_ERR_OPERATION_INVALID:
        case VIR_ERR_DOM_EXIST:
            code = Code::conflict;
            break;
        case VIR_ERR_OPERATION_TIMEOUT:
        case VIR_ERR_AGENT_UNRESPONSIVE:
            code = Code::timeout;
            break;
        case VIR_ERR_NO_MEMORY:
            code = Code::exhausted;
            break;
        default:
            break;
    }
    return error(code, "{}: {}", what, e->message != nullptr ? e->message : "libvirt gives no reason");
}

std::string take_string(char* text) {
    std::string out = text != nullptr ? text : "";
    std::free(text);
    return out;
}

LibvirtHypervisor::Connection::Connection(LibvirtOptions options, Loop& events, Executor& core)
    : options_(std::move(options)), core_(core) {
    run_libvirt_events_on(events);
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});  // else it prints to stderr
}
LibvirtHypervisor::Connection::~Connection() = default;

Result<> LibvirtHypervisor::Connection::open() {
    connect_.reset(virConnectOpen(options_.uri.c_str()));
    if (!connect_) {
        Error e = libvirt_error(fmt::format("libvirt at {} does not answer", options_.uri));
        e.code = Code::unavailable;
        return fail(std::move(e).with_hint("is libvirtd running? systemctl status libvirtd"));
    }
    virConnectSetKeepAlive(connect_.get(), 5, 5);
    register_events();
    log::info(fmt::format("connected to libvirt at {}", options_.uri));
    return {};
}

void LibvirtHypervisor::Connection::register_events() {
    const auto add = [&](int event, virConnectDomainEventGenericCallback call) {
        virConnectDomainEventRegisterAny(connect_.get(), nullptr, event, call,
                                         new Listener([this](DomainHint h) { hint(h); }), free_listener);
    };
    add(VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle));
    add(VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_any));
    add(VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, VIR_DOMAIN_EVENT_CALLBACK(on_io_error));
}

Result<Connect> LibvirtHypervisor::Connection::get() {
    const std::lock_guard guard(mutex_);
    if (connect_ && virConnectIsAlive(connect_.get()) != 1) {
        log::warning("the connection to libvirt is lost");
        connect_.reset();
    }
    if (!connect_) TRY_VOID(open());
    virConnectRef(connect_.get());
    return Connect(connect_.get());
}

Result<Domain> LibvirtHypervisor::Connection::find(virConnectPtr connect, VmId id) {
    Domain domain(virDomainLookupByUUIDString(connect, id.str().c_str()));
    if (!domain) {
        Error e = libvirt_error(fmt::format("look for domain {}", id.str()));
        if (e.code == Code::not_found) return Domain{};
        return fail(std::move(e));
    }
    const std::string xml = take_string(virDomainGetXMLDesc(domain.get(), VIR_DOMAIN_XML_INACTIVE));
    if (xml.empty()) {
        Error e = libvirt_error(fmt::format("read domain {}", id.str()));
        if (e.code == Code::not_found) return Domain{};
        return fail(std::move(e));
    }
    if (!read_domain_xml(xml).ours)
        return fail(
            error(Code::conflict, "a domain with id {} is there that Axle did not make; it stays as it is", id.str())
                .with_hint("virsh dominfo " + id.str()));
    return domain;
}

void LibvirtHypervisor::Connection::set_listener(std::function<void(DomainHint)> told) {
    const std::lock_guard guard(mutex_);
    told_ = std::make_shared<std::function<void(DomainHint)>>(std::move(told));
}

void LibvirtHypervisor::Connection::hint(DomainHint hint) {
    std::shared_ptr<std::function<void(DomainHint)>> told;
    {
        const std::lock_guard guard(mutex_);
        told = told_;
    }
    if (told) core_.post([told, hint] { (*told)(hint); });
}

}  // namespace axle
