// Screenshots, causes, and the choice of an accelerator.
#include <filesystem>
#include <zlib.h>

#include <doctest/doctest.h>

#include "agent/hypervisor/accelerator.hpp"
#include "agent/hypervisor/observe.hpp"
#include "agent/hypervisor/png.hpp"
#include "agent/hypervisor/qemu_user.hpp"
#include "common/base/file.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle::test {
namespace {

std::uint32_t be32(const std::string& bytes, std::size_t at) {
    std::uint32_t n = 0;
    for (std::size_t i = 0; i < 4; ++i) n = n << 8 | static_cast<unsigned char>(bytes.at(at + i));
    return n;
}

}  // namespace

TEST_CASE("whom QEMU runs as is what libvirt's configuration says, the last word of several") {
    CHECK(qemu_user_in("") == "");
    CHECK(qemu_user_in("#user = \"root\"\nuser_x = \"a\"\n") == "");
    CHECK(qemu_user_in("user = \"kvm\"\n  user=\"+64055\" # no\n") == "+64055");
    CHECK(qemu_user_in("user = kvm\nuser\n") == "");
}

TEST_CASE("a picture stays the same picture as PNG") {
    const std::string pixels = "abcdefghijklmnopqr";  // 3 x 2
    const auto png = png_from_ppm("P6\n3 2\n255\n" + pixels);
    REQUIRE(png);
    CHECK(png->substr(0, 8) == std::string("\x89PNG\r\n\x1a\n", 8));
    CHECK(png->substr(12, 4) == "IHDR");
    CHECK(be32(*png, 16) == 3);
    CHECK(be32(*png, 20) == 2);
    const std::size_t data = 8 + 25, size = be32(*png, data);
    CHECK(png->substr(data + 4, 4) == "IDAT");
    std::string rows(64, '\0');
    uLongf length = rows.size();
    REQUIRE(::uncompress(reinterpret_cast<Bytef*>(rows.data()), &length,
                         reinterpret_cast<const Bytef*>(png->data() + data + 8), size) == Z_OK);
    rows.resize(length);
    CHECK(rows == std::string(1, '\0') + "abcdefghi" + std::string(1, '\0') + "jklmnopqr");
    for (std::size_t at = 8; at < png->size();) {  // each chunk's checksum
        const std::size_t n = be32(*png, at);
        const auto sum = ::crc32(0, reinterpret_cast<const Bytef*>(png->data() + at + 4), static_cast<uInt>(n + 4));
        CHECK(be32(*png, at + 8 + n) == sum);
        at += 12 + n;
    }
    CHECK(png->substr(png->size() - 8, 4) == "IEND");
}

TEST_CASE("what is no picture is refused") {
    for (const std::string& bytes :
         {std::string(), std::string("P6"), std::string("P5\n1 1\n255\nabc"), std::string("P6\n1 1\n65535\nabcdef"),
          std::string("P6\n0 1\n255\n"), std::string("P6\n2 2\n255\nabc"), std::string("P6\n99999 99999\n255\nabc"),
          std::string("P6\n99999999999 1\n255\nabc"), std::string("P6\n-1 1\n255\nabc"),
          std::string("P6\nx 1\n255\n")}) {
        CAPTURE(bytes);
        const auto png = png_from_ppm(bytes);
        REQUIRE_FALSE(png);
        CHECK(png.error().code == Code::corrupt);
    }
}

