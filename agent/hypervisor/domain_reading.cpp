// Our own XML as libvirt gives it back, read with libxml2 (no network, no entities).
#include <charconv>
#include <filesystem>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <memory>

#include "agent/hypervisor/domain_xml.hpp"

namespace axle {
namespace {

using Document = std::unique_ptr<xmlDoc, decltype(&xmlFreeDoc)>;

Document parse(const std::string& xml) {
    return {xmlReadMemory(xml.data(), static_cast<int>(xml.size()), nullptr, nullptr,
                          XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING),
            &xmlFreeDoc};
}
bool is(const xmlNode* node, const char* name) {
    return node->type == XML_ELEMENT_NODE && xmlStrEqual(node->name, reinterpret_cast<const xmlChar*>(name)) != 0;
}
xmlNode* child(const xmlNode* of, const char* name) {
    for (xmlNode* c = of != nullptr ? of->children : nullptr; c != nullptr; c = c->next) {
        if (is(c, name)) return c;
    }
    return nullptr;
}
std::string attribute(const xmlNode* of, const char* name) {
    xmlChar* value = of != nullptr ? xmlGetProp(of, reinterpret_cast<const xmlChar*>(name)) : nullptr;
    std::string text = value != nullptr ? reinterpret_cast<const char*>(value) : "";
    xmlFree(value);
    return text;
}
std::uint64_t number(const std::string& text) {
    std::uint64_t n = 0;
    std::from_chars(text.data(), text.data() + text.size(), n);
    return n;
}

constexpr std::string_view kDiskAlias = "ua-disk-", kNicAlias = "ua-nic-";

bool is_marked(const xmlNode* node, const char* name, const char* space) {
    return is(node, name) && node->ns != nullptr &&
           xmlStrEqual(node->ns->href, reinterpret_cast<const xmlChar*>(space)) != 0;
}

void read_mark(const xmlNode* root, DomainReading& reading) {
    const xmlNode* metadata = child(root, "metadata");
    for (const xmlNode* c = metadata != nullptr ? metadata->children : nullptr; c != nullptr; c = c->next) {
        if (is_marked(c, "incoming", kIncomingMark)) reading.incoming = true;
        if (!is_marked(c, "vm", kDomainMark)) continue;
        reading.ours = true;
        reading.cluster = attribute(c, "cluster");
        reading.hardware_hash = attribute(c, "hardware");
        reading.fixed_hash = attribute(c, "fixed");
        reading.epoch = {number(attribute(c, "incarnation")), number(attribute(c, "revision"))};
        reading.rev = number(attribute(c, "rev"));
    }
}

// The device of this kind that bears this alias, or null.
xmlNode* device(const Document& document, const char* kind, const std::string& alias) {
    const xmlNode* root = document ? xmlDocGetRootElement(document.get()) : nullptr;
    const xmlNode* devices = child(root, "devices");
    for (xmlNode* c = devices != nullptr ? devices->children : nullptr; c != nullptr; c = c->next) {
        if (is(c, kind) && attribute(child(c, "alias"), "name") == alias) return c;
    }
    return nullptr;
}

std::string text_of_child(const xmlNode* of, const char* name) {
    xmlChar* content = xmlNodeGetContent(child(of, name));
    std::string text = content != nullptr ? reinterpret_cast<const char*>(content) : "";
    xmlFree(content);
    return text;
}

// Not of a seed, which is called by its guest's id.
std::optional<Uuid> volume_of(const xmlNode* layer) {
    const std::filesystem::path file = attribute(child(layer, "source"), "file");
    if (file.extension() != ".qcow2" && file.extension() != ".raw") return std::nullopt;
    return Uuid::parse(file.stem().string());
}

std::optional<std::string> element_of(const std::string& xml, const char* kind, const std::string& alias) {
    const Document document = parse(xml);
    xmlNode* found = device(document, kind, alias);
    if (found == nullptr) return std::nullopt;
    const std::unique_ptr<xmlBuffer, decltype(&xmlBufferFree)> buffer(xmlBufferCreate(), &xmlBufferFree);
    xmlNodeDump(buffer.get(), document.get(), found, 0, 0);
    return reinterpret_cast<const char*>(xmlBufferContent(buffer.get()));
}

}  // namespace

DomainReading read_domain_xml(const std::string& xml) {
    DomainReading reading;
    const Document document = parse(xml);
    const xmlNode* root = document ? xmlDocGetRootElement(document.get()) : nullptr;
    if (root == nullptr) return reading;
    read_mark(root, reading);
    reading.title = text_of_child(root, "title");
    const xmlNode* devices = child(root, "devices");
    for (const xmlNode* c = devices != nullptr ? devices->children : nullptr; c != nullptr; c = c->next) {
        const std::string alias = attribute(child(c, "alias"), "name");
        if (is(c, "disk")) {
            for (const xmlNode* layer = c; layer != nullptr; layer = child(layer, "backingStore")) {
                if (const auto volume = volume_of(layer)) reading.volumes.push_back(VolumeId{*volume});
            }
            if (const auto volume = volume_of(c); volume && alias.starts_with(kDiskAlias))
                reading.disks.push_back({alias.substr(kDiskAlias.size()), VolumeId{*volume}});
        } else if (is(c, "interface") && alias.starts_with(kNicAlias)) {
            reading.nics.push_back({alias.substr(kNicAlias.size()), attribute(child(c, "mac"), "address"),
                                    static_cast<std::int64_t>(number(attribute(child(c, "mtu"), "size")))});
        }
    }
    return reading;
}

std::optional<std::string> disk_element(const std::string& xml, const std::string& disk_name) {
    return element_of(xml, "disk", std::string(kDiskAlias) + disk_name);
}
std::optional<std::string> nic_element(const std::string& xml, const std::string& nic_name) {
    return element_of(xml, "interface", std::string(kNicAlias) + nic_name);
}

std::optional<std::string> disk_target(const std::string& xml, const std::string& disk_name) {
    const Document document = parse(xml);
    const xmlNode* disk = device(document, "disk", std::string(kDiskAlias) + disk_name);
    if (disk == nullptr) return std::nullopt;
    return attribute(child(disk, "target"), "dev");
}

}  // namespace axle
