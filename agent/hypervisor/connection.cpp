#include "agent/hypervisor/connection.hpp"

#include <algorithm>
#include <cstdlib>

#include "agent/hypervisor/domain_xml.hpp"
#include "agent/hypervisor/event_loop.hpp"
#include "agent/hypervisor/observe.hpp"
#include "common/base/log.hpp"

namespace axle {
namespace {

std::optional<VmId> id_of(virDomainPtr domain) {
    char text[VIR_UUID_STRING_BUFLEN];
    if (virDomainGetUUIDString(domain, text) != 0) return std::nullopt;
    const auto id = Uuid::parse(text);
    return id ? std::optional(VmId{*id}) : std::nullopt;
}

using Listener = std::shared_ptr<HintSink>;

int on_lifecycle(virConnectPtr, virDomainPtr domain, int event, int detail, void* opaque) {
    if (const auto id = id_of(domain)) (*static_cast<Listener*>(opaque))->tell({*id, run_end_of_event(event, detail)});
    return 0;
}
void on_any(virConnectPtr, virDomainPtr domain, void* opaque) {
    if (const auto id = id_of(domain)) (*static_cast<Listener*>(opaque))->tell({*id, RunEnd::none});
}
void on_io_error(virConnectPtr, virDomainPtr domain, const char*, const char*, int, const char*, void* opaque) {
    on_any(nullptr, domain, opaque);
}
void on_device_removed(virConnectPtr, virDomainPtr domain, const char*, void* opaque) {
    on_any(nullptr, domain, opaque);
}

void free_listener(void* opaque) {
    delete static_cast<Listener*>(opaque);
}

constexpr milliseconds kFirstPause{500}, kLongestPause{15'000};

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

void HintSink::listen(std::function<void(DomainHint)> told) {
    const std::lock_guard guard(mutex_);
    told_ = std::make_shared<std::function<void(DomainHint)>>(std::move(told));
}
void HintSink::tell(DomainHint hint) {
    const std::lock_guard guard(mutex_);
    if (core_ != nullptr && told_) core_->post([told = told_, hint] { (*told)(hint); });
}
void HintSink::close() {
    const std::lock_guard guard(mutex_);
    core_ = nullptr;
}

LibvirtHypervisor::Connection::Connection(LibvirtOptions options, Loop& events, Workers& workers, Executor& core)
    : options_(std::move(options)), events_(events), hints_(std::make_shared<HintSink>(core)), workers_(&workers) {
    run_libvirt_events_on(events);
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});  // else it prints to stderr
}
LibvirtHypervisor::Connection::~Connection() = default;

void LibvirtHypervisor::Connection::close() {
    hints_->close();
    {
        const std::lock_guard guard(closing_);
        workers_ = nullptr;
    }
    const std::lock_guard guard(mutex_);
    drop();
}

Result<> LibvirtHypervisor::Connection::open() {
    connect_.reset(virConnectOpen(options_.uri.c_str()));
    if (!connect_) {
        Error e = libvirt_error(fmt::format("libvirt at {} does not answer", options_.uri));
        e.code = Code::unavailable;
        return fail(std::move(e).with_hint("is libvirtd running? systemctl status libvirtd"));
    }
    virConnectSetKeepAlive(connect_.get(), options_.keep_alive_interval_s, options_.keep_alive_count);
    register_events();
    log::info(fmt::format("connected to libvirt at {}", options_.uri));
    if (opened_before_) hint_all();
    opened_before_ = true;
    return {};
}

// Callbacks hold the connection; without this a broken one would never be freed.
void LibvirtHypervisor::Connection::drop() {
    if (!connect_) return;
    virConnectUnregisterCloseCallback(connect_.get(), on_closed);
    for (const int callback : callbacks_) virConnectDomainEventDeregisterAny(connect_.get(), callback);
    callbacks_.clear();
    connect_.reset();
}

void LibvirtHypervisor::Connection::register_events() {
    const auto add = [&](int event, virConnectDomainEventGenericCallback call) {
        auto* listener = new Listener(hints_);
        const int id = virConnectDomainEventRegisterAny(connect_.get(), nullptr, event, call, listener, free_listener);
        if (id >= 0) return callbacks_.push_back(id);
        free_listener(listener);
        log::warning(libvirt_error(fmt::format("libvirt does not tell event {}", event)).message);
    };
    add(VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle));
    add(VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_any));
    add(VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, VIR_DOMAIN_EVENT_CALLBACK(on_io_error));
    add(VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device_removed));
    auto* self = new std::weak_ptr(weak_from_this());
    const auto release = [](void* opaque) { delete static_cast<std::weak_ptr<Connection>*>(opaque); };
    if (virConnectRegisterCloseCallback(connect_.get(), on_closed, self, release) != 0) release(self);
}

// What happened while nobody listened is not told again: each of ours is looked at.
void LibvirtHypervisor::Connection::hint_all() {
    virDomainPtr* domains = nullptr;
    const int count = virConnectListAllDomains(connect_.get(), &domains, 0);
    for (int i = 0; i < count; ++i) {
        const Domain domain(domains[i]);
        const char* name = virDomainGetName(domain.get());
        const auto id = id_of(domain.get());
        if (id && name != nullptr && domain_name(*id) == name) hints_->tell({*id, RunEnd::none});
    }
    std::free(domains);
}

// Event loop's thread.
void LibvirtHypervisor::Connection::on_closed(virConnectPtr, int reason, void* opaque) {
    const auto self = static_cast<std::weak_ptr<Connection>*>(opaque)->lock();
    if (self && reason != VIR_CONNECT_CLOSE_REASON_CLIENT) self->reopen_after(kFirstPause);
}

void LibvirtHypervisor::Connection::reopen_after(milliseconds delay) {
    events_.post([weak = weak_from_this(), &events = events_, delay] {
        events.after(delay, [weak, delay] {
            const auto self = weak.lock();
            if (!self) return;
            const std::lock_guard guard(self->closing_);
            if (self->workers_ == nullptr) return;
            const bool taken = self->workers_->submit("connect", [weak, delay] {
                const auto alive = weak.lock();
                if (alive && !alive->get()) alive->reopen_after(std::min(delay * 2, kLongestPause));
            });
            if (!taken) log::warning("libvirt is not asked again: too much is waiting");
        });
    });
}

Result<Connect> LibvirtHypervisor::Connection::get() {
    const std::lock_guard guard(mutex_);
    if (connect_ && virConnectIsAlive(connect_.get()) != 1) {
        log::warning("the connection to libvirt is lost");
        drop();
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

}  // namespace axle
