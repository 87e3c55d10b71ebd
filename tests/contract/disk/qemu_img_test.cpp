// What we write, QEMU finds right; what QEMU writes, we read.
#include <sys/stat.h>

#include <doctest/doctest.h>

#include "common/base/process.hpp"
#include "common/disk/format.hpp"
#include "common/disk/qcow2.hpp"
#include "common/disk/qcow2_overlay.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle::test {
namespace {

Result<std::string> qemu_img(std::vector<std::string> arguments) {
    return run_checked({.program = "qemu-img", .arguments = std::move(arguments)});
}

#define NEEDS_QEMU_IMG() \
    if (!qemu_img({"--version"})) SKIP_TEST("qemu-img is not installed (package qemu-utils)")

void make(const std::string& path, const Qcow2Plan& plan) {
    auto file = NewFile::create(path, "t");
    REQUIRE(file);
    REQUIRE(write_qcow2(*file, plan));
    REQUIRE(file->publish());
}

std::string problems(const std::string& path) {
    const auto checked = qemu_img({"check", "-f", "qcow2", path});
    return checked ? "" : checked.error().message;
}

TEST_CASE("an empty disk of any size passes qemu-img check, and takes next to no room") {
    NEEDS_QEMU_IMG();
    const TempDir dir;
    for (const std::int64_t size : {std::int64_t{512}, kMiB, kGiB, kGiB + 512, kTiB, 16 * kTiB, 64 * kTiB}) {
        CAPTURE(size);
        const std::string path = dir / std::to_string(size);
        make(path, {.size = size});
        CHECK(problems(path) == "");
        const auto info = qemu_img({"info", "-f", "qcow2", "--output=json", path});
        REQUIRE(info);
        CHECK(info->find("\"virtual-size\": " + std::to_string(size)) != std::string::npos);
        struct stat st {};
        REQUIRE(::stat(path.c_str(), &st) == 0);
        CHECK(st.st_blocks * 512 <= 3 * 65536);
        CHECK(*is_untouched_qcow2(path, {.size = size}));
    }
}

TEST_CASE("refcounts are right over several refcount blocks and tables") {
    NEEDS_QEMU_IMG();
    const TempDir dir;
    struct Row {
        std::int64_t size;
        unsigned cluster_bits;
    };
    for (const Row& row : {Row{64 * kGiB, 9}, Row{128 * kGiB, 9}, Row{kTiB, 12}, Row{8 * kTiB, 12}, Row{kTiB, 21}}) {
        CAPTURE(row.size);
        CAPTURE(row.cluster_bits);
        const std::string path = dir / fmt::format("{}-{}", row.size, row.cluster_bits);
        make(path, {.size = row.size, .cluster_bits = row.cluster_bits});
        CHECK(problems(path) == "");
    }
}

TEST_CASE("an overlay reads as its image, and what is written to it stays in it") {
    NEEDS_QEMU_IMG();
    const TempDir dir;
    REQUIRE(qemu_img({"create", "-q", "-f", "qcow2", dir / "image", "64M"}));
    REQUIRE(run_checked({.program = "qemu-io", .arguments = {"-f", "qcow2", "-c", "write -P 7 1M 1M", dir / "image"}}));
    const Qcow2Plan plan{.size = 10 * kGiB, .backing_file = "image"};
    make(dir / "overlay", plan);
    CHECK(problems(dir / "overlay") == "");
    const auto io = [&](const char* command) {
        return run_checked(
            {.program = "qemu-io", .arguments = {"-f", "qcow2", "-c", command, dir / "overlay"}, .directory = "/"});
    };
    const auto read = io("read -P 7 1M 1M");
    REQUIRE(read);
    CHECK(read->find("failed") == std::string::npos);
    CHECK(*is_untouched_qcow2(dir / "overlay", plan));
    REQUIRE(io("write -P 9 9G 64k"));
    CHECK_FALSE(*is_untouched_qcow2(dir / "overlay", plan));
    CHECK(problems(dir / "overlay") == "");
    const auto header = read_qcow2(dir / "overlay");
    REQUIRE(header);
    CHECK(header->backing_file == "image");
}

TEST_CASE("a backing path of 1023 bytes is kept whole") {
    NEEDS_QEMU_IMG();
    const TempDir dir;
    std::string path = "./";
    while (path.size() + 2 <= 1023 - 5) path += "./";
    path.resize(1023 - 5, '/');
    path += "image";
    REQUIRE(path.size() == 1023);
    REQUIRE(qemu_img({"create", "-q", "-f", "qcow2", dir / "image", "1M"}));
    make(dir / "overlay", {.size = kMiB, .backing_file = path});
    CHECK(problems(dir / "overlay") == "");
    CHECK(read_qcow2(dir / "overlay")->backing_file == path);
}

TEST_CASE("we read what qemu-img writes, and refuse of it what refers to other files") {
    NEEDS_QEMU_IMG();
    const TempDir dir;
    struct Row {
        std::string options;
        std::string reason;
    };
    REQUIRE(qemu_img({"create", "-q", "-f", "qcow2", dir / "base", "1M"}));
    const Row rows[] = {
        {"compat=0.10", ""},
        {"compat=1.1,cluster_size=512", ""},
        {"compat=1.1,cluster_size=2M", ""},
        {"lazy_refcounts=on", ""},
        {"compression_type=zstd,extended_l2=on", ""},
        {"backing_file=" + dir / "base" + ",backing_fmt=qcow2", "backing file"},
        {"data_file=" + dir / "data", "data file"},
        {"data_file=" + dir / "data" + ",data_file_raw=on", "data file"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.options);
        REQUIRE(qemu_img({"create", "-q", "-f", "qcow2", "-o", row.options, dir / "x", "100M"}));
        const auto header = read_qcow2(dir / "x");
        REQUIRE_MESSAGE(header, (header ? "" : header.error().message));
        CHECK(header->size == 100 * kMiB);
        CHECK(*read_format(dir / "x") == ImageFormat::qcow2);
        struct stat st {};
        REQUIRE(::stat((dir / "x").c_str(), &st) == 0);
        const auto safe = check_upload(*header, st.st_size, {});
        CHECK(safe.has_value() == row.reason.empty());
        if (!safe) CHECK(safe.error().message.find(row.reason) != std::string::npos);
    }
}

}  // namespace
}  // namespace axle::test
