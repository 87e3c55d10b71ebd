// One network over several hosts: a host is a network namespace with its own edge, joined to the others by cables.
#include <doctest/doctest.h>

#include "agent/network/tunnel.hpp"
#include "tests/contract/network/lab.hpp"
#include "tests/support/skip.hpp"

using namespace axle;
using namespace axle::test;

namespace {

// A host with one guest of the network.
class Machine {
  public:
    explicit Machine(int number) : number_(number), address(fmt::format("10.200.9.{}", number)) {
        const std::string cable = fmt::format("um{}", number);
        must({"ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", place.id()});
        must({"ip", "link", "set", cable, "master", "ul", "up"});
        place.must({"ip", "addr", "add", address + "/24", "dev", "eth0"});
        place.must({"ip", "link", "set", "eth0", "up"});
        place.run([this] { host = std::make_unique<Host>(); });
    }
    ~Machine() {
        leave();
        place.run([this] { host.reset(); });
    }
    NetworkReport apply(const NetworkPlan& plan) {
        NetworkReport report;
        place.run([&] { report = host->apply(plan); });
        return report;
    }
    void boot(const NicPlan& nic) {
        place.run([&] { guest = std::make_unique<Guest>(nic.tap, nic.mac); });
        guest->must({"ip", "link", "set", "eth0", "mtu", "1450"});
    }
    void leave() { guest.reset(); }

  private:
    int number_;

  public:
    std::string address;
    Elsewhere place;
    std::unique_ptr<Host> host;
    std::unique_ptr<Guest> guest;
};

struct Segment {
    static constexpr int kHosts = 3;
    std::vector<std::unique_ptr<Machine>> machines;
    std::vector<NicPlan> nics;

