// What is hostile or damaged is refused in words, and nothing is left behind.
#include "tests/contract/images/fixtures.hpp"

namespace axle::test {
namespace {

void patch(const std::string& path, std::size_t offset, std::string_view bytes) {
    auto content = *read_file(path, 1 << 30);
    content.replace(offset, bytes.size(), bytes);
    REQUIRE(write_file_durably(path, content));
}

TEST_CASE("a hostile or damaged upload is refused with the reason, and leaves nothing") {
    NEEDS_TOOLS();
    using namespace std::string_view_literals;
    Room room;
    room.make_disk();
    const auto copy = [&](const std::string& name) {
        std::filesystem::copy_file(room.dir / "disk.qcow2", room.dir / name);
        return room.dir / name;
    };
    struct Row {
        std::string name, reason;
        std::function<void(const std::string& path)> make;
    };
    const auto create = [](std::vector<std::string> words) {
        return [words](const std::string& path) {
            std::vector<std::string> all = {"create", "-q"};
            all.insert(all.end(), words.begin(), words.end());
            all.push_back(path);
            all.emplace_back("8M");
            // On a busy machine QEMU can't measure how long a key for LUKS takes, and gives up.
            auto made = qemu_img(all);
            for (int i = 0; !made && i < 50; ++i) made = qemu_img(all);
            REQUIRE(made);
        };
    };
    const auto patched = [&](std::size_t offset, std::string_view bytes) {
        return [&copy, &room, offset, bytes](const std::string& path) {
            std::filesystem::copy_file(room.dir / "disk.qcow2", path);
            patch(path, offset, bytes);
        };
    };
    const auto text = [](std::string content) {
        return [content](const std::string& path) { REQUIRE(write_file_durably(path, content)); };
    };
    const auto truncated = [&](std::uintmax_t size) {
        return [&room, size](const std::string& path) {
            std::filesystem::copy_file(room.dir / "disk.qcow2", path);
            std::filesystem::resize_file(path, size);
        };
    };
    const std::string kVmdk =
        "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"
        "RW 4 FLAT \"/etc/shadow\" 0\n";
    const Row rows[] = {
        {"backing", "backing file (/etc/shadow)", create({"-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow"})},
        {"json-backing", "backing file",
         create({"-u", "-f", "qcow2", "-F", "raw", "-b", "json:{\"driver\":\"file\"}"})},
        {"data-file", "data file", create({"-f", "qcow2", "-o", "data_file=" + room.dir / "data"})},
        {"luks", "encrypted",
         create({"--object", "secret,id=s,data=x", "-f", "qcow2", "-o", "encrypt.format=luks,encrypt.key-secret=s"})},
        {"huge", "at most 16 TiB are taken", patched(24, "\x10\0\0\0\0\0\0\0"sv)},
        {"huge-l1", "L1 table has 4294967295 entries", patched(36, "\xff\xff\xff\xff"sv)},
        {"l1-beyond", "beyond the end of the file", patched(40, "\0\0\1\0\0\0\0\0"sv)},
        {"l1-garbage", "can't be read", patched(0x30000, "\xff\xff\xff\xff\xff\xff\xff\xff"sv)},
        {"feature", "features that are unknown", patched(72, "\x80"sv)},
        {"vmdk-extent", "VMDK", text(kVmdk)},
        {"vmdk", "VMDK", create({"-f", "vmdk"})},
        {"vdi", "VDI", create({"-f", "vdi"})},
        {"vhdx", "VHDX", create({"-f", "vhdx"})},
        {"text", "neither qcow2 nor a raw disk", text("hello")},
        {"empty", "neither qcow2 nor a raw disk", text("")},
        {"cut-20", "before the end of", truncated(20)},
        {"cut-80", "before the end of", truncated(80)},
        {"cut-300k", "", truncated(300'000)},
        {"cut-2M", "can't be read", truncated(2 << 20)},
        {"broken-xz", "can't be unpacked",
         text("\xfd"
              "7zXZ" +
              std::string(1, '\0') + "garbage garbage")},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        row.make(room.dir / row.name);
        room.upload(room.dir / row.name);
        const auto refused = room.import({});
        REQUIRE_FALSE(refused);
        CAPTURE(refused.error().message);
        CHECK((refused.error().code == Code::invalid || refused.error().code == Code::malformed));
        CHECK(refused.error().message.find(row.reason) != std::string::npos);
        CHECK(room.leftovers().empty());
    }
    CHECK(room.images() == 0);
}

TEST_CASE("a decompression bomb is stopped at the limit, and takes no room") {
    NEEDS_TOOLS();
    Room room;
    REQUIRE(run_checked(
        {.program = "sh", .arguments = {"-c", "head -c 1000000000 /dev/zero | gzip -1 >\"$0\"", room.dir / "bomb"}}));
    room.upload(room.dir / "bomb");
    const auto refused = room.import({});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::too_large);
    CHECK(refused.error().message.find("64 MiB") != std::string::npos);
    CHECK(room.leftovers().empty());
}

TEST_CASE("a raw disk whose guest wrote a qcow2 header into a partition stays a raw disk") {
    NEEDS_TOOLS();
    Room room;
    room.make_disk();
    patch(room.dir / "disk.raw", 2 << 20, *read_file(room.dir / "disk.qcow2", 1 << 30));
    room.upload(room.dir / "disk.raw");
    const auto imported = room.import({});
    check_imported(room, imported);
    CHECK(imported->source_format == "raw");
}

}  // namespace
}  // namespace axle::test
