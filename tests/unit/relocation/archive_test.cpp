// The file in which a cloud travels: what isn't exactly what was packed is refused.
#include "orchestrator/relocation/archive.hpp"

#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "orchestrator/relocation/relocation.hpp"
#include "orchestrator/store/directory.hpp"
#include "tests/support/temp_dir.hpp"

using namespace axle;
using namespace axle::test;

namespace {

std::string packed(const TempDir& dir) {
    std::string path = dir / "cloud.tar";
    REQUIRE(write_file_durably(dir / "large", std::string(700'001, 'x'), 0640));
    auto file = NewFile::create(path, "test");
    REQUIRE(file);
    ArchiveWriter writer(*file);
    REQUIRE(writer.add("manifest.json", "{}"));
    REQUIRE(writer.add("empty", ""));
    REQUIRE(writer.add_file("images/large", dir / "large"));
    REQUIRE(writer.seal());
    REQUIRE(file->publish());
    return path;
}

void rewrite(const std::string& path, const std::string& content) {
    REQUIRE(write_file_durably(path, content));
}

}  // namespace

TEST_CASE("a header of tar says what it was made of, also of a file larger than octal digits can tell") {
    struct Row {
        const char* path;
        unsigned mode;
        std::int64_t size;
    };
    const std::string longest(100, 'n');
    for (const Row& row : {Row{"a", 0600, 0}, Row{"store/db/000012.sst", 0644, 8'589'934'591},
                           Row{"images/x", 0, 8'589'934'592}, Row{longest.c_str(), 0777, INT64_C(1) << 50}}) {
        CAPTURE(row.size);
        const auto block = write_tar_header({row.path, row.mode, row.size});
        REQUIRE(block);
        CHECK(block->size() == kTarBlock);
        const auto read = read_tar_header(*block);
        REQUIRE(read);
        CHECK(read->path == row.path);
        CHECK(read->mode == row.mode);
        CHECK(read->size == row.size);
    }
    CHECK_FALSE(write_tar_header({longest + "n", 0600, 0}));
    CHECK_FALSE(read_tar_header(std::string(kTarBlock, 'x')));
    CHECK(read_tar_header(std::string(kTarBlock, '\0'))->path.empty());
}

TEST_CASE("what was packed comes out as it was") {
    const TempDir dir;
    const auto archive = open_archive(packed(dir));
    REQUIRE(archive);
    REQUIRE(archive->members.size() == 3);
    CHECK(archive->bytes == 700'003);
    CHECK(content_of(*archive, "manifest.json", 100).value_or("") == "{}");
    CHECK_FALSE(content_of(*archive, "images/large", 100));
    REQUIRE(extract(*archive, archive->members[2], dir / "out"));
    CHECK(read_file(dir / "out").value_or("") == std::string(700'001, 'x'));
    CHECK_FALSE(extract(*archive, archive->members[2], dir / "out"));  // nothing is written over
}

TEST_CASE("a file that was cut off anywhere, or changed in any byte that counts, is none") {
    const TempDir dir;
    const std::string path = packed(dir);
    const std::string whole = *read_file(path);
    const std::size_t seal = whole.size() - 4 * kTarBlock;  // header, content, two blocks of zeros
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{511}, kTarBlock, std::size_t{300'000}, seal, seal + 500, seal + kTarBlock + 64}) {
        CAPTURE(size);
        rewrite(path, whole.substr(0, size));
        const auto opened = open_archive(path);
        REQUIRE_FALSE(opened);
        CHECK(opened.error().code == Code::malformed);
        CHECK(opened.error().hint.find("copy it once more") != std::string::npos);
    }
    for (const std::size_t at : {std::size_t{0}, std::size_t{513}, std::size_t{400'000}, seal + 1, seal + kTarBlock}) {
        CAPTURE(at);
        std::string changed = whole;
        changed[at] = static_cast<char>(changed[at] ^ 1);
        rewrite(path, changed);
        CHECK_FALSE(open_archive(path));
    }
}

TEST_CASE("only a cloud is taken out of a file, and only where there is none") {
    const TempDir dir;
    ServiceConfig config;
    config.state_directory = dir / "state";
    const auto pack = [&](const std::vector<std::string>& paths) {
        auto file = NewFile::create(dir / "cloud.tar", "test");
        REQUIRE(file);
        ArchiveWriter writer(*file);
        REQUIRE(writer.add("manifest.json", R"({"format":1,"cluster":"c","endpoint":"https://new:7443"})"));
        for (const std::string& path : paths) REQUIRE(writer.add(path, path));
        REQUIRE(writer.seal());
        REQUIRE(file->replace());
        const auto done = import_orchestrator(config, dir / "cloud.tar");
        return done ? std::string() : done.error().message;
    };
    const std::vector<std::string> whole{"store/db/CURRENT", "identity/cluster-id", "identity/secret-key",
                                         "identity/ca.key"};
    for (const char* stranger : {"../../etc/passwd", "identity/../../../etc/cron.d/x", "/etc/passwd", "agent/host-id",
                                 "images//x", "store/moved"}) {
        CAPTURE(stranger);
        std::vector<std::string> paths = whole;
        paths.emplace_back(stranger);
        CHECK(pack(paths).find("is no part of a cloud") != std::string::npos);
    }
    CHECK(pack({whole[0], whole[1], whole[2]}).find("holds no identity/ca.key") != std::string::npos);
    CHECK_FALSE(file_exists(dir / "state/store/arriving"));  // nothing was begun
    CHECK(pack(whole).empty());
    CHECK(pack(whole).find("holds a cloud already") != std::string::npos);
    CHECK(read_file(dir / "state/identity/ca.key").value_or("") == "identity/ca.key");
}

TEST_CASE("a place is a name or an address, with a port or without") {
    struct Row {
        const char *text, *endpoint;
    };
    for (const Row& row :
         {Row{"cloud.example", "https://cloud.example:7443"}, Row{"192.0.2.1:8443", "https://192.0.2.1:8443"},
          Row{"https://192.0.2.1", "https://192.0.2.1:7443"}, Row{"2001:db8::1", "https://[2001:db8::1]:7443"},
          Row{"[2001:db8::1]:1", "https://[2001:db8::1]:1"}, Row{"two words", ""}, Row{"", ""}}) {
        CAPTURE(row.text);
        CHECK(endpoint_of(row.text).value_or("") == row.endpoint);
    }
}

TEST_CASE("a mark that can't be read keeps a store shut") {
    const TempDir dir;
    CHECK(check_at_home(dir.path()));
    REQUIRE(write_file_durably(dir / "moved", "{", 0644));
    CHECK_FALSE(check_at_home(dir.path()));
    REQUIRE(mark_moved(dir.path(), {{"https://b:7443"}, "/root/x.tar", WallTime{0}}));
    CHECK(check_at_home(dir.path()).error().hint.find("axle login https://b:7443") != std::string::npos);
    REQUIRE(mark_arriving(dir.path()));
    CHECK(check_at_home(dir.path()).error().hint.find("axle-orchestrator import FILE") != std::string::npos);
    REQUIRE(mark_arrived(dir.path(), "https://b:7443"));
    CHECK(check_at_home(dir.path()));
}
