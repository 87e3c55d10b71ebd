// The public HTTP API: from requests to the core's commands and back. Give handle() to an http::Server.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/clock.hpp"
#include "common/http/server.hpp"
#include "orchestrator/core/service.hpp"
#include "orchestrator/store/store.hpp"

namespace axle {
class Workers;
}

namespace axle::api {

struct ApiOptions {
    std::int64_t admin_gid = -1;   // group whose members are administrators on the unix socket
    std::string upload_directory;  // for images that are being uploaded; must exist. Empty: uploads are refused
    std::int64_t upload_size_max = std::int64_t{256} << 30;
    std::int64_t upload_keep_free = 0;        // bytes of its file system that stay free
    std::int64_t upload_rate_min = 64 << 10;  // bytes a second, over upload_rate_window; slower ones are given up
    milliseconds upload_rate_window{60'000};
    std::size_t uploads_each_max = 2;             // that one caller may have under way
    std::function<std::string()> authority = {};  // PEM of the CAs, for /v1/ca.pem, from a worker; empty: 404
    std::function<std::string()> join_info = {};  // JSON for /v1/join-info, from a worker; empty: 404
    double requests_a_second = 10'000;            // for each token; 0: no limit. The unix socket has none
    double request_burst = 20'000;
    double strangers_a_second = 20;       // requests without a valid login, for each address
    std::size_t streams_max = 1000;       // watches, consoles, tunnels that one caller may have open
    milliseconds bookmark_every{15'000};  // and looks whether the login of an open stream still holds
    bool access_log = false;              // one line a request; failures of ours are logged in any case
    std::function<http::ServerStats()> server_stats = {};  // for /metrics
};

// What it works with; all must outlive it.
struct ApiDeps {
    Service& service;    // called through core only
    Executor& core;      // the core's thread
    Clock& core_clock;   // timers on the core's thread
    const Store& store;  // finished tasks, events, the change log
    Workers& workers;    // answers are written here
};

// Stop the server first, then the core's thread and the workers, then destroy this: jobs of both refer to it.
class Api {
  public:
    Api(ApiDeps deps, ApiOptions options);
    ~Api();
    Api(const Api&) = delete;
    Api& operator=(const Api&) = delete;

    // Answers every request, at once or later. On a worker of the server.
    void handle(http::Request request, http::Reply reply);
    // Limits of routes and the like, for the server that calls handle().
    static http::ServerOptions server_options();

    // Shared with what is under way.
    struct Context;

  private:
    std::shared_ptr<Context> context_;
};

}  // namespace axle::api
