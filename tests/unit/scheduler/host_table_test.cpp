// The table of all hosts against the plain decision over each of them.
#include "orchestrator/scheduler/host_table.hpp"

#include <doctest/doctest.h>

#include "common/base/units.hpp"
#include "tests/support/seeded_random.hpp"

using namespace axle;

namespace {

const PoolId kPool{*Uuid::parse("0190aaaa-0000-7000-8000-000000000001")};

HostId id_of(int number) {
    HostId id;
    for (int i = 0; i < 4; ++i)
        id.bytes[static_cast<std::size_t>(15 - i)] = static_cast<std::uint8_t>(number >> (8 * i));
    return id;
}

// Alike in size; how full each is, is drawn. Some are cordoned, some away, some have a label.
HostState drawn(int number, test::SeededRandom& random) {
    HostState h{.name = fmt::format("h{:05}", number),
                .connected = random.between(0, 19) != 0,
                .unschedulable = random.between(0, 19) == 0,
                .cpus_allocatable = 64,
                .cpus_claimed = random.between(0, 64),
                .memory_allocatable = 256 * kGiB,
                .memory_claimed = random.between(0, 256) * kGiB};
    h.id = id_of(number);
    if (random.between(0, 9) == 0) h.labels["ssd"] = "yes";
    h.pools[kPool] = {.name = "main",
                      .ready = true,
                      .size = 1000 * kGiB,
                      .free = random.between(0, 1000) * kGiB,
                      .claimed = random.between(0, 1000) * kGiB};
    return h;
}

VmRequest request(std::int64_t cpus, std::int64_t memory) {
    VmRequest r{.name = "web1", .cpus = cpus, .memory = memory};
    r.volumes.push_back({.pool = kPool, .pool_name = "main", .size = 10 * kGiB});
    return r;
}

const Uuid kZones[] = {*Uuid::parse("0190aaaa-0000-7000-8000-0000000000c1"),
                       *Uuid::parse("0190aaaa-0000-7000-8000-0000000000c2"),
                       *Uuid::parse("0190aaaa-0000-7000-8000-0000000000c3")};

// About VMs on some of the hosts, as they stand now.
NeighbourRule drawn_rule(const std::vector<HostState>& hosts, test::SeededRandom& random) {
    NeighbourRule rule{.name = "affinity.drawn",
                       .policy = random.between(0, 1) == 0 ? Affinity::apart : Affinity::together,
                       .over = random.between(0, 1) == 0 ? Domain::host : Domain::zone,
                       .required = random.between(0, 1) == 0,
                       .may_be_first = random.between(0, 1) == 0};
    for (std::int64_t i = random.between(0, 30); i > 0; --i) {
        const auto last = static_cast<std::int64_t>(hosts.size()) - 1;
        const HostState& at = hosts[static_cast<std::size_t>(random.between(0, last))];
        rule.neighbours.push_back({{}, at.id, at.zone});
    }
    rule.count();
    return rule;
}

// How many hosts the candidates speak of.
std::size_t told_of(const Decision& decision) {
    std::size_t count = 0;
    for (const Candidate& c : decision.candidates) {
        const bool is_group = c.host.find(' ') != std::string::npos;
        count += is_group ? static_cast<std::size_t>(std::atoi(c.host.c_str())) : 1;
    }
    return count;
}

// The table takes the host that a look at every one takes, and tells of all. true: there is one.
bool takes_as_every_look_does(const HostTable& table, const std::vector<HostState>& all, const VmRequest& wanted) {
    const Decision exact = decide(wanted, all), taken = table.decide(wanted);
    CAPTURE(exact.summary);
    CAPTURE(taken.summary);
    CHECK(taken.host == exact.host);
    CHECK(told_of(taken) == all.size());
    CHECK(taken.candidates.size() <= HostTable::kCloseMax + 10);
    return !exact.host.empty();
}

}  // namespace

TEST_CASE("the table takes the host that a look at every one of them takes, and tells of all") {
    for (const int hosts : {1, 7, 64, 65, 500, 3000}) {
        for (std::uint64_t seed = 1; seed <= 5; ++seed) {
            CAPTURE(hosts);
            CAPTURE(seed);
            test::SeededRandom random(seed);
            HostTable table;
            std::vector<HostState> all;
            for (int i = 0; i < hosts; ++i) {
                all.push_back(drawn(i, random));
                table.put(all.back());
            }
            for (int change = 0; change < hosts / 3; ++change) {
                auto& host = all[static_cast<std::size_t>(random.between(0, hosts - 1))];
                host = drawn(std::atoi(host.name.c_str() + 1), random);
                table.put(host);
            }
            for (const std::int64_t cpus : {1, 8, 63, 65}) {
                VmRequest wanted = request(cpus, cpus * 2 * kGiB);
                if (random.between(0, 1) == 0) wanted.host_selector["ssd"] = "yes";
                takes_as_every_look_does(table, all, wanted);
            }
        }
    }
}

