// The one connection to libvirtd, and libvirt's objects as values that free themselves. Worker threads; private to this
// folder.
#pragma once
#include <functional>
#include <memory>
#include <mutex>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "agent/hypervisor/libvirt_hypervisor.hpp"

namespace axle {

struct DomainFree {
    void operator()(virDomainPtr d) const { virDomainFree(d); }
};
using Domain = std::unique_ptr<virDomain, DomainFree>;
struct ConnectClose {
    void operator()(virConnectPtr c) const { virConnectClose(c); }
};
using Connect = std::unique_ptr<virConnect, ConnectClose>;

// libvirt's last error on this thread as ours: what was done, its words, and a code that callers act on.
Error libvirt_error(std::string_view what);
// Takes ownership of a string that libvirt allocated.
std::string take_string(char* text);

class LibvirtHypervisor::Connection {
  public:
    Connection(LibvirtOptions options, Loop& events, Executor& core);
    ~Connection();

    // Connected, or Code::unavailable with what to do. Each holder keeps it open.
    Result<Connect> get();
    // The domain of ours with this id; null: there is none. A foreign domain with the id: Code::conflict.
    Result<Domain> find(virConnectPtr connect, VmId id);
    const LibvirtOptions& options() const { return options_; }

    void set_listener(std::function<void(DomainHint)> told);
    void hint(DomainHint hint);  // any thread

  private:
    Result<> open();
    void register_events();

    LibvirtOptions options_;
    Executor& core_;
    std::mutex mutex_;
    Connect connect_;                                        // guarded
    std::shared_ptr<std::function<void(DomainHint)>> told_;  // guarded
};

}  // namespace axle
