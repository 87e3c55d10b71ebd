#include "common/disk/qcow2.hpp"

#include <doctest/doctest.h>

#include "common/disk/format.hpp"
#include "common/disk/qcow2_overlay.hpp"

namespace axle::test {
namespace {

std::string blank(std::int64_t size = kGiB, unsigned cluster_bits = 16) {
    auto bytes = lay_out_qcow2({.size = size, .cluster_bits = cluster_bits});
    REQUIRE(bytes);
    return bytes->head;
}
std::int64_t blank_size(std::int64_t size = kGiB) {
    return lay_out_qcow2({.size = size})->file_size;
}

std::string with(std::string head, std::size_t offset, std::uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) head.at(offset + i) = static_cast<char>(value >> (8 * (size - 1 - i)) & 0xff);
    return head;
}

TEST_CASE("what we write, we read") {
    const auto written =
        lay_out_qcow2({.size = 10 * kGiB, .backing_file = "../images/a.qcow2", .backing_format = "qcow2"});
    REQUIRE(written);
    const auto header = parse_qcow2(written->head);
    REQUIRE(header);
    CHECK(header->version == 3);
    CHECK(header->size == 10 * kGiB);
    CHECK(header->backing_file == "../images/a.qcow2");
    CHECK(header->backing_format == "qcow2");
    CHECK(header->l1_entries == 20);
    CHECK_FALSE(header->has_data_file());
    CHECK_FALSE(header->dirty());
}

TEST_CASE("a header cut off anywhere is refused, and the field named") {
    const std::string head = blank();
    for (std::size_t length = 0; length < 112; ++length) {
        CAPTURE(length);
        const auto header = parse_qcow2(std::string_view(head).substr(0, length));
        REQUIRE_FALSE(header);
        CHECK(header.error().code == Code::malformed);
        CHECK(header.error().message.starts_with("qcow2 header: "));
    }
    CHECK(parse_qcow2(std::string_view(head).substr(0, 30)).error().message.find("size") != std::string::npos);
    CHECK(parse_qcow2(std::string_view(head).substr(0, 50)).error().message.find("refcount_table_offset") !=
          std::string::npos);
}

TEST_CASE("a field out of its bounds is refused and named") {
    struct Row {
        std::string field;
        std::size_t offset;
        std::uint64_t value;
        unsigned size;
    };
    const Row rows[] = {
        {"magic", 0, 0x514649fa, 4},
        {"version", 4, 1, 4},
        {"version", 4, 4, 4},
        {"cluster_bits", 20, 8, 4},
        {"cluster_bits", 20, 22, 4},
        {"cluster_bits", 20, 0xffffffff, 4},
        {"crypt_method", 32, 3, 4},
        {"refcount_order", 96, 7, 4},
        {"header_length", 100, 72, 4},
        {"header_length", 100, 0xfffffff8, 4},
        {"header_length", 100, 113, 4},
        {"compression_type", 104, 2, 1},
        {"backing_file_offset", 8, 65537, 8},
        {"backing_file_offset", 8, ~std::uint64_t{0}, 8},
    };
    for (const Row& row : rows) {
        CAPTURE(row.field);
        CAPTURE(row.value);
        const std::string head = row.offset == 8 ? with(blank(), 16, 10, 4) : blank();
        const auto header = parse_qcow2(with(head, row.offset, row.value, row.size));
        REQUIRE_FALSE(header);
        CHECK(header.error().code == Code::malformed);
        CHECK(header.error().message.find(row.field) != std::string::npos);
    }
    CHECK(parse_qcow2(with(with(blank(), 8, 200, 8), 16, 1024, 4)).error().message.find("backing_file_size is 1024") !=
          std::string::npos);
}

TEST_CASE("header extensions that run over, or never end, are refused") {
    CHECK_FALSE(parse_qcow2(with(with(blank(), 112, 0x12345678, 4), 116, 0xffffffff, 4)));
    std::string endless = blank();
    for (std::size_t offset = 112; offset + 8 <= 65536; offset += 8) endless = with(endless, offset, 0x12345678, 4);
    const auto header = parse_qcow2(endless);
    REQUIRE_FALSE(header);
    CHECK(header.error().message.find("extensions") != std::string::npos);
    CHECK(parse_qcow2(with(with(blank(), 112, 0x12345678, 4), 116, 20, 4)));  // unknown ones are skipped
}

TEST_CASE("an upload that refers to anything, or whose numbers lie, is refused with the reason") {
    struct Row {
        std::string reason;
        std::string head;
        std::int64_t file_size;
    };
    const std::int64_t size = blank_size();
    std::string backing = lay_out_qcow2({.size = kGiB, .backing_file = "/etc/shadow", .backing_format = "raw"})->head;
    std::string data_file = with(with(with(blank(), 112, 0x44415441, 4), 116, 11, 4), 79, 4, 1);
    data_file.replace(120, 11, "/etc/shadow");
    const Row rows[] = {
        {"backing file (/etc/shadow)", backing, size},
        {"external data file (/etc/shadow)", data_file, size},
        {"external data file", with(blank(), 79, 4, 1), size},
        {"is encrypted", with(blank(), 32, 1, 4), size},
        {"incompatible bits 0x20", with(blank(), 79, 32, 1), size},
        {"marked corrupt", with(blank(), 79, 2, 1), size},
        {"at most 16 TiB are taken", with(blank(), 24, std::uint64_t{1} << 60, 8), size},
        {"size of 0 bytes", with(blank(), 24, 0, 8), size},
        {"internal snapshots", with(blank(), 60, 65, 4), size},
        {"L1 table has 4294967295 entries", with(blank(), 36, 0xffffffff, 4), size},
        {"L1 table has 1 entries, its disk needs 2", with(blank(), 36, 1, 4), size},
        {"L1 table of 16 bytes at 1099511627776 lies beyond", with(blank(), 40, std::uint64_t{1} << 40, 8), size},
        {"L1 table at 7", with(blank(), 40, 7, 8), size},
        {"refcount table has 0 clusters", with(blank(), 56, 0, 4), size},
        {"refcount table has 4294967295 clusters", with(blank(), 56, 0xffffffff, 4), size},
        {"refcount table of 65536 bytes", with(blank(), 48, std::uint64_t{1} << 62, 8), size},
        {"snapshot table", with(with(blank(), 60, 1, 4), 64, std::uint64_t{1} << 50, 8), size},
        {"truncated", blank(), 1000},
    };
    for (const Row& row : rows) {
        CAPTURE(row.reason);
        const auto header = parse_qcow2(row.head);
        REQUIRE(header);
        const auto safe = check_upload(*header, row.file_size, {});
        REQUIRE_FALSE(safe);
        CAPTURE(safe.error().message);
        CHECK(safe.error().code == Code::invalid);
        CHECK((safe.error().message + safe.error().hint).find(row.reason) != std::string::npos);
    }
    CHECK(check_upload(*parse_qcow2(blank()), size, {}));
    CHECK(check_upload(*parse_qcow2(with(blank(), 79, 1, 1)), size, {}));  // dirty only
}

TEST_CASE("a disk that a qcow2 file can't hold is refused") {
    CHECK_FALSE(lay_out_qcow2({.size = 0}));
    CHECK_FALSE(lay_out_qcow2({.size = -512}));
    CHECK_FALSE(lay_out_qcow2({.size = 1000}));
    CHECK_FALSE(lay_out_qcow2({.size = kTiB, .cluster_bits = 9}));
    CHECK_FALSE(lay_out_qcow2({.size = kTiB, .cluster_bits = 8}));
    CHECK(lay_out_qcow2({.size = kGiB, .backing_file = std::string(1023, 'a')}));
    const auto refused = lay_out_qcow2({.size = kGiB, .backing_file = std::string(1024, 'a')});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("1024") != std::string::npos);
}