TEST_CASE("the table keeps to rules of affinity, and spreads or packs, as a look at every host does") {
    int with_a_host = 0;
    for (const int hosts : {65, 400}) {
        for (std::uint64_t seed = 1; seed <= 60; ++seed) {
            CAPTURE(hosts);
            CAPTURE(seed);
            test::SeededRandom random(seed);
            HostTable table;
            std::vector<HostState> all;
            for (int i = 0; i < hosts; ++i) {
                all.push_back(drawn(i, random));
                if (seed % 3 == 0) all.back().labels["rack"] = fmt::format("r{}", i % 50);  // many classes
                if (const auto zone = random.between(0, 3); zone < 3) {
                    all.back().zone = kZones[zone];
                    all.back().zone_name = fmt::format("z{}", zone);
                }
                table.put(all.back());
            }
            VmRequest wanted = request(random.between(1, 16), random.between(1, 64) * kGiB);
            for (std::int64_t i = random.between(0, 2); i > 0; --i) wanted.rules.push_back(drawn_rule(all, random));
            if (random.between(0, 1) == 0) wanted.strategy = Strategy::pack;
            with_a_host += takes_as_every_look_does(table, all, wanted) ? 1 : 0;
        }
    }
    CHECK(with_a_host > 60);
}

TEST_CASE("packing finds a place where all but the emptiest host are too full") {
    HostTable table;
    test::SeededRandom random(1);
    for (int i = 0; i < 2000; ++i) {
        HostState host = drawn(i, random);
        host.connected = true;
        host.unschedulable = false;
        host.labels.clear();
        host.memory_claimed = i == 1234 ? 0 : host.memory_allocatable;
        host.cpus_claimed = 0;
        table.put(host);
    }
    VmRequest wanted = request(1, kGiB);
    wanted.volumes.clear();
    wanted.strategy = Strategy::pack;
    const Decision decision = table.decide(wanted);
    CHECK(decision.host == "h01234");
    CHECK(told_of(decision) == 2000);
}

TEST_CASE("a VM with a disk on a host goes there or nowhere") {
    test::SeededRandom random(1);
    HostTable table;
    for (int i = 0; i < 1000; ++i) {
        HostState host = drawn(i, random);
        host.connected = true;
        host.unschedulable = false;
        host.cpus_claimed = host.memory_claimed = 0;
        table.put(host);
    }
    VmRequest wanted = request(1, kGiB);
    wanted.volumes[0].pinned = id_of(700);
    wanted.volumes[0].pinned_name = "h00700";
    const Decision there = table.decide(wanted);
    CHECK(there.host == "h00700");
    CHECK(told_of(there) == 1000);
    table.erase(id_of(700));
    const Decision gone = table.decide(wanted);
    CHECK(gone.host.empty());
    CHECK(gone.summary.find("the host that its disks lie on is gone") != std::string::npos);
    CHECK(table.size() == 999);
}

TEST_CASE("of many hosts the one that is asked for by name is taken, or its reason told") {
    test::SeededRandom random(1);
    HostTable table;
    std::vector<HostState> all;
    for (int i = 0; i < 500; ++i) {
        all.push_back(drawn(i, random));
        table.put(all.back());
    }
    int placed = 0;
    for (int i = 0; i < 500; i += 7) {
        VmRequest wanted = request(8, 32 * kGiB);
        wanted.host_selector[kHostNameLabel] = all[static_cast<std::size_t>(i)].name;
        placed += takes_as_every_look_does(table, all, wanted) ? 1 : 0;
        CHECK(table.decide(wanted).summary == decide(wanted, all).summary);
    }
    CHECK(placed > 5);
    CHECK(placed < 72);
    VmRequest nowhere = request(1, kGiB);
    nowhere.host_selector[kHostNameLabel] = "h9";
    CHECK(table.decide(nowhere).summary.find("is not host h9, which the VM asks for by name") != std::string::npos);
}

TEST_CASE("a fleet without room tells each filter's refusals with the number of hosts and an example") {
    HostTable table;
    test::SeededRandom random(1);
    for (int i = 0; i < 200; ++i) {
        HostState host = drawn(i, random);
        host.connected = i >= 50;
        host.unschedulable = false;
        host.memory_claimed = host.memory_allocatable;
        host.cpus_claimed = 0;
        host.labels.clear();
        table.put(host);
    }
    const Decision none = table.decide(request(1, kGiB));
    CHECK(none.host.empty());
    CHECK(none.summary.find("150 refused by memory") != std::string::npos);
    CHECK(none.summary.find("50 refused by state") != std::string::npos);
    REQUIRE(none.candidates.size() == 2);
    CHECK(none.candidates[0].host.starts_with("150 hosts, such as h"));
}
