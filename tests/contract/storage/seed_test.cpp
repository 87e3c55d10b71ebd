// The seed as cloud-init finds it: an ISO file made by xorriso, read back by it.
#include "agent/guest/seed.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/process.hpp"
#include "tests/contract/storage/fixtures.hpp"
#include "tests/support/skip.hpp"

namespace axle::test {
namespace {

#define NEEDS_XORRISO() \
    if (!run_checked({.program = "xorriso", .arguments = {"-version"}})) SKIP_TEST("xorriso is not installed")

VmDocument vm() {
    VmDocument document{.id = VmId(uuid(5)), .name = "default/web1"};
    document.seed = {.instance_id = "i-1", .hostname = "web1", .ssh_keys = {"ssh-ed25519 AAAA me"}};
    document.nics = {{.name = "eth0", .mac = "52:54:00:00:00:01"}};
    return document;
}

ino_t inode(const std::string& path) {
    struct stat st {};
    REQUIRE(::stat(path.c_str(), &st) == 0);
    CHECK((st.st_mode & 07777) == 0600);
    return st.st_ino;
}

TEST_CASE("a seed holds what was asked for under the label cidata, and the same asked again is the same bytes") {
    NEEDS_XORRISO();
    const TempDir dir;
    const auto first = make_seed_file(dir / "a", vm(), "t"), second = make_seed_file(dir / "b", vm(), "t");
    REQUIRE_MESSAGE(first, (first ? "" : first.error().message));
    REQUIRE(second);
    CHECK(*read_file(*first) == *read_file(*second));
    CHECK(read_file(*first)->substr(32768 + 40, 6) == "cidata");
    REQUIRE(run_checked(
        {.program = "xorriso", .arguments = {"-osirrox", "on", "-indev", *first, "-extract", "/", dir / "out"}}));
    const auto files = seed_files(vm());
    CHECK(*read_file(dir / "out/meta-data") == files->meta_data);
    CHECK(*read_file(dir / "out/user-data") == files->user_data);
    CHECK(*read_file(dir / "out/network-config") == files->network_config);
}

TEST_CASE("a seed is rewritten only when its content changed") {
    NEEDS_XORRISO();
    const TempDir dir;
    VmDocument document = vm();
    const auto path = make_seed_file(dir / "seeds", document, "t");
    REQUIRE(path);
    const int held = ::open(path->c_str(), O_RDONLY | O_CLOEXEC);  // so that its number isn't given away again
    const ino_t before = inode(*path);
    document.generation = 7;  // not of the seed
    REQUIRE(make_seed_file(dir / "seeds", document, "t"));
    CHECK(inode(*path) == before);
    document.seed.instance_id = "i-2";
    REQUIRE(make_seed_file(dir / "seeds", document, "t"));
    CHECK(inode(*path) != before);
    ::close(held);
    REQUIRE(remove_seed_file(dir / "seeds", document.id));
    CHECK_FALSE(file_exists(*path));
}

}  // namespace
}  // namespace axle::test
