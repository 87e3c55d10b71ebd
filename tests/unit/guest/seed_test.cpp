#include "agent/guest/seed.hpp"

#include <doctest/doctest.h>

namespace axle::test {
namespace {

VmDocument vm() {
    VmDocument document;
    document.id.bytes[15] = 1;
    document.nics = {{.name = "eth0", .mac = "52:54:00:00:00:01"}, {.name = "eth1", .mac = "52:54:00:00:00:02"}};
    document.seed = {.instance_id = "i-1", .hostname = "web1", .ssh_keys = {"ssh-ed25519 AAAA me@home"}};
    return document;
}

TEST_CASE("a seed names the guest, lets its owner in and asks for addresses on every NIC") {
    const auto files = seed_files(vm());
    REQUIRE(files);
    CHECK(files->meta_data ==
          "instance-id: \"i-1\"\nlocal-hostname: \"web1\"\npublic-keys:\n  - \"ssh-ed25519 AAAA me@home\"\n");
    CHECK(files->user_data ==
          "#cloud-config\nhostname: \"web1\"\nssh_authorized_keys:\n  - \"ssh-ed25519 AAAA me@home\"\n");
    CHECK(files->network_config ==
          "version: 2\nethernets:\n"
          "  \"eth0\":\n    match: {macaddress: \"52:54:00:00:00:01\"}\n    dhcp4: true\n    dhcp-identifier: mac\n"
          "  \"eth1\":\n    match: {macaddress: \"52:54:00:00:00:02\"}\n    dhcp4: true\n    dhcp-identifier: mac\n");
}

TEST_CASE("user data is passed on as it is, and keys work beside it") {
    VmDocument document = vm();
    document.seed.user_data = "#!/bin/sh\necho \"hi\": {x}\n";
    const auto files = seed_files(document);
    REQUIRE(files);
    CHECK(files->user_data == document.seed.user_data);
    CHECK(files->meta_data.find("ssh-ed25519 AAAA") != std::string::npos);
}

TEST_CASE("no text breaks out of its place") {
    VmDocument document = vm();
    document.seed.hostname = "a\"\nruncmd: [reboot]\n#";
    document.seed.ssh_keys = {"ssh-rsa x\nbootcmd:\n - reboot", "\\"};
    document.nics[0].name = "a: b\"";
    const auto files = seed_files(document);
    REQUIRE(files);
    for (const std::string& text : {files->meta_data, files->user_data, files->network_config}) {
        CHECK(text.find("\nruncmd") == std::string::npos);
        CHECK(text.find("\nbootcmd") == std::string::npos);
    }
    CHECK(files->user_data.find("hostname: \"a\\\"\\nruncmd: [reboot]\\n#\"") != std::string::npos);
    CHECK(files->network_config.find("\"a: b\\\"\":") != std::string::npos);
}

TEST_CASE("too much user data is refused, and different content has another digest") {
    VmDocument document = vm();
    document.seed.user_data = std::string(600'000, 'x');
    CHECK(seed_files(document).error().code == Code::too_large);
    VmDocument other = vm();
    other.seed.instance_id = "i-2";
    CHECK(seed_files(vm())->digest() == seed_files(vm())->digest());
    CHECK(seed_files(vm())->digest() != seed_files(other)->digest());
}

}  // namespace
}  // namespace axle::test
