// Simulated hosts: each joins with a token, gets a certificate of its own, and keeps a connection over mutual TLS like
// a real agent's: hello, documents, reports, heartbeats. It has no hypervisor: what it is told is so at once.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/link/identity.hpp"
#include "common/channel/messages.hpp"
#include "common/loop/loop.hpp"
#include "common/loop/workers.hpp"

namespace axle::fleet {

class Hosts {
  public:
    // directory: for the keys while they are made. vms: each has room for twice as many at least, of 1 CPU and 128 MiB.
    Hosts(std::string directory, int vms);
    ~Hosts();
    Hosts(const Hosts&) = delete;
    Hosts& operator=(const Hosts&) = delete;

    // `count` machines join, some at a time, and connect. Blocks until all are connected.
    void join(const JoinString& token, int count);
    int connected() const { return connected_; }
    void wait_connected(int count);
    void dial_at_once(int count);  // so many handshakes at a time from now on; a few before
    // From the next loss of a connection on: redial after up to this time, as agents do.
    static constexpr milliseconds kRedialMax{5'000};

  private:
    struct Host {
        int number = 0;
        HostIdentity identity;
        std::unique_ptr<Channel> channel;
        std::uint64_t connections = 0;
        std::map<std::pair<DocumentKind, Uuid>, HeldDocument> held;
        std::uint64_t seen_revision = 0, seen_incarnation = 0;
        std::string seal;
    };

    void make(const JoinString& token, int number);
    void want_dial(Host& host, milliseconds after);
    void dial_some();
    void dial(Host& host);
    void open(Host& host, std::unique_ptr<Channel> channel);
    void take(Host& host, const Message& message);
    void take_desired(Host& host, const Desired& desired);
    void beat(Host& host);
    Hello hello_of(Host& host) const;

    const std::string directory_;
    const int vms_;
    Loop core_{"fleet"}, io_{"fleet-io"};
    Workers workers_{"fleet", {.threads = 2, .queue_max = 1 << 20}};
    std::vector<std::unique_ptr<Host>> hosts_;
    std::atomic<int> connected_ = 0;
    std::atomic<bool> stopping_ = false;
    std::mutex mutex_;  // guards to_dial_, hosts_ while they join
    std::condition_variable to_do_;
    std::deque<Host*> to_dial_;
    std::uint64_t drawn_ = 1;
    int dialling_ = 0;
    std::vector<std::jthread> threads_;
};

}  // namespace axle::fleet
