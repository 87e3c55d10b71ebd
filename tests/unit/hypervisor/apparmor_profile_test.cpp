// The profile that confines a guest: libvirt's own, and the sockets of its moves.
#include "agent/hypervisor/apparmor_profile.hpp"

#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "tests/support/temp_dir.hpp"

using namespace axle;

namespace {

const VmId kVm{*Uuid::parse("0190aaaa-0000-7000-8000-000000000001")};
// As Debian 12 has it.
constexpr const char* kTemplate = R"(#
# This profile is for the domain whose UUID matches this file.
#

#include <tunables/global>

profile LIBVIRT_TEMPLATE flags=(attach_disconnected) {
  #include <abstractions/libvirt-qemu>
}
)";

}  // namespace

TEST_CASE("a guest's profile is libvirt's, with its own files and the sockets of its own moves") {
    const auto text = profile_text(kTemplate, kVm, "/run/axle/moves");
    REQUIRE(text);
    CHECK(text->ends_with(R"(
profile libvirt-0190aaaa-0000-7000-8000-000000000001 flags=(attach_disconnected) {
  #include <abstractions/libvirt-qemu>
  #include <libvirt/libvirt-0190aaaa-0000-7000-8000-000000000001.files>
  "/run/axle/moves/0190aaaa-0000-7000-8000-000000000001.in/*.sock" rw,
  "/run/axle/moves/0190aaaa-0000-7000-8000-000000000001.out/*.sock" rw,
}
)"));
    CHECK_FALSE(profile_text("profile something {\n}\n", kVm, "/run/axle/moves"));
    CHECK_FALSE(profile_text("profile LIBVIRT_TEMPLATE", kVm, "/run/axle/moves"));
}

TEST_CASE("a profile is written where libvirt has its template, and goes with the guest") {
    const test::TempDir dir;
    const AppArmor armor{.profiles = dir.path(), .moves_folder = "/run/axle/moves"};
    CHECK(write_profile(armor, kVm));
    CHECK(list_directory(dir.path())->empty());
    REQUIRE(write_file_durably(dir / "TEMPLATE.qemu", kTemplate, 0644));
    for (int i = 0; i < 2; ++i) CHECK(write_profile(armor, kVm));
    const auto written = read_file(dir / ("libvirt-" + kVm.str()), 4096);
    REQUIRE(written);
    CHECK(*written == *profile_text(kTemplate, kVm, "/run/axle/moves"));
    REQUIRE(write_file_durably(dir / ("libvirt-" + kVm.str() + ".files"), "", 0644));
    forget_profile(armor, kVm);
    CHECK(list_directory(dir.path())->size() == 1);
}
