#include "agent/hypervisor/live_move.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "agent/hypervisor/connection.hpp"
#include "agent/hypervisor/domain_xml.hpp"
#include "common/base/file.hpp"

namespace axle {
namespace {

constexpr milliseconds kLookEvery{500};
constexpr int kKeepAliveSeconds = 5;  // five of these without an answer: the line is dead
constexpr unsigned kKeepAliveCount = 5;
constexpr std::int64_t kMebibyte = 1 << 20;

Result<Connect> connect_to(const std::string& uri, const char* whose) {
    Connect connect(virConnectOpen(uri.c_str()));
    if (!connect) return fail(libvirt_error(fmt::format("connect to {}", whose)));
    // Without it a silent line would hold the guest's job for as long as the kernel takes it for alive.
    if (virConnectSetKeepAlive(connect.get(), kKeepAliveSeconds, kKeepAliveCount) < 0)
        return fail(libvirt_error(fmt::format("watch the line to {}", whose)));
    return connect;
}

class Parameters {
  public:
    Parameters() = default;
    ~Parameters() { virTypedParamsFree(params_, count_); }
    Parameters(const Parameters&) = delete;
    Parameters& operator=(const Parameters&) = delete;
    Parameters& add(const char* name, const std::string& value) {
        good_ = good_ && virTypedParamsAddString(&params_, &count_, &room_, name, value.c_str()) == 0;
        return *this;
    }
    Parameters& add(const char* name, std::uint64_t value) {
        good_ = good_ && virTypedParamsAddULLong(&params_, &count_, &room_, name, value) == 0;
        return *this;
    }
    bool good() const { return good_; }
    virTypedParameterPtr get() const { return params_; }
    unsigned count() const { return static_cast<unsigned>(count_); }

  private:
    virTypedParameterPtr params_ = nullptr;
    int count_ = 0, room_ = 0;
    bool good_ = true;
};

MoveStats stats_in(virTypedParameterPtr stats, int count) {
    const auto value = [&](const char* name) {
        unsigned long long n = 0;
        return virTypedParamsGetULLong(stats, count, name, &n) == 1 ? static_cast<std::int64_t>(n) : 0;
    };
    return {.disk_total = value(VIR_DOMAIN_JOB_DISK_TOTAL),
            .disk_left = value(VIR_DOMAIN_JOB_DISK_REMAINING),
            .memory_total = value(VIR_DOMAIN_JOB_MEMORY_TOTAL),
            .memory_left = value(VIR_DOMAIN_JOB_MEMORY_REMAINING),
            .downtime_ms = value(VIR_DOMAIN_JOB_DOWNTIME)};
}

std::optional<MoveStats> job_stats(virDomainPtr domain, unsigned flags) {
    int type = 0, count = 0;
    virTypedParameterPtr stats = nullptr;
    if (virDomainGetJobStats(domain, &type, &stats, &count, flags) != 0) return std::nullopt;
    const MoveStats told = stats_in(stats, count);
    virTypedParamsFree(stats, count);
    if (type == VIR_DOMAIN_JOB_NONE) return std::nullopt;
    return told;
}

// A guest that was changed since it started waits for a reboot; its plan would make another machine on the target.
Result<> check_like_plan(const DomainReading& live, const DomainPlan& plan) {
    const auto refuse = [&](const char* what) {
        return fail(error(Code::conflict, "{} runs with other {} than its definition has", plan.document.name, what)
                        .with_hint("reboot it, or let it take over what was changed, and move it then"));
    };
    if (!live.ours) return fail(Code::conflict, "domain {} is not one of ours", plan.document.id.str());
    if (live.fixed_hash != plan.fixed_hash()) return refuse("hardware");
    const bool same_disks = std::ranges::is_permutation(
        live.disks, plan.disks, {}, [](const auto& d) { return std::pair(d.name, Uuid(d.volume)); },
        [](const auto& d) { return std::pair(d.document.name, Uuid(d.document.volume)); });
    if (!same_disks) return refuse("disks");
    const bool same_nics = std::ranges::is_permutation(
        live.nics, plan.nics, {}, [](const auto& n) { return std::pair(n.name, n.mac); },
        [](const auto& n) { return std::pair(n.document.name, n.document.mac); });
    if (!same_nics) return refuse("network cards");
    return {};
}

}  // namespace

unsigned live_move_flags(bool copies) {
    // Unsafe: it can't tell a file system that both hosts share; a pool's id file tells us. No word about definitions:
    // the source's stays, and the target made its own.
    unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PAUSED | VIR_MIGRATE_AUTO_CONVERGE | VIR_MIGRATE_UNSAFE;
    if (copies) flags |= VIR_MIGRATE_NON_SHARED_INC;
    return flags;
}

std::string libvirt_socket_of(const std::string& uri) {
    constexpr std::string_view kQuery = "?socket=";
    if (const auto at = uri.find(kQuery); at != std::string::npos) return uri.substr(at + kQuery.size());
    if (uri != "qemu:///system") return {};
    for (const char* path : {"/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock"}) {
        if (file_exists(path)) return path;
    }
    return "/run/libvirt/libvirt-sock";
}

struct LiveMove::Parts {
    explicit Parts(LiveMoveWish w) : wish(std::move(w)) {}
    const LiveMoveWish wish;
    std::mutex mutex;  // guards what follows
    std::condition_variable changed;
    bool cancelled = false, over = false;
    MoveTally tally{wish.plan.document.memory};  // the watcher's, after it run()'s

