#include <functional>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "agent/host/machine_facts.hpp"
#include "agent/host/port_owner.hpp"
#include "common/base/units.hpp"

using namespace axle;
using Level = Finding::Level;

namespace {

// A machine with nothing to say against it.
MachineFacts sound() {
    return {.kvm = true,
            .accelerator_why = "kvm_amd",
            .libvirt_socket = "/run/libvirt/libvirt-sock",
            .apparmor = true,
            .bridges = {"br0"},
            .folders = {{.path = "/var/lib/axle", .free = 100 * kGiB, .size = 200 * kGiB}},
            .clock_year = 2026,
            .clock_synchronised = true,
            .ports = {{7443, ""}, {7444, ""}},
            .resolvers = {"192.0.2.53"}};
}

const Finding* find(const std::vector<Finding>& findings, const std::string& name, Level level) {
    for (const Finding& f : findings) {
        if (f.name == name && f.level == level) return &f;
    }
    return nullptr;
}

}  // namespace

TEST_CASE("the doctor finds nothing to say against a sound machine") {
    const auto findings = judge(sound());
    for (const Finding& f : findings) {
        CAPTURE(f.name);
        CHECK(f.level == Level::ok);
        CHECK(f.cause != "");
        CHECK(f.fix == "");
    }
    CHECK(exit_status(findings) == 0);
}

TEST_CASE("each trouble of a machine is found, told with its cause, and mendable") {
    struct Row {
        const char* name;
        std::function<void(MachineFacts&)> spoil;
        Level level;
        const char* cause;  // what the sentence must contain
    };
    const Row rows[] = {
        {"accelerator", [](MachineFacts& m) { m.kvm = false, m.accelerator_why = "no /dev/kvm"; }, Level::warning,
         "no /dev/kvm"},
        {"kvm device", [](MachineFacts& m) { m.kvm_shut = "/dev/kvm belongs to user 0, group root, with mode 0600"; },
         Level::warning, "mode 0600"},
        {"libvirt", [](MachineFacts& m) { m.libvirt_trouble = "connection refused"; }, Level::failed, "refused"},
        {"apparmor", [](MachineFacts& m) { m.apparmor = false; }, Level::warning, "AppArmor"},
        {"firewall",
         [](MachineFacts& m) {
             m.firewalls = {{"docker cuts guests off", "open it"}};
         },
         Level::failed, "docker"},
        {"firewall", [](MachineFacts& m) { m.firewalls_trouble = "not permitted"; }, Level::warning, "not permitted"},
        {"space", [](MachineFacts& m) { m.folders[0].free = 5 * kGiB; }, Level::warning, "5.0 GiB of 200.0 GiB"},
        {"space", [](MachineFacts& m) { m.folders[0].free = kMiB; }, Level::failed, "/var/lib/axle"},
        {"space", [](MachineFacts& m) { m.folders[0].trouble = "no such directory"; }, Level::warning, "no such"},
        {"durability", [](MachineFacts& m) { m.folders[0].not_durable = "lies on tmpfs"; }, Level::failed, "tmpfs"},
        {"clock", [](MachineFacts& m) { m.clock_year = 1970; }, Level::failed, "1970"},
        {"clock", [](MachineFacts& m) { m.clock_synchronised = false; }, Level::warning, "clock"},
        {"port 7443", [](MachineFacts& m) { m.ports[0].taken_by = "nginx (process 812)"; }, Level::failed, "nginx"},
        {"resolver", [](MachineFacts& m) { m.resolvers = {}; }, Level::warning, "resolv.conf"},
        {"own name", [](MachineFacts& m) { m.nameless = "h1"; }, Level::warning, "\"h1\""},
        {"leftover", [](MachineFacts& m) { m.leftovers = {"interface axb2"}; }, Level::warning, "axb2"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        MachineFacts facts = sound();
        row.spoil(facts);
        const auto findings = judge(facts);
        const Finding* found = find(findings, row.name, row.level);
        REQUIRE(found != nullptr);
        CHECK(found->cause.find(row.cause) != std::string::npos);
        CHECK(found->fix != "");
        CHECK(exit_status(findings) == (row.level == Level::failed ? 1 : 0));
    }
}

TEST_CASE("a remark on a file system is a warning") {
    MachineFacts facts = sound();
    facts.folders[0].remark = "lies on overlayfs";
    CHECK(find(judge(facts), "durability", Level::warning) != nullptr);
}

TEST_CASE("the doctor's findings are given as JSON for programs and as lines for people") {
    const std::vector<Finding> findings = {{"clock", Level::ok, "synchronised", ""},
                                           {"libvirt", Level::failed, "odd \xff byte", "start it"}};
    const auto parsed = nlohmann::json::parse(as_json(findings));
    REQUIRE(parsed["checks"].size() == 2);
    CHECK(parsed["checks"][0]["level"] == "ok");
    CHECK(parsed["checks"][1]["level"] == "error");
    CHECK(parsed["checks"][1]["name"] == "libvirt");
    CHECK(parsed["checks"][1]["fix"] == "start it");
    CHECK(as_table(findings).find("error    libvirt") != std::string::npos);
    CHECK(as_table(findings).find("=> start it") != std::string::npos);
}

TEST_CASE("who listens on a port is read from the kernel's table") {
    const std::string table =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 00000000:1D13 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x 100 0\n"
        "   1: 0100007F:1D13 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 x 20 4\n"
        "   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 x 100 0\n"
        "broken\n   3: 00000000 0A\n";
    CHECK(listening_inodes(table, 7443) == std::set<std::string>{"4711"});
    CHECK(listening_inodes(table, 22) == std::set<std::string>{"4713"});
    CHECK(listening_inodes(table, 7444).empty());
    CHECK(listening_inodes("", 7444).empty());
}

TEST_CASE("a machine is looked at without changing it, also where much is missing") {
    const auto findings = examine({.state_folder = "/nonexistent/a",
                                   .host_folder = "/nonexistent/b",
                                   .libvirt_socket = "/nonexistent/socket",
                                   .folders = {"/nonexistent/c", "/tmp"},
                                   .ports = {}});
    CHECK(find(findings, "libvirt", Level::failed) != nullptr);
    CHECK(find(findings, "space", Level::warning) != nullptr);
    CHECK(exit_status(findings) == 1);
}
