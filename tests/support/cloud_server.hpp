// A whole orchestrator in the test's process: store on disk, core, API, HTTP server on a unix socket (and plain TCP),
// with scripted hosts. For contract tests of the API and the command line, and their bench.
#pragma once
#include <future>
#include <memory>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "common/http/client.hpp"
#include "common/http/server.hpp"
#include "common/loop/loop.hpp"
#include "common/loop/random.hpp"
#include "common/loop/workers.hpp"
#include "orchestrator/api/api.hpp"
#include "orchestrator/core/orchestrator.hpp"
#include "orchestrator/store/rocks_store.hpp"
#include "tests/support/scripted_host.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle::test {

// Takes any file for an image of 1 GiB.
class EasyImporter final : public Importer {
  public:
    explicit EasyImporter(Executor& core) : core_(core) {}
    void import(ImportRequest request, TellProgress, std::function<void(Result<Imported>)> done) override {
        last = request;
        core_.post([request = std::move(request), done = std::move(done)] {
            if (request.url.find("broken") != std::string::npos)
                return done(fail(error(Code::invalid, "the image is broken").with_hint("take another")));
            done(Imported{std::string(64, 'a'), kMiB, kGiB, "qcow2"});
        });
    }
    void cancel(Uuid) override {}
    void forget(Uuid) override {}
    void remove(std::string, std::function<void(Result<>)> done) override {
        core_.post([done = std::move(done)] { done({}); });
    }
    std::string path(const std::string& digest) const override { return "/images/" + digest; }
    ImportRequest last;

  private:
    Executor& core_;
};

struct CloudOptions {
    api::ApiOptions api = {};
    int workers = 2;
    bool skip_sync = false;
    std::string directory;  // empty: a new one
    std::string seal_key;
    std::string images = "/images";  // where the files of images lie
    std::string uploads;             // where the API puts uploads; empty: a directory of the test
    // Instead of an EasyImporter; and what is done when the store was read, before anything is served.
    std::function<std::unique_ptr<Importer>(Executor& core)> make_importer = {};
    std::function<void(Orchestrator&)> loaded = {};
};

class CloudServer {
  public:
    static constexpr const char* kAdmin = "the-first-administrators-secret";

    explicit CloudServer(CloudOptions options = {})
        : directory_(options.directory.empty() ? temporary_.path() : options.directory),
          workers_("api", {.threads = options.workers}) {
        core_thread_ = std::thread([this] { core_.run(); });
        open_store(options.skip_sync);
        if (options.make_importer) core_.call([&] { own_importer_ = options.make_importer(core_); });
        core_.call([this, &options] {
            orchestrator_ = std::make_unique<Orchestrator>(Orchestrator::Seams{
                .store = *store_,
                .clock = core_,
                .random = random_,
                .core = core_,
                .importer = own_importer_ ? *own_importer_ : importer_,
                .secrets = {
                    .seal = [](std::string_view s, std::string_view) { return std::string(s); },
                    .open = [](std::string_view s, std::string_view) -> Result<std::string> { return std::string(s); }},
                .image_source = [folder = options.images](const std::string& digest) { return folder + "/" + digest; },
                .seal_key = options.seal_key});
            auto loaded = orchestrator_->load();
            ENSURE(loaded.has_value(), "a store that was just made can be read");
            if (options.loaded) options.loaded(*orchestrator_);
            orchestrator_->bootstrap(kAdmin);
            orchestrator_->start();
        });
        uploads_ = options.uploads.empty() ? temporary_.path() : options.uploads;
        options.api.upload_directory = uploads_;
        api_ = std::make_unique<api::Api>(
            api::ApiDeps{
                .service = *orchestrator_, .core = core_, .core_clock = core_, .store = *store_, .workers = workers_},
            options.api);
        server_ = std::make_unique<http::Server>(
            io_, workers_, [this](http::Request r, http::Reply reply) { api_->handle(std::move(r), std::move(reply)); },
            api::Api::server_options());
        auto listening = server_->listen_unix(socket());
        ENSURE(listening.has_value(), "a new directory takes a socket");
        port_ = *server_->listen_plain("127.0.0.1", 0);
        io_thread_ = std::thread([this] { io_.run(); });  // last: before it runs, the loop is this thread's
    }
    ~CloudServer() { stop(); }

    // As a clean end of the process; the directory stays for the next one.
    void stop() {
        if (server_ == nullptr) return;
        server_->stop(milliseconds{2000});
        core_.call([this] { hosts_.clear(); });
        // What workers still write needs the core and the other way round: core's answers first, then the workers.
        core_.call([] {});
        workers_.stop();
        core_.stop();
        core_thread_.join();
        // Only now: the store's news of commits that were under way are for the orchestrator.
        api_ = nullptr;
        own_importer_ = nullptr;
        orchestrator_ = nullptr;
        store_ = nullptr;
        server_ = nullptr;
        io_.stop();
        io_thread_.join();
    }

    std::string socket() const { return directory_ + "/api.sock"; }
    int port() const { return port_; }
    const std::string& directory() const { return directory_; }
    EasyImporter& importer() { return importer_; }
    const std::string& upload_directory() const { return uploads_; }
    RocksStore& store() { return *store_; }
    Loop& core() { return core_; }
    Orchestrator& orchestrator() { return *orchestrator_; }

    http::Client client(std::string token = "") const {
        http::Endpoint endpoint{.kind = http::Endpoint::Kind::unix_socket, .path = socket()};
        return http::Client({.endpoint = endpoint, .token = std::move(token)});
    }
    http::Client tcp_client(std::string token) const {
        http::Endpoint endpoint{.kind = http::Endpoint::Kind::http, .host = "127.0.0.1", .port = port_};
        return http::Client({.endpoint = endpoint, .token = std::move(token)});
    }

    ScriptedHost& add_host(const std::string& name, ScriptedHost::Script script = {}) {
        core_.call([&] {
            hosts_.push_back(
                std::make_unique<ScriptedHost>(*orchestrator_, core_, name, hosts_.size() + 1, std::move(script)));
        });
        core_.call([] {});
        return *hosts_.back();
    }

  private:
    void open_store(bool skip_sync) {
        RocksStoreOptions options{.directory = directory_ + "/store",
                                  .identity_directory = directory_ + "/identity",
                                  .reserve_bytes = 1 << 20,
                                  .any_file_system = true,
                                  .skip_sync = skip_sync};
        auto opened = RocksStore::open(options, core_, random_, core_.wall());
        if (!opened) MESSAGE(opened.error().message);
        ENSURE(opened.has_value(), "a new directory takes a store");
        store_ = std::move(*opened);
    }

    TempDir temporary_;
    std::string directory_, uploads_;
    Loop core_{"core"}, io_{"io"};
    SystemRandom random_;
    Workers workers_;
    EasyImporter importer_{core_};
    std::unique_ptr<Importer> own_importer_;
    std::thread core_thread_, io_thread_;
    std::unique_ptr<RocksStore> store_;
    std::unique_ptr<Orchestrator> orchestrator_;
    std::vector<std::unique_ptr<ScriptedHost>> hosts_;
    std::unique_ptr<api::Api> api_;
    std::unique_ptr<http::Server> server_;
    int port_ = 0;
};

}  // namespace axle::test