TEST_CASE("formats are told by their bytes") {
    const auto at = [](std::size_t offset, std::string_view mark) {
        std::string bytes(64 << 10, '\0');
        bytes.replace(offset, mark.size(), mark);
        return bytes;
    };
    std::string mbr = at(510, "\x55\xaa");
    mbr[446] = '\x80';
    mbr[450] = '\x83';
    CHECK(detect_format(blank(), "") == ImageFormat::qcow2);
    CHECK(detect_format(mbr, "") == ImageFormat::raw_disk);
    CHECK(detect_format(at(510, "\x55\xaa"), "") == ImageFormat::unknown);  // a boot sector alone
    CHECK(detect_format(at(512, "EFI PART"), "") == ImageFormat::raw_disk);
    CHECK(detect_format(at(32769, "CD001"), "") == ImageFormat::iso);
    CHECK(detect_format(at(0, "KDMV"), "") == ImageFormat::vmdk);
    CHECK(detect_format(at(0, "# Disk DescriptorFile\nversion=1"), "") == ImageFormat::vmdk);
    CHECK(detect_format(at(64, "\x7f\x10\xda\xbe"), "") == ImageFormat::vdi);
    CHECK(detect_format(at(0, "vhdxfile"), "") == ImageFormat::vhdx);
    CHECK(detect_format(at(0, "x"), "conectix") == ImageFormat::vhd);
    CHECK(detect_format("\xfd"
                        "7zXZ" +
                            std::string(1, '\0'),
                        "") == ImageFormat::xz);
    CHECK(detect_format("", "") == ImageFormat::unknown);
}

}  // namespace
}  // namespace axle::test
