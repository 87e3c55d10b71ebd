// A server with its real store and its real library of images, killed at every durable step of an upload: what was
// acknowledged becomes an image without anybody's help, what was not can be uploaded again, and nothing is left over.
#include <csignal>
#include <cstdlib>
#include <fcntl.h>

#include "common/loop/workers.hpp"
#include "tests/contract/api/api_fixture.hpp"
#include "tests/contract/images/fixtures.hpp"
#include "tests/crash/store/child.hpp"

namespace axle::test {
namespace {

constexpr const char* kImage = "/v1/projects/default/images/up";

// A cloud below one directory, with a library that works.
class ServerOnDisk {
  public:
    explicit ServerOnDisk(const std::string& directory) {
        settings_.directory = directory + "/images";
        REQUIRE(ImageLibrary::prepare(settings_));
        cloud_ = std::make_unique<CloudServer>(
            CloudOptions{.directory = directory,
                         .uploads = incoming_directory(settings_),
                         .make_importer =
                             [this](Executor& core) {
                                 return std::make_unique<ImageLibrary>(
                                     core,
                                     [this](const std::string& lane, std::function<void()> job) {
                                         return workers_.submit(lane, std::move(job));
                                     },
                                     settings_);
                             },
                         .loaded =
                             [this](Orchestrator& orchestrator) {
                                 REQUIRE(ImageLibrary::sweep(settings_, orchestrator.unfinished_imports(), wall_now()));
                             }});
    }
    ~ServerOnDisk() {
        cloud_->stop();
        workers_.stop();  // their jobs know the cloud's loop
    }
    CloudServer& cloud() { return *cloud_; }
    // Files that are neither images nor of the store.
    int left_over() const {
        const auto names = list_directory(incoming_directory(settings_));
        return names ? static_cast<int>(names->size()) : -1;
    }

  private:
    ImportSettings settings_;
    Workers workers_{"images", {.threads = 2}};
    std::unique_ptr<CloudServer> cloud_;
};

http::Response send_content(http::Client& client, const std::string& file) {
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat st {};
    REQUIRE(::fstat(fd.get(), &st) == 0);
    auto sent = client.upload("PUT", std::string(kImage) + "/content", {}, fd.get(), st.st_size);
    REQUIRE(sent);
    return *sent;
}

std::string phase_of(http::Client& client) {
    return ask(client, "GET", kImage).body["status"].value("phase", "");
}

bool becomes_ready(http::Client& client) {
    const BootTime deadline = boot_now() + seconds{60};
    while (phase_of(client) != "ready") {
        if (boot_now() > deadline) return false;
        std::this_thread::sleep_for(milliseconds{10});
    }
    return true;
}

TEST_CASE("child: uploads" * doctest::skip()) {
    ServerOnDisk server(child_directory());
    auto client = server.cloud().client();
    REQUIRE(ask(client, "POST", "/v1/projects/default/images", R"({"name":"up","spec":{}})").status == 202);
    acknowledge(1);
    REQUIRE(send_content(client, child_directory() + "/disk.qcow2").status == 202);
    acknowledge(2);
    REQUIRE(becomes_ready(client));
    acknowledge(3);
}

void check_after(const Room& room, const std::string& directory, std::uint64_t acknowledged) {
    ServerOnDisk server(directory);
    auto client = server.cloud().client();
    if (acknowledged < 1) return;
    const std::string phase = phase_of(client);
    CAPTURE(phase);
    if (acknowledged >= 2) CHECK((phase == "importing" || phase == "ready"));
    if (acknowledged >= 3) CHECK(phase == "ready");
    if (phase == "uploading") CHECK(send_content(client, room.dir / "disk.qcow2").status == 202);
    CHECK(becomes_ready(client));
    const auto image = ask(client, "GET", kImage).body;
    const std::string file = directory + "/images/" + image["status"].value("digest", "none") + ".qcow2";
    CHECK(qemu_img({"compare", "-f", "qcow2", "-F", "raw", file, room.dir / "disk.raw"}));
    const json tasks = ask(client, "GET", "/v1/tasks").body;
    for (const json& task : tasks["items"]) CHECK(task["status"]["phase"] == "succeeded");
    const BootTime deadline = boot_now() + seconds{30};
    while (server.left_over() != 0 && boot_now() < deadline) std::this_thread::yield();
    CHECK(server.left_over() == 0);
}

TEST_CASE("killed at any durable step of an upload, a server has what it acknowledged and leaves nothing over") {
#ifndef AXLE_FAULTS
    SKIP_TEST("kill points are compiled into dev builds only");
#endif
    NEEDS_TOOLS();
    Room room;
    room.make_disk();
    int killed = 0;
    for (int kill_at = 1;; ++kill_at) {
        CAPTURE(kill_at);
        REQUIRE(kill_at < 200);
        const TempDir dir;
        std::filesystem::copy_file(room.dir / "disk.qcow2", dir / "disk.qcow2");
        Child child("child: uploads", {{"AXLE_CHILD_DIR", dir.path()}, {"AXLE_KILL_AT", std::to_string(kill_at)}});
        const std::uint64_t acknowledged = child.last_acknowledged();
        const int end = child.wait();
        REQUIRE((end == 0 || end == SIGKILL));
        check_after(room, dir.path(), acknowledged);
        if (end == 0) break;
        ++killed;
    }
    MESSAGE(fmt::format("killed at {} points", killed));
    CHECK(killed > 10);
}

}  // namespace
}  // namespace axle::test
