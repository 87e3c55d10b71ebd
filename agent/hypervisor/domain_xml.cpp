#include "agent/hypervisor/domain_xml.hpp"

#include <array>

#include "common/base/ensure.hpp"
#include "common/base/units.hpp"

namespace axle {
namespace {

std::string escaped(std::string_view text) {
    std::string out;
    for (char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\'':
                out += "&apos;";
                break;
            default:
                if (static_cast<unsigned char>(c) >= 0x20) out += c;
        }
    }
    return out;
}

// Elements with attributes; every foreign text goes through escaped().
class Xml {
  public:
    using Attributes = std::initializer_list<std::pair<const char*, std::string_view>>;

    Xml& open(const char* name, Attributes attributes = {}) { return tag(name, attributes, ">\n"); }
    Xml& empty(const char* name, Attributes attributes = {}) { return tag(name, attributes, "/>\n"); }
    Xml& close(const char* name) { return out_ += fmt::format("</{}>\n", name), *this; }
    Xml& text(const char* name, std::string_view content, Attributes attributes = {}) {
        tag(name, attributes, ">");
        out_ += escaped(content);
        return close(name);
    }
    std::string take() { return std::move(out_); }

  private:
    Xml& tag(const char* name, Attributes attributes, const char* end) {
        out_ += fmt::format("<{}", name);
        for (const auto& [key, value] : attributes) out_ += fmt::format(" {}='{}'", key, escaped(value));
        out_ += end;
        return *this;
    }
    std::string out_;
};

std::string number(std::int64_t n) {
    return std::to_string(n);
}

// 30 root ports on bus 0, eight functions a slot from slot 2 on; bus N is behind port N.
void add_ports(Xml& xml) {
    xml.empty("controller", {{"type", "pci"}, {"index", "0"}, {"model", "pcie-root"}});
    for (int port = 1; port <= kRootPorts; ++port) {
        const std::string slot = fmt::format("{:#04x}", 2 + (port - 1) / 8),
                          function = fmt::format("{:#x}", (port - 1) % 8);
        xml.open("controller", {{"type", "pci"}, {"index", number(port)}, {"model", "pcie-root-port"}});
        xml.empty("target", {{"chassis", number(port)}, {"port", fmt::format("{:#x}", port)}});
        if ((port - 1) % 8 == 0)
            xml.empty("address", {{"type", "pci"},
                                  {"domain", "0x0000"},
                                  {"bus", "0x00"},
                                  {"slot", slot},
                                  {"function", function},
                                  {"multifunction", "on"}});
        else
            xml.empty("address",
                      {{"type", "pci"}, {"domain", "0x0000"}, {"bus", "0x00"}, {"slot", slot}, {"function", function}});
        xml.close("controller");
    }
}

void at_port(Xml& xml, std::int64_t slot) {
    ENSURE(slot >= 1 && slot <= kRootPorts, "a device's slot is one of the root ports");
    xml.empty("address", {{"type", "pci"},
                          {"domain", "0x0000"},
                          {"bus", fmt::format("{:#04x}", slot)},
                          {"slot", "0x00"},
                          {"function", "0x0"}});
}
// A device of the machine itself: an endpoint on bus 0.
void at_root(Xml& xml, int slot) {
    xml.empty("address", {{"type", "pci"},
                          {"domain", "0x0000"},
                          {"bus", "0x00"},
                          {"slot", fmt::format("{:#04x}", slot)},
                          {"function", "0x0"}});
}

std::string target_of(std::int64_t slot) {
    return slot <= 26 ? fmt::format("vd{}", static_cast<char>('a' + slot - 1))
                      : fmt::format("vda{}", static_cast<char>('a' + slot - 27));
}

// libvirt changes nobody's owner and mode, neither this file's nor those of what it overlays: a cached image is many
// guests', and may be a second name of its original. Who makes the files gives them to QEMU.
void add_source(Xml& xml, const std::string& path) {
    xml.open("source", {{"file", path}}).empty("seclabel", {{"model", "dac"}, {"relabel", "no"}}).close("source");
}

void add_disk(Xml& xml, const DomainPlan::Disk& disk) {
    const VmDocumentDisk& d = disk.document;
    xml.open("disk", {{"type", "file"}, {"device", "disk"}});
    xml.empty("driver", {{"name", "qemu"},
                         {"type", text_of(d.format)},
                         {"cache", "none"},
                         {"io", "native"},
                         {"discard", "unmap"},
                         {"error_policy", "enospace"},
                         {"rerror_policy", "report"}});
    add_source(xml, disk.path);
    xml.empty("target", {{"dev", target_of(d.slot)}, {"bus", "virtio"}});
    xml.text("serial", d.serial);
    if (d.boot_order > 0) xml.empty("boot", {{"order", number(d.boot_order)}});
    xml.empty("alias", {{"name", "ua-disk-" + d.name}});
    at_port(xml, d.slot);
    xml.close("disk");
}

void add_seed(Xml& xml, const DomainPlan& plan) {
    if (plan.seed_path.empty()) return;
    xml.open("disk", {{"type", "file"}, {"device", "disk"}});
    xml.empty("driver", {{"name", "qemu"}, {"type", "raw"}});
    add_source(xml, plan.seed_path);
    xml.empty("target", {{"dev", target_of(plan.document.seed_slot)}, {"bus", "virtio"}});
    xml.empty("readonly");
    xml.empty("alias", {{"name", "ua-seed"}});
    at_port(xml, plan.document.seed_slot);
    xml.close("disk");
}

void add_nic(Xml& xml, const DomainPlan::Nic& nic) {
    xml.open("interface", {{"type", "ethernet"}});
    xml.empty("mac", {{"address", nic.document.mac}});
    xml.empty("target",
              {{"dev", nic.tap}, {"managed", "no"}});  // the Network edge has made the tap and put it on its bridge
    xml.empty("model", {{"type", "virtio"}});
    xml.empty("mtu", {{"size", number(nic.mtu)}});
    xml.empty("alias", {{"name", "ua-nic-" + nic.document.name}});
    at_port(xml, nic.document.slot);
    xml.close("interface");
}

void add_machine_devices(Xml& xml, const DomainPlan& plan) {
    xml.empty("controller", {{"type", "usb"}, {"model", "none"}});
    xml.open("controller", {{"type", "virtio-serial"}, {"index", "0"}});
    at_root(xml, 8);
    xml.close("controller");
    xml.open("serial", {{"type", "unix"}});
    xml.empty("source", {{"mode", "bind"}, {"path", plan.console_socket}});
    if (!plan.serial_log.empty()) xml.empty("log", {{"file", plan.serial_log}, {"append", "on"}});
    xml.empty("target", {{"type", "isa-serial"}, {"port", "0"}});
    xml.close("serial");
    xml.open("channel", {{"type", "unix"}});
    xml.empty("target", {{"type", "virtio"}, {"name", "org.qemu.guest_agent.0"}});
    xml.close("channel");
    xml.open("graphics", {{"type", "vnc"}});
    xml.empty("listen", {{"type", "socket"}, {"socket", plan.vnc_socket}});
    xml.close("graphics");
    xml.open("video").empty("model", {{"type", "vga"}});
    at_root(xml, 1);
    xml.close("video");
    xml.open("memballoon", {{"model", "virtio"}});
    at_root(xml, 9);
    xml.close("memballoon");
    xml.open("rng", {{"model", "virtio"}}).text("backend", "/dev/urandom", {{"model", "random"}});
    at_root(xml, 10);
    xml.close("rng");
    xml.empty("panic", {{"model", "isa"}});
}

void add_mark(Xml& xml, const DomainPlan& plan, bool incoming) {
    const VmDocument& d = plan.document;
    xml.open("metadata");
    xml.empty("axle:vm", {{"xmlns:axle", kDomainMark},
                          {"cluster", d.cluster},
                          {"id", d.id.str()},
                          {"incarnation", std::to_string(d.epoch.incarnation)},
                          {"revision", std::to_string(d.epoch.revision)},
                          {"rev", std::to_string(d.rev)},
                          {"name", d.name},
                          {"hardware", plan.hardware_hash()},
                          {"fixed", plan.fixed_hash()}});
    if (incoming) xml.empty("axle:incoming", {{"xmlns:axle", kIncomingMark}});
    xml.close("metadata");
}

std::string whole_xml(const DomainPlan& plan, bool incoming) {
    const VmDocument& d = plan.document;
    Xml xml;
    xml.open("domain", {{"type", text_of(d.accelerator)}});
    xml.text("name", domain_name(d.id)).text("uuid", d.id.str()).text("title", d.name);
    add_mark(xml, plan, incoming);
    // Whole MiB, rounded up: libvirt rounds the machine and its memory differently, and such a guest can't move.
    const std::int64_t mebibytes = (d.memory + kMiB - 1) / kMiB;
    xml.text("memory", number(mebibytes * 1024), {{"unit", "KiB"}}).text("vcpu", number(d.cpus));
    xml.open("os").text("type", "hvm", {{"arch", "x86_64"}, {"machine", d.machine}}).close("os");
    xml.open("features").empty("acpi").empty("apic").close("features");
    xml.open("cpu", {{"mode", "custom"}, {"match", "exact"}, {"check", "none"}})
        .text("model", d.cpu_model, {{"fallback", "forbid"}})
        .close("cpu");
    xml.empty("clock", {{"offset", "utc"}});
    xml.text("on_poweroff", "destroy").text("on_reboot", "restart").text("on_crash", "destroy");
    // A guest that suspends itself would look paused and wake by nobody's wish.
    xml.open("pm")
        .empty("suspend-to-mem", {{"enabled", "no"}})
        .empty("suspend-to-disk", {{"enabled", "no"}})
        .close("pm");
    xml.open("devices");
    add_ports(xml);
    for (const auto& disk : plan.disks) add_disk(xml, disk);
    add_seed(xml, plan);
    for (const auto& nic : plan.nics) add_nic(xml, nic);
    add_machine_devices(xml, plan);
    xml.close("devices").close("domain");
    return xml.take();
}

}  // namespace

std::string domain_name(VmId id) {
    return "axle-" + id.str();
}

std::string disk_xml(const DomainPlan::Disk& disk) {
    Xml xml;
    add_disk(xml, disk);
    return xml.take();
}

std::string nic_xml(const DomainPlan::Nic& nic) {
    Xml xml;
    add_nic(xml, nic);
    return xml.take();
}

std::string domain_xml(const DomainPlan& plan) {
    return whole_xml(plan, false);
}

std::string incoming_domain_xml(const DomainPlan& plan) {
    return whole_xml(plan, true);
}

}  // namespace axle
