// Limits of uploads: room on the disk, places, time; and that they don't cost others anything.
#include <csignal>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "common/base/file.hpp"
#include "common/base/now.hpp"
#include "common/base/space.hpp"
#include "tests/contract/api/api_fixture.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/small_disk.hpp"

namespace axle::test {
namespace {

const std::string kImages = "/v1/projects/default/images";

void make_image(CloudServer& cloud, const std::string& name) {
    auto client = cloud.client();
    REQUIRE(ask(client, "POST", kImages, fmt::format(R"({{"name":"{}","spec":{{}}}})", name)).status < 300);
}
std::string content_of(const std::string& name) {
    return kImages + "/" + name + "/content";
}
std::string sparse_file(const TempDir& dir, std::int64_t size) {
    const std::string path = dir / ("of-" + std::to_string(size));
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(::ftruncate(fd.get(), size) == 0);
    return path;
}
Answer send_file(const CloudServer& cloud, const std::string& name, const std::string& file, bool tell_size) {
    auto client = cloud.client();
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat st {};
    REQUIRE(::fstat(fd.get(), &st) == 0);
    auto sent = client.upload("PUT", content_of(name), {}, fd.get(),
                              tell_size ? std::optional<std::int64_t>(st.st_size) : std::nullopt);
    if (!sent) FAIL(sent.error().message);
    return {sent->status, json::parse(sent->body, nullptr, false), sent->headers};
}

// An upload that goes on for as long as this lives, a byte at a time.
class Trickle {
  public:
    Trickle(const CloudServer& cloud, const std::string& name) {
        ::signal(SIGPIPE, SIG_IGN);  // the reader closes first
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        read_.reset(ends[0]);
        write_.reset(ends[1]);
        sender_ = std::jthread([this, client = cloud.client(), name]() mutable {
            auto sent = client.upload("PUT", content_of(name), {}, read_.get(), std::nullopt);
            if (sent) answer_ = {sent->status, json::parse(sent->body, nullptr, false), sent->headers};
            read_.reset();
        });
    }
    ~Trickle() { write_.reset(); }
    bool give() { return ::write(write_.get(), "x", 1) == 1; }
    // Gives bytes until the server answers.
    Answer answer() {
        while (give()) std::this_thread::sleep_for(milliseconds{10});
        sender_.join();
        return answer_;
    }

  private:
    Fd read_, write_;
    Answer answer_;
    std::jthread sender_;
};

std::vector<std::string> uploads_in(const CloudServer& cloud) {
    std::vector<std::string> found;
    const auto names = list_directory(cloud.upload_directory());
    REQUIRE(names);
    for (const std::string& name : *names)
        if (name.find("upload") != std::string::npos) found.push_back(name);
    return found;
}

TEST_CASE("an upload that doesn't fit is a 507 with numbers and a hint, leaves nothing, and changes are taken still") {
    const SmallDisk disk("256m");
    if (!disk.mounted) SKIP_TEST("a small file system can only be mounted by root");
    const TempDir dir;
    constexpr std::int64_t kKept = 64 << 20;
    CloudServer cloud({.api = {.upload_keep_free = kKept}, .directory = disk.dir.path(), .uploads = disk.dir.path()});
    make_image(cloud, "up");
    const std::int64_t before = *free_bytes(disk.dir.path());
    for (const bool tells_size : {true, false}) {
        CAPTURE(tells_size);
        const Answer refused = send_file(cloud, "up", sparse_file(dir, 250 << 20), tells_size);
        CAPTURE(refused.body.dump());
        CHECK(refused.status == 507);
        CHECK(refused.code() == "no-space");
        CHECK(refused.body.value("detail", "").find("64 MiB") != std::string::npos);
        CHECK_FALSE(refused.body.value("hint", "").empty());
        CHECK(uploads_in(cloud).empty());
        CHECK(*free_bytes(disk.dir.path()) >= before - (8 << 20));  // what the store has written
    }
    make_image(cloud, "another");
    CHECK(send_file(cloud, "up", sparse_file(dir, 1 << 20), true).status == 202);
    cloud.stop();
}

TEST_CASE("an upload that is larger than any may be is refused, told beforehand or not") {
    const TempDir dir;
    CloudServer cloud({.api = {.upload_size_max = 4 << 20}});
    make_image(cloud, "up");
    CHECK(send_file(cloud, "up", sparse_file(dir, 5 << 20), true).status == 413);
    CHECK(send_file(cloud, "up", sparse_file(dir, 5 << 20), false).status == 413);
    CHECK(uploads_in(cloud).empty());
}

TEST_CASE("an upload to an image that takes none is refused before its bytes are read") {
    const TempDir dir;
    CloudServer cloud;
    make_image(cloud, "up");
    CHECK(send_file(cloud, "up", sparse_file(dir, 1 << 20), true).status == 202);
    Trickle endless(cloud, "up");  // its end never comes
    REQUIRE(endless.give());
    CHECK(endless.answer().status == 409);
}

TEST_CASE("an upload that hardly moves is given up with a 408, and its place is free again") {
    CloudServer cloud({.api = {.upload_rate_window = milliseconds{300}, .uploads_each_max = 1}});
    make_image(cloud, "up");
    for (int i = 0; i < 2; ++i) {
        Trickle slow(cloud, "up");
        const Answer refused = slow.answer();
        CAPTURE(refused.body.dump());
        CHECK(refused.status == 408);
        CHECK(refused.code() == "too-slow");
    }
    CHECK(uploads_in(cloud).empty());
}

TEST_CASE("a watch that goes on from history doesn't wait for uploads that hang") {
    const TempDir dir;
    {
        CloudServer before({.directory = dir.path()});
        make_image(before, "old");
    }
    CloudServer cloud({.api = {.uploads_each_max = 8}, .directory = dir.path()});
    std::vector<std::unique_ptr<Trickle>> uploads;
    for (int i = 0; i < 8; ++i) {
        const std::string name = "i" + std::to_string(i);
        make_image(cloud, name);
        uploads.push_back(std::make_unique<Trickle>(cloud, name));
        REQUIRE(uploads.back()->give());
    }
    const BootTime deadline = boot_now() + seconds{30};
    while (uploads_in(cloud).size() < 8 && boot_now() < deadline) std::this_thread::yield();
    REQUIRE(uploads_in(cloud).size() == 8);
    const auto events =
        read_events(cloud.client(), "/v1/watch?since=1", "", [](const auto& told) { return !told.empty(); });
    CHECK_FALSE(events.empty());
}

TEST_CASE("one caller has so many uploads at once and not more, and others get through") {
    const TempDir dir;
    CloudServer cloud;
    for (const char* name : {"a", "b", "c"}) make_image(cloud, name);
    {
        Trickle first(cloud, "a"), second(cloud, "b");
        REQUIRE(first.give());
        REQUIRE(second.give());
        const BootTime deadline = boot_now() + seconds{30};
        while (uploads_in(cloud).size() < 2 && boot_now() < deadline) std::this_thread::yield();
        REQUIRE(uploads_in(cloud).size() == 2);
        const Answer third = send_file(cloud, "c", sparse_file(dir, 1 << 20), true);
        CHECK(third.status == 429);
        http::Client other = cloud.tcp_client(CloudServer::kAdmin);
        const Fd fd(::open(sparse_file(dir, 1 << 20).c_str(), O_RDONLY | O_CLOEXEC));
        const auto sent = other.upload("PUT", content_of("c"), {}, fd.get(), 1 << 20);
        REQUIRE(sent);
        CHECK(sent->status == 202);
    }
}

}  // namespace
}  // namespace axle::test
