// A host's network of this test's own: a network namespace for the test's process, others for what lies around it, and
// guests whose taps are opened as QEMU opens them. Nothing of the machine is touched.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/network/linux_network.hpp"
#include "common/base/file.hpp"
#include "common/base/process.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/waiting_executor.hpp"

namespace axle::test {

// Puts this process (once) into network and mount namespaces of its own. Empty, or why that can't be.
std::string enter_private_network();

// What a program says; fails the test if it fails.
std::string must(std::vector<std::string> words);
std::string says(std::vector<std::string> words);  // whatever it ends with

// Another machine: a network namespace, entered by a thread that runs what it is given.
class Elsewhere {
  public:
    Elsewhere();
    ~Elsewhere();
    void run(const std::function<void()>& job);
    std::string must(std::vector<std::string> words);
    std::string says(std::vector<std::string> words);
    std::string id() const { return std::to_string(tid_); }  // as `ip link ... netns` takes it

    Fd listen(int port);                                                // TCP
    Fd connect(const std::string& address, int port, int patience_ms);  // closed: no answer
    Fd frames(const std::string& interface);                            // raw, all protocols

  private:
    void loop();
    std::mutex mutex_;
    std::condition_variable changed_;
    const std::function<void()>* job_ = nullptr;
    bool ends_ = false;
    int tid_ = 0;
    std::thread thread_;
};

// The address that the server sees of a client that connects; nullopt: the connection does not come about.
std::optional<std::string> seen_client(Elsewhere& client, const std::string& address, int port, const Fd& server,
                                       int patience_ms = 5000);
// The same from the test's own host.
Fd connect_to(const std::string& address, int port, int patience_ms);
Fd listen_on(int port);
std::optional<std::string> accepted(const Fd& server, int patience_ms);

// A guest: has its tap open as QEMU would, and behind it an eth0 with a kernel of its own.
class Guest : public Elsewhere {
  public:
    Guest(const std::string& tap, const std::string& mac);
    ~Guest();
    const std::string mac;

  private:
    Fd host_side_, guest_side_, wake_;
    std::thread pump_;
};

// Frames as text of bytes.
std::string mac_bytes_of(const std::string& mac);
std::string arp(const std::string& from_mac, const std::string& sender_mac, const std::string& sender_ip,
                const std::string& target_ip);
std::string udp(const std::string& from_mac, const std::string& from_ip, int from_port, int to_port,
                const std::string& marker, const std::string& to_ip = "255.255.255.255");
std::string frame(const std::string& to_mac, const std::string& from_mac, int type, const std::string& payload);
void send_frame(const Fd& socket, const std::string& frame);
// A frame that contains `marker` comes within the time.
bool hears(const Fd& socket, const std::string& marker, int patience_ms);

// The edge under test with its threads and folder; what it made is removed at the end.
class Host {
  public:
    Host();
    ~Host();
    NetworkReport apply(const NetworkPlan& plan);
    std::vector<Lease> leases(NetworkId network);
    Result<> remove_all();
    bool is_told(NetworkHint hint, std::function<void()> deed);  // that what was done calls for a look
    void restart();                                              // as after kill -9: another process on the same folder
    std::string folder() const { return temp_.path(); }

  private:
    TempDir temp_;
    WaitingExecutor core_;
    Loop events_{"network events"};
    std::jthread events_thread_;
    std::vector<NetworkHint> hints_;
    std::unique_ptr<Workers> workers_;
    std::unique_ptr<LinuxNetwork> network_;
};

// Documents.
NetworkId network_id(int n);
VmId vm_id(int n);
NetworkDocument nat_network(int n);                          // 10.90.n.0/24
NicPlan nic_on(NetworkDocument& network, int vm, int last);  // with its reservation, 10.90.n.last

}  // namespace axle::test