    Result<> fill(Parameters& parameters, const std::string& live_xml) const;
    void watch(virDomainPtr domain, const std::function<void(LiveMoveProgress)>& progress);
    Result<> migrate(virDomainPtr domain, virConnectPtr target, const Parameters& parameters);
    bool is_cancelled() {
        const std::lock_guard lock(mutex);
        return cancelled;
    }
};

Result<> LiveMove::Parts::fill(Parameters& parameters, const std::string& live_xml) const {
    parameters.add(VIR_MIGRATE_PARAM_URI, "unix://" + wish.memory_socket);
    if (wish.bandwidth > 0)
        parameters.add(VIR_MIGRATE_PARAM_BANDWIDTH,
                       static_cast<std::uint64_t>((wish.bandwidth + kMebibyte - 1) / kMebibyte));
    if (!wish.copies.empty()) parameters.add(VIR_MIGRATE_PARAM_DISKS_URI, "unix://" + wish.disk_socket);
    for (const auto& disk : wish.plan.disks) {
        if (std::ranges::find(wish.copies, disk.document.volume) == wish.copies.end()) continue;
        const auto target = disk_target(live_xml, disk.document.name);
        if (!target) return fail(Code::conflict, "{} has no disk {}", wish.plan.document.name, disk.document.name);
        parameters.add(VIR_MIGRATE_PARAM_MIGRATE_DISKS, *target);
    }
    if (!parameters.good()) return fail(libvirt_error("prepare a migration"));
    return {};
}

// Asks how it stands, and asks libvirt to end it once somebody has cancelled: again and again, since a job that has
// not begun can't be aborted.
void LiveMove::Parts::watch(virDomainPtr domain, const std::function<void(LiveMoveProgress)>& progress) {
    std::unique_lock lock(mutex);
    for (bool told = false; !over; told = cancelled) {
        changed.wait_for(lock, kLookEvery, [&] { return over || (cancelled && !told); });
        if (over) return;
        const bool abort = cancelled;
        lock.unlock();
        if (abort) {
            virDomainAbortJob(domain);
        } else if (const auto now = job_stats(domain, 0)) {
            progress(tally.take(*now));
        }
        lock.lock();
    }
}

Result<> LiveMove::Parts::migrate(virDomainPtr domain, virConnectPtr target, const Parameters& parameters) {
    const Domain arrived(
        virDomainMigrate3(domain, target, parameters.get(), parameters.count(), live_move_flags(!wish.copies.empty())));
    if (arrived) return {};
    Error e = libvirt_error(fmt::format("move {}", wish.plan.document.name));
    if (is_cancelled()) return fail(Code::conflict, "the move was given up: {}", e.message);
    return fail(std::move(e));
}

LiveMove::LiveMove(LiveMoveWish wish) : parts_(std::make_unique<Parts>(std::move(wish))) {}
LiveMove::~LiveMove() = default;

void LiveMove::cancel() {
    const std::lock_guard lock(parts_->mutex);
    parts_->cancelled = true;
    parts_->changed.notify_all();
}

Result<> LiveMove::run(const std::function<void(LiveMoveProgress)>& progress) {
    Parts& parts = *parts_;
    const LiveMoveWish& wish = parts.wish;
    const VmDocument& vm = wish.plan.document;
    TRY(own, connect_to(wish.libvirt_uri, "libvirt"));
    const Domain domain(virDomainLookupByUUID(own.get(), vm.id.bytes.data()));
    if (!domain) return fail(libvirt_error(fmt::format("find {}", vm.name)));
    const std::string live = take_string(virDomainGetXMLDesc(domain.get(), 0));
    TRY_VOID(check_like_plan(read_domain_xml(live), wish.plan));
    if (virDomainIsActive(domain.get()) != 1) return fail(Code::conflict, "{} does not run here", vm.name);
    Parameters parameters;
    TRY_VOID(parts.fill(parameters, live));
    TRY(target, connect_to("qemu+unix:///system?socket=" + wish.libvirt_socket, "the target's libvirt"));
    if (parts.is_cancelled()) return fail(Code::conflict, "the move was given up before it began");
    std::jthread watcher([&] { parts.watch(domain.get(), progress); });
    Result<> moved = parts.migrate(domain.get(), target.get(), parameters);
    {
        const std::lock_guard lock(parts.mutex);
        parts.over = true;
        parts.changed.notify_all();
    }
    watcher.join();
    if (!moved) return moved;
    if (const auto last = job_stats(domain.get(), VIR_DOMAIN_JOB_STATS_COMPLETED)) progress(parts.tally.take(*last));
    return {};
}

}  // namespace axle
