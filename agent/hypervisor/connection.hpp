// The one connection to libvirtd, and libvirt's objects as values that free themselves. Worker threads; private to this
// folder.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

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

// Where libvirt's events go. libvirt's callbacks hold it, so that a late one finds it whatever has gone meanwhile.
class HintSink {
  public:
    explicit HintSink(Executor& core) : core_(&core) {}
    void listen(std::function<void(DomainHint)> told);
    void tell(DomainHint hint);  // any thread
    void close();                // nothing is told from here on

  private:
    std::mutex mutex_;
    Executor* core_;                                         // guarded; null once closed
    std::shared_ptr<std::function<void(DomainHint)>> told_;  // guarded
};

// Opened by the first call that needs it. A connection that broke is opened again by the next call, or by itself, with
// growing pauses, because only a live one tells what happens to guests.
class LibvirtHypervisor::Connection : public std::enable_shared_from_this<Connection> {
  public:
    Connection(LibvirtOptions options, Loop& events, Workers& workers, Executor& core);
    ~Connection();

    // Connected, or Code::unavailable with what to do. Each holder keeps it open. Workers.
    Result<Connect> get();
    // The domain of ours with this id; null: there is none. A foreign domain with the id: Code::conflict.
    Result<Domain> find(virConnectPtr connect, VmId id);
    const LibvirtOptions& options() const { return options_; }
    HintSink& hints() { return *hints_; }
    Loop& events() { return events_; }
    // Nothing more is told or tried. Not on the event loop's thread.
    void close();

  private:
    Result<> open();
    void drop();
    void register_events();
    void hint_all();
    void reopen_after(milliseconds delay);
    static void on_closed(virConnectPtr, int reason, void* opaque);

    LibvirtOptions options_;
    Loop& events_;
    std::shared_ptr<HintSink> hints_;
    std::mutex mutex_;
    Connect connect_;             // guarded
    std::vector<int> callbacks_;  // guarded
    bool opened_before_ = false;  // guarded
    std::mutex closing_;          // never held while libvirt is called
    Workers* workers_;            // guarded by closing_; null once closed
};

}  // namespace axle
