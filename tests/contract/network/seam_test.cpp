// What both networks, the fake and the real one, keep of the page network.hpp.
#include <doctest/doctest.h>

#include "agent/network/fake_network.hpp"
#include "tests/contract/network/lab.hpp"
#include "tests/support/skip.hpp"

using namespace axle;
using namespace axle::test;

namespace {

// One of the two, and what a guest does on it.
struct Subject {
    virtual ~Subject() = default;
    virtual NetworkReport apply(const NetworkPlan& plan) = 0;
    virtual std::vector<Lease> leases(NetworkId network) = 0;
    virtual Result<> remove_all() = 0;
    virtual bool has_tap(const std::string& tap) = 0;
    virtual void open_tap(const std::string& tap) = 0;
    virtual void close_tap(const std::string& tap) = 0;
};

struct FakeSubject final : Subject {
    WaitingExecutor core;
    FakeNetwork network{core};
    NetworkReport apply(const NetworkPlan& plan) override {
        std::optional<NetworkReport> out;
        network.apply(plan, [&](Result<NetworkReport> report) { out = std::move(*report); });
        CHECK_FALSE(out);  // never inside the call
        core.run();
        CHECK(network.broken() == "");
        REQUIRE(out);
        return *out;
    }
    std::vector<Lease> leases(NetworkId id) override {
        std::vector<Lease> out;
        network.leases(id, [&](Result<std::vector<Lease>> told) { out = std::move(*told); });
        core.run();
        return out;
    }
    Result<> remove_all() override {
        std::optional<Result<>> out;
        network.remove_all([&](Result<> done) { out = std::move(done); });
        core.run();
        return *out;
    }
    bool has_tap(const std::string& tap) override { return network.taps().contains(tap); }
    void open_tap(const std::string& tap) override { network.open_tap(tap); }
    void close_tap(const std::string& tap) override { network.close_tap(tap); }
};

struct LinuxSubject final : Subject {
    Host host;
    std::map<std::string, std::unique_ptr<Guest>> guests;
    NetworkReport apply(const NetworkPlan& plan) override { return host.apply(plan); }
    std::vector<Lease> leases(NetworkId id) override { return host.leases(id); }
    Result<> remove_all() override { return host.remove_all(); }
    bool has_tap(const std::string& tap) override {
        return says({"ip", "link", "show", "dev", tap}).find("does not exist") == std::string::npos;
    }
    void open_tap(const std::string& tap) override { guests[tap] = std::make_unique<Guest>(tap, "52:54:00:aa:00:01"); }
    void close_tap(const std::string& tap) override { guests.erase(tap); }
};

std::string reason(const NetworkReport& report, NetworkId id) {
    const auto& conditions = report.networks.at(id).conditions;
    return conditions.empty() ? "" : conditions.front().reason;
}

void keep_to_the_page(Subject& subject) {
    NetworkDocument blue = nat_network(1);
    const NicPlan nic = nic_on(blue, 1, 10);
    const NetworkPlan plan{{blue}, {nic}};
    for (int i = 0; i < 2; ++i) {  // idempotent
        const NetworkReport report = subject.apply(plan);
        CHECK(report.networks.at(blue.id).ready);
        CHECK(report.tap_errors.empty());
        CHECK(subject.has_tap(nic.tap));
    }
    CHECK(subject.leases(blue.id).empty());
    CHECK(subject.leases(network_id(9)).empty());
    // A bridge that isn't there: its network and its taps say so, others are well.
    const NetworkDocument house{
        .id = network_id(3), .name = "default/house", .type = NetworkType::bridged, .bridge = "br7"};
    const NicPlan on_house{vm_id(3), "eth0", house.id, tap_name(vm_id(3), "eth0"), "52:54:00:aa:00:03", ""};
    const NetworkReport report = subject.apply({{blue, house}, {nic, on_house}});
    CHECK(report.networks.at(blue.id).ready);
    CHECK_FALSE(report.networks.at(house.id).ready);
    CHECK(reason(report, house.id) == "BridgeMissing");
    CHECK(report.tap_errors.contains(on_house.tap));
    CHECK_FALSE(subject.has_tap(on_house.tap));
    // A tap of a network that the plan doesn't hold.
    CHECK(subject.apply({{blue}, {nic, on_house}}).tap_errors.contains(on_house.tap));
    // A tap in use stays, one that is not goes.
    subject.open_tap(nic.tap);
    subject.apply({{}, {}});
    CHECK(subject.has_tap(nic.tap));
    subject.close_tap(nic.tap);
    subject.apply({{}, {}});
    CHECK_FALSE(subject.has_tap(nic.tap));
    subject.apply(plan);
    CHECK(subject.remove_all());
    CHECK(subject.remove_all());
    CHECK_FALSE(subject.has_tap(nic.tap));
}

}  // namespace

TEST_CASE("the fake network keeps to the page of the seam") {
    FakeSubject subject;
    keep_to_the_page(subject);
}

TEST_CASE("the network of Linux keeps to the page of the seam") {
    if (const std::string why = enter_private_network(); !why.empty()) SKIP_TEST(why.c_str());
    LinuxSubject subject;
    keep_to_the_page(subject);
}

TEST_CASE("the fake gives addresses as reserved, fails when told to, and sees what must never be") {
    FakeSubject subject;
    FakeNetwork& network = subject.network;
    NetworkDocument blue = nat_network(1);
    const NicPlan nic = nic_on(blue, 1, 10);
    NicPlan stranger = nic_on(blue, 2, 11);
    blue.reservations.pop_back();
    network.host_routes = {"10.90.2.0/23"};
    const NetworkReport report = subject.apply({{blue, nat_network(2)}, {nic, stranger}});
    CHECK(reason(report, network_id(2)) == "RangeOverlaps");
    CHECK_FALSE(network.ask_dhcp(nic.tap));  // it isn't running
    network.open_tap(nic.tap);
    network.open_tap(stranger.tap);
    CHECK(network.ask_dhcp(nic.tap).value_or("") == "10.90.1.10");
    CHECK_FALSE(network.ask_dhcp(stranger.tap));
    const auto leases = subject.leases(blue.id);
    REQUIRE(leases.size() == 2);
    CHECK(leases[0].stage == DhcpStage::answered);
    CHECK(leases[1].stage == DhcpStage::asked);
    network.fault = [](const std::string& call) -> std::optional<Error> {
        if (call == "apply") return error(Code::unavailable, "no netlink today");
        return std::nullopt;
    };
    std::string said;
    network.apply({{}, {}}, [&](Result<NetworkReport> answer) { said = answer ? "" : answer.error().message; });
    subject.core.run();
    CHECK(said == "no netlink today");
    CHECK(network.taps().size() == 2);  // what was right is still there
    network.fault = nullptr;
    stranger.mac = nic.mac;
    network.apply({{blue}, {nic, stranger}}, [](const Result<NetworkReport>&) {});
    CHECK(network.broken().find(nic.mac) != std::string::npos);
}