TEST_CASE("what libvirt says of an end is told by its cause") {
    struct Row {
        int event, detail;
        RunEnd cause;
    };
    for (const Row& row :
         {Row{VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, RunEnd::guest_shutdown},
          Row{VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED, RunEnd::destroyed},
          Row{VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_CRASHED, RunEnd::crashed},
          Row{VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED, RunEnd::failed},
          Row{VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_MIGRATED, RunEnd::unknown},
          Row{VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_PANICKED, RunEnd::crashed},
          Row{VIR_DOMAIN_EVENT_SHUTDOWN, VIR_DOMAIN_EVENT_SHUTDOWN_GUEST, RunEnd::none},
          Row{VIR_DOMAIN_EVENT_STARTED, 0, RunEnd::none}, Row{VIR_DOMAIN_EVENT_SUSPENDED, 0, RunEnd::none}}) {
        CAPTURE(row.event);
        CAPTURE(row.detail);
        CHECK(run_end_of_event(row.event, row.detail) == row.cause);
    }
    CHECK(run_end(VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN) == RunEnd::guest_shutdown);
    CHECK(run_end(VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DESTROYED) == RunEnd::destroyed);
    CHECK(run_end(VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED) == RunEnd::crashed);
    CHECK(run_end(VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED) == RunEnd::failed);
    CHECK(run_end(VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_UNKNOWN) == RunEnd::unknown);
    CHECK(run_end(VIR_DOMAIN_RUNNING, 0) == RunEnd::none);
    CHECK(domain_state(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER) == DomainState::paused);
    CHECK(domain_state(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_CRASHED) == DomainState::crashed);
    CHECK(domain_state(VIR_DOMAIN_SHUTDOWN, 0) == DomainState::stopping);
    CHECK(domain_state(VIR_DOMAIN_SHUTOFF, 0) == DomainState::shut_off);
}

TEST_CASE("a KVM that isn't Intel's or AMD's is not used, and the reason is told") {
    const TempDir dir;
    const AcceleratorFinding none = find_accelerator(dir.path(), dir / "no-kvm");
    CHECK(none.accelerator == Accelerator::qemu);
    CHECK(none.why.find("kvm_intel") != std::string::npos);
    const AcceleratorFinding odd = find_accelerator(dir.path(), "/dev/null");  // opens: another's KVM
    CHECK(odd.accelerator == Accelerator::qemu);
    CHECK(odd.why.find("can't be trusted") != std::string::npos);
    std::filesystem::create_directory(dir / "kvm_amd");
    const AcceleratorFinding closed = find_accelerator(dir.path(), dir / "no-kvm");
    CHECK(closed.accelerator == Accelerator::qemu);
    CHECK(closed.why.find("does not open") != std::string::npos);
    const AcceleratorFinding deaf = find_accelerator(dir.path(), "/dev/null");
    CHECK(deaf.accelerator == Accelerator::qemu);
    CHECK(deaf.why.find("makes no VM") != std::string::npos);
}

TEST_CASE("a KVM that the guests' user may not open is told with its owner and mode") {
    constexpr unsigned kNobody = 65534;
    const TempDir dir;
    const std::string device = dir / "kvm";
    CHECK(why_shut_to(kNobody, device) == "");  // there is none
    REQUIRE(write_file_durably(device, ""));
    CHECK(why_shut_to(kNobody, device).find("with mode 0600") != std::string::npos);
    CHECK(why_shut_to(0, device) == "");
    CHECK(why_shut_to(4123456789U, device) == "");  // nobody has this number
    std::filesystem::permissions(device, std::filesystem::perms{0640});
    CHECK(why_shut_to(kNobody, device).find("with mode 0640") != std::string::npos);
    std::filesystem::permissions(device, std::filesystem::perms{0666});
    CHECK(why_shut_to(kNobody, device) == "");
}

TEST_CASE("the configuration overrides which accelerator is used, and the reason tells both") {
    const AcceleratorFinding found{Accelerator::qemu, "no /dev/kvm"};
    CHECK(choose_accelerator({}, found).why == "no /dev/kvm");
    CHECK(choose_accelerator(Accelerator::qemu, found).why == "no /dev/kvm");
    const AcceleratorFinding stated = choose_accelerator(Accelerator::kvm, found);
    CHECK(stated.accelerator == Accelerator::kvm);
    CHECK(stated.why == "the configuration says \"accelerator: kvm\"; found: no /dev/kvm");
}

}  // namespace axle::test