    Segment() {
        must({"ip", "link", "add", "ul", "type", "bridge"});
        must({"ip", "link", "set", "ul", "up"});
        for (int i = 0; i < kHosts; ++i) {
            machines.push_back(std::make_unique<Machine>(i + 1));
            NetworkDocument scratch = nat_network(1);
            nics.push_back(nic_on(scratch, i + 1, 10 + i));
        }
    }
    ~Segment() {
        machines.clear();
        must({"ip", "link", "del", "ul"});
    }
    // As the orchestrator derives it, with guest i on machine where[i].
    NetworkDocument document(int on, const std::vector<int>& where) const {
        NetworkDocument n = nat_network(1);
        n.mtu = 1450;
        n.vni = 77;
        n.underlay = at(on).address;
        for (std::size_t i = 0; i < nics.size(); ++i) {
            if (where[i] == on)
                n.reservations.push_back({nics[i].mac, nics[i].address, fmt::format("vm{}", i + 1)});
            else
                n.peers.push_back({nics[i].mac, nics[i].address, at(where[i]).address});
        }
        return n;
    }
    NetworkPlan plan(int on, const std::vector<int>& where) const {
        NetworkPlan out{{document(on, where)}, {}};
        for (std::size_t i = 0; i < nics.size(); ++i) {
            if (where[i] == on) out.nics.push_back(nics[i]);
        }
        if (out.nics.empty()) return {};  // a host without guests of the network isn't given it
        return out;
    }
    void apply(const std::vector<int>& where) {
        for (int i = 0; i < kHosts; ++i) {
            const NetworkReport report = machines[static_cast<std::size_t>(i)]->apply(plan(i, where));
            CHECK(report.tap_errors.empty());
            for (const auto& [id, told] : report.networks) {
                CHECK(told.ready);
                for (const Condition& c : told.conditions) CHECK(c.message == "");
            }
        }
    }
    Machine& at(int i) const { return *machines[static_cast<std::size_t>(i)]; }
    const NicPlan& nic(int i) const { return nics[static_cast<std::size_t>(i)]; }
};

std::string ask_dhcp(Guest& guest) {
    return guest.says({"busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "6", "-T", "1", "-s", "/bin/true"});
}
void settle(Guest& guest, const NicPlan& nic) {
    guest.must({"ip", "addr", "replace", nic.address + "/24", "dev", "eth0"});
    guest.must({"ip", "route", "replace", "default", "via", "10.90.1.1"});
}
bool pings(Guest& guest, const std::string& address, int size = 56) {
    return guest.says({"ping", "-c", "2", "-i", "0.2", "-W", "2", "-M", "do", "-s", std::to_string(size), address})
               .find(" 0% packet loss") != std::string::npos;
}

}  // namespace

TEST_CASE("a network is one segment over its hosts, each of which serves gateway and DHCP to its own guests") {
    if (const std::string why = enter_private_network(); !why.empty()) SKIP_TEST(why.c_str());
    Segment segment;
    segment.apply({0, 1, 2});
    std::vector<Fd> cables;
    for (int i = 0; i < Segment::kHosts; ++i) {
        segment.at(i).boot(segment.nic(i));
        cables.push_back(segment.at(i).place.frames("eth0"));
    }
    for (int i = 0; i < Segment::kHosts; ++i) {
        CHECK(ask_dhcp(*segment.at(i).guest).find(segment.nic(i).address) != std::string::npos);
        settle(*segment.at(i).guest, segment.nic(i));
    }
    // Nothing of that went to another host: neither did any broadcast, nor a frame to a MAC that nobody has.
    Guest& first = *segment.at(0).guest;
    const Fd wire = first.frames("eth0");
    send_frame(wire, udp(first.mac, segment.nic(0).address, 1234, 1234, "to-all-of-you"));
    std::string stray = udp(first.mac, segment.nic(0).address, 1234, 1234, "to-nobody", segment.nic(2).address);
    stray.replace(0, 6, mac_bytes_of("52:54:00:00:00:99"));
    send_frame(wire, stray);
    CHECK(pings(first, "10.90.1.1"));
    for (const Fd& cable : cables) {
        CHECK_FALSE(hears(cable, "to-all-of-you", 100));
        CHECK_FALSE(hears(cable, "to-nobody", 100));
    }
    for (int i = 0; i < Segment::kHosts; ++i) {
        for (int j = 0; j < Segment::kHosts; ++j) {
            CAPTURE(i);
            CAPTURE(j);
            if (i != j) CHECK(pings(*segment.at(i).guest, segment.nic(j).address));
        }
    }
    CHECK(pings(first, segment.nic(1).address, 1450 - 28));  // the largest packet
    const Fd server = segment.at(2).guest->listen(80);
    CHECK(seen_client(first, segment.nic(2).address, 80, server).value_or("none") == segment.nic(0).address);
}

TEST_CASE("a guest that moved is reached at its new host, and who isn't of the network sends nothing into it") {
    if (const std::string why = enter_private_network(); !why.empty()) SKIP_TEST(why.c_str());
    Segment segment;
    segment.apply({0, 1, 2});
    for (int i = 0; i < Segment::kHosts; ++i) {
        segment.at(i).boot(segment.nic(i));
        settle(*segment.at(i).guest, segment.nic(i));
    }
    Guest& first = *segment.at(0).guest;
    CHECK(pings(first, segment.nic(2).address));
    // The third guest moves to the second host.
    segment.at(2).leave();
    segment.apply({0, 1, 1});
    segment.at(1).place.run(
        [&] { segment.at(2).guest = std::make_unique<Guest>(segment.nic(2).tap, segment.nic(2).mac); });
    segment.at(2).guest->must({"ip", "link", "set", "eth0", "mtu", "1450"});
    settle(*segment.at(2).guest, segment.nic(2));
    CHECK(pings(first, segment.nic(2).address));
    CHECK(pings(*segment.at(1).guest, segment.nic(2).address));
    // The host that has none any more is out: its device is gone, and what it sends is not heard.
    CHECK(segment.at(2).place.says({"ip", "-br", "link"}).find("axv") == std::string::npos);
    segment.at(2).place.must({"ip", "link", "add", "rogue", "type", "vxlan", "id", "77", "local", segment.at(2).address,
                              "remote", segment.at(0).address, "dstport", std::to_string(kTunnelPort)});
    segment.at(2).place.must({"ip", "link", "set", "rogue", "up"});
    const Fd rogue = segment.at(2).place.frames("rogue");
    const Fd ears = first.frames("eth0");
    std::string forged = udp(segment.nic(1).mac, segment.nic(1).address, 9, 9, "rogue-frame", segment.nic(0).address);
    forged.replace(0, 6, mac_bytes_of(first.mac));
    send_frame(rogue, forged);
    CHECK_FALSE(hears(ears, "rogue-frame", 300));
    // A host of the network that lies about which guest it has is not believed either.
    const Fd liar = segment.at(1).place.frames(tunnel_name(network_id(1)));
    std::string lie = udp("52:54:00:00:00:42", segment.nic(1).address, 9, 9, "lying-frame", segment.nic(0).address);
    lie.replace(0, 6, mac_bytes_of(first.mac));
    send_frame(liar, lie);
    CHECK_FALSE(hears(ears, "lying-frame", 300));
    std::string truth = udp(segment.nic(1).mac, segment.nic(1).address, 9, 9, "honest-frame", segment.nic(0).address);
    truth.replace(0, 6, mac_bytes_of(first.mac));
    send_frame(liar, truth);
    CHECK(hears(ears, "honest-frame", 3000));
    segment.at(1).place.run([&] { segment.at(2).guest.reset(); });
}
