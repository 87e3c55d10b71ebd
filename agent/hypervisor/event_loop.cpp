#include "agent/hypervisor/event_loop.hpp"

#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include <libvirt/libvirt.h>

namespace axle {
namespace {

struct Item {
    int id = 0;
    bool is_timer = false;
    // Wanted state, guarded by Events::mutex_.
    int fd = -1, events = 0, interval_ms = -1;
    bool dirty = true, dead = false;
    virEventHandleCallback on_handle = nullptr;
    virEventTimeoutCallback on_timeout = nullptr;
    void* opaque = nullptr;
    virFreeCallback free = nullptr;
    // Loop thread only.
    std::unique_ptr<IoWatch> watch;
    std::unique_ptr<Timer> timer;
};

class Events {
  public:
    static Events& instance() {
        static auto* events = new Events;  // libvirt may call until the process ends
        return *events;
    }
    void use(Loop& loop) {
        const std::lock_guard guard(mutex_);
        loop_ = &loop;
    }

    int add(std::shared_ptr<Item> item) {
        const std::lock_guard guard(mutex_);
        item->id = ++last_;
        items_[item->id] = item;
        touch(item);
        return item->id;
    }
    template <typename F>
    int change(int id, F&& apply) {
        const std::lock_guard guard(mutex_);
        const auto found = items_.find(id);
        if (found == items_.end() || found->second->dead) return -1;
        apply(*found->second);
        if (!found->second->dirty) touch(found->second);
        return 0;
    }

  private:
    void touch(const std::shared_ptr<Item>& item) {
        item->dirty = true;
        loop_->post([this, item] { settle(item); });
    }
    void settle(const std::shared_ptr<Item>& item) {  // loop thread
        int fd = -1, events = 0, interval = -1;
        {
            const std::lock_guard guard(mutex_);
            item->dirty = false;
            fd = item->fd;
            events = item->events;
            interval = item->interval_ms;
            if (item->dead) items_.erase(item->id);
        }
        if (is_dead(*item)) {
            item->watch.reset();
            item->timer.reset();
            if (item->free != nullptr) std::exchange(item->free, nullptr)(item->opaque);
        } else if (item->is_timer) {
            set_timer(item, interval);
        } else {
            set_watch(item, fd, events);
        }
    }
    bool is_dead(const Item& item) {
        const std::lock_guard guard(mutex_);
        return item.dead;
    }
    void set_watch(const std::shared_ptr<Item>& item, int fd, int events) {
        const bool read =
                       (events & (VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_HANGUP | VIR_EVENT_HANDLE_ERROR)) != 0,
                   write = (events & VIR_EVENT_HANDLE_WRITABLE) != 0;
        if (item->watch) return item->watch->want(read, write);
        item->watch = std::make_unique<IoWatch>(
            *loop_, "libvirt", fd, read, write, [this, weak = std::weak_ptr(item), fd](bool readable, bool writable) {
                const auto alive = weak.lock();
                if (!alive || is_dead(*alive)) return;
                alive->on_handle(
                    alive->id, fd,
                    (readable ? VIR_EVENT_HANDLE_READABLE : 0) | (writable ? VIR_EVENT_HANDLE_WRITABLE : 0),
                    alive->opaque);
            });
    }
    void set_timer(const std::shared_ptr<Item>& item, int interval) {
        if (!item->timer)
            item->timer = std::make_unique<Timer>(*loop_, "libvirt", [this, weak = std::weak_ptr(item)] {
                const auto alive = weak.lock();
                if (alive && !is_dead(*alive)) alive->on_timeout(alive->id, alive->opaque);
            });
        if (interval < 0)
            item->timer->stop();
        else
            item->timer->repeat(milliseconds{interval == 0 ? 1 : interval});
    }

    std::mutex mutex_;
    Loop* loop_ = nullptr;
    int last_ = 0;
    std::unordered_map<int, std::shared_ptr<Item>> items_;
};

int add_handle(int fd, int events, virEventHandleCallback call, void* opaque, virFreeCallback free) {
    auto item = std::make_shared<Item>();
    item->fd = fd;
    item->events = events;
    item->on_handle = call;
    item->opaque = opaque;
    item->free = free;
    return Events::instance().add(std::move(item));
}
void update_handle(int id, int events) {
    Events::instance().change(id, [&](Item& i) { i.events = events; });
}
int remove_any(int id) {
    return Events::instance().change(id, [](Item& i) { i.dead = true; });
}
int add_timeout(int ms, virEventTimeoutCallback call, void* opaque, virFreeCallback free) {
    auto item = std::make_shared<Item>();
    item->is_timer = true;
    item->interval_ms = ms;
    item->on_timeout = call;
    item->opaque = opaque;
    item->free = free;
    return Events::instance().add(std::move(item));
}
void update_timeout(int id, int ms) {
    Events::instance().change(id, [&](Item& i) { i.interval_ms = ms; });
}

}  // namespace

void run_libvirt_events_on(Loop& loop) {
    Events::instance().use(loop);
    static const bool registered = [] {
        virEventRegisterImpl(add_handle, update_handle, remove_any, add_timeout, update_timeout, remove_any);
        return true;
    }();
    static_cast<void>(registered);
}

}  // namespace axle
