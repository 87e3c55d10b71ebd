#include "agent/hypervisor/domain_xml.hpp"

#include <functional>

#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "tests/support/test_file.hpp"
#include "tests/unit/hypervisor/plan.hpp"

namespace axle::test {
namespace {

std::string golden(const std::string& name) {
    return read_file(test_file("unit/hypervisor/golden/" + name)).value_or("there is no file " + name);
}

}  // namespace

TEST_CASE("a plan gives this XML and no other: an upgrade changes no guest's hardware") {
    CHECK(domain_xml(sample_plan()) == golden("domain.xml"));
    CHECK(domain_xml(sample_plan()) == domain_xml(sample_plan()));
}

TEST_CASE("a guest's memory is whole MiB, rounded up: libvirt moves no other") {
    for (const auto& [bytes, kibibytes] : {std::pair{kMiB, 1024}, std::pair{kMiB + 1, 2048}, std::pair{kGiB, 1 << 20},
                                           std::pair{std::int64_t{1'000'000'000}, 954 * 1024}}) {
        DomainPlan plan = sample_plan();
        plan.document.memory = bytes;
        CHECK(domain_xml(plan).find(fmt::format("<memory unit='KiB'>{}</memory>", kibibytes)) != std::string::npos);
    }
}

TEST_CASE("the hash of a guest's hardware stays what it is from release to release") {
    CHECK(sample_plan().hardware_hash() == "0df4c7556cef0837e177f8356bd82eb3");
}

TEST_CASE("the hash tells a change of hardware, and nothing else") {
    struct Row {
        const char* name;
        bool hardware;
        std::function<void(DomainPlan&)> change;
    };
    const Row rows[] = {
        {"cpus", true, [](DomainPlan& p) { p.document.cpus = 3; }},
        {"memory", true, [](DomainPlan& p) { p.document.memory += kMiB; }},
        {"machine", true, [](DomainPlan& p) { p.document.machine = "pc-q35-8.0"; }},
        {"cpu model", true, [](DomainPlan& p) { p.document.cpu_model = "EPYC"; }},
        {"accelerator", true, [](DomainPlan& p) { p.document.accelerator = Accelerator::kvm; }},
        {"disk's slot", true, [](DomainPlan& p) { p.disks[0].document.slot = 9; }},
        {"disk's path", true, [](DomainPlan& p) { p.disks[0].path += "x"; }},
        {"disk's boot order", true, [](DomainPlan& p) { p.disks[0].document.boot_order = 2; }},
        {"disk more", true, [](DomainPlan& p) { p.disks.push_back(p.disks[0]); }},
        {"disk less", true, [](DomainPlan& p) { p.disks.clear(); }},
        {"MAC", true, [](DomainPlan& p) { p.nics[0].document.mac = "52:54:00:00:00:02"; }},
        {"mtu", true, [](DomainPlan& p) { p.nics[0].mtu = 1500; }},
        {"seed", true, [](DomainPlan& p) { p.seed_path = ""; }},
        {"name", false, [](DomainPlan& p) { p.document.name = "default/web2"; }},
        {"power", false, [](DomainPlan& p) { p.document.power = Power::stopped; }},
        {"start serial", false, [](DomainPlan& p) { p.document.start_serial = 7; }},
        {"revision", false, [](DomainPlan& p) { p.document.rev = 9999; }},
        {"epoch", false,
         [](DomainPlan& p) {
             p.document.epoch = {9, 9};
         }},
        {"policy", false, [](DomainPlan& p) { p.document.on_crash = OnCrash::stay_off; }},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        DomainPlan plan = sample_plan();
        row.change(plan);
        CHECK((plan.hardware_hash() != sample_plan().hardware_hash()) == row.hardware);
    }
}

TEST_CASE("what can come and go while the guest runs is not in the hash of what is fixed until its next start") {
    DomainPlan plan = sample_plan();
    plan.nics.clear();
    plan.disks.push_back(plan.disks[0]);
    plan.disks.back().document.boot_order = 0;
    CHECK(plan.fixed_hash() == sample_plan().fixed_hash());
    CHECK(plan.hardware_hash() != sample_plan().hardware_hash());
    plan.disks.back().document.boot_order = 2;
    CHECK(plan.fixed_hash() != sample_plan().fixed_hash());
    plan = sample_plan();
    plan.document.cpus = 9;
    CHECK(plan.fixed_hash() != sample_plan().fixed_hash());
}

TEST_CASE("libvirt is to change the owner of no disk, of no image below one, and of no seed") {
    const DomainPlan plan = sample_plan();
    for (const std::string& xml : {domain_xml(plan), disk_xml(plan.disks[0])}) {
        std::size_t sources = 0, left_alone = 0;
        for (std::size_t at = 0; (at = xml.find("<source file=", at)) != std::string::npos; ++at) ++sources;
        for (std::size_t at = 0; (at = xml.find("<seclabel model='dac' relabel='no'/>", at)) != std::string::npos; ++at)
            ++left_alone;
        CHECK(sources > 0);
        CHECK(sources == left_alone);
    }
}

TEST_CASE("no foreign text breaks out of its place") {
    DomainPlan plan = sample_plan();
    const std::string evil = "x'/><disk type=\"block\">&]]>\n\x01<!--";
    plan.document.name = plan.document.cluster = plan.document.cpu_model = plan.document.machine = evil;
    plan.disks[0].path = plan.disks[0].document.name = plan.disks[0].document.serial = evil;
    plan.nics[0].document.mac = plan.nics[0].document.name = plan.nics[0].tap = evil;
    plan.seed_path = plan.serial_log = plan.console_socket = plan.vnc_socket = evil;
    const std::string xml = domain_xml(plan);
    CHECK(xml.find("<disk type=\"block\">") == std::string::npos);
    CHECK(xml.find("<!--") == std::string::npos);
    CHECK(xml.find('\x01') == std::string::npos);
    const DomainReading reading = read_domain_xml(xml);
    CHECK(reading.ours);
    CHECK(reading.cluster == "x'/><disk type=\"block\">&]]><!--");
    CHECK(reading.hardware_hash == plan.hardware_hash());
}

TEST_CASE("what was written is read again") {
    const DomainPlan plan = sample_plan();
    const DomainReading reading = read_domain_xml(domain_xml(plan));
    CHECK(reading.ours);
    CHECK(reading.cluster == "c1");
    CHECK(reading.epoch == plan.document.epoch);
    CHECK(reading.rev == plan.document.rev);
    CHECK(reading.hardware_hash == plan.hardware_hash());
    REQUIRE(reading.disks.size() == 1);
    CHECK(reading.disks[0].name == "root");
    CHECK(reading.disks[0].volume == plan.disks[0].document.volume);
    CHECK(reading.fixed_hash == plan.fixed_hash());
    using LiveNic = DomainObservation::LiveNic;
    CHECK(reading.nics == std::vector{LiveNic{"eth0", "52:54:00:00:00:01", 1450}});
    CHECK(nic_element(domain_xml(plan), "eth0").value_or("").starts_with("<interface "));
    CHECK_FALSE(nic_element(domain_xml(plan), "root"));
    CHECK(disk_target(domain_xml(plan), "root").value_or("") == "vda");
    CHECK_FALSE(disk_target(domain_xml(plan), "data"));
}

TEST_CASE("only our own mark makes a domain ours") {
    const std::string xml = domain_xml(sample_plan());
    std::string other = xml;
    const std::string mark = kDomainMark;
    other.replace(other.find(mark), mark.size(), "urn:someone:else");
    for (const std::string& foreign :
         {std::string(), std::string("no XML"), std::string("<domain/>"),
          std::string("<domain><name>axle-018f</name><metadata/></domain>"),
          std::string("<domain><metadata><vm id='1'/></metadata></domain>"), xml.substr(0, xml.size() / 2), other}) {
        CAPTURE(foreign.size());
        CHECK_FALSE(read_domain_xml(foreign).ours);
    }
}

TEST_CASE("volumes are found in whatever domain names them, also below an overlay") {
    const DomainReading ours = read_domain_xml(domain_xml(sample_plan()));
    const VolumeId root = sample_plan().disks[0].document.volume;
    CHECK(ours.title == "default/web1");
    CHECK(ours.volumes == std::vector{root});
    const DomainReading theirs = read_domain_xml(
        "<domain><name>theirs</name><devices><disk type='file'><source file='/home/x/clone.qcow2'/>"
        "<backingStore type='file'><source file='/pool/volumes/018f0000-0000-7000-8000-000000000002.qcow2'/>"
        "<backingStore/></backingStore></disk><disk type='file'><source file='/home/x/other.raw'/></disk>"
        "</devices></domain>");
    CHECK_FALSE(theirs.ours);
    CHECK(theirs.title == "");
    CHECK(theirs.disks.empty());
    CHECK(theirs.volumes == std::vector{root});
}

TEST_CASE("a disk is found by our name for it, and only so") {
    const std::string xml = domain_xml(sample_plan());
    const auto root = disk_element(xml, "root");
    REQUIRE(root);
    CHECK(root->starts_with("<disk "));
    CHECK(root->find("018f0000000070008000") != std::string::npos);
    CHECK_FALSE(disk_element(xml, "data"));
    CHECK_FALSE(disk_element(xml, ""));
    CHECK_FALSE(disk_element("no XML", "root"));
}

TEST_CASE("every slot has a root port and a target name of its own") {
    DomainPlan plan = sample_plan();
    plan.disks.clear();
    plan.nics.clear();
    plan.seed_path = "";
    for (int slot = 1; slot <= kRootPorts; ++slot) {
        DomainPlan::Disk disk = sample_plan().disks[0];
        disk.document.slot = slot;
        plan.disks.push_back(disk);
    }
    const std::string xml = domain_xml(plan);
    for (const char* name : {"'vda'", "'vdz'", "'vdaa'", "'vdad'"}) {
        CAPTURE(name);
        CHECK(xml.find(fmt::format("<target dev={} bus='virtio'/>", name)) != std::string::npos);
    }
    CHECK(xml.find("bus='0x1e' slot='0x00'") != std::string::npos);
}

TEST_CASE("a guest that a migration brings bears a mark that its definition does not") {
    const DomainPlan plan = sample_plan();
    CHECK(read_domain_xml(incoming_domain_xml(plan)).incoming);
    CHECK(read_domain_xml(incoming_domain_xml(plan)).ours);
    CHECK(read_domain_xml(incoming_domain_xml(plan)).fixed_hash == plan.fixed_hash());
    CHECK_FALSE(read_domain_xml(domain_xml(plan)).incoming);
}

}  // namespace axle::test
