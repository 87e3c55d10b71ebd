#include "orchestrator/allinone/service.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>

#include "agent/link/identity.hpp"
#include "agent/link/in_process_link.hpp"
#include "agent/main/agent_service.hpp"
#include "common/base/log.hpp"
#include "common/base/now.hpp"
#include "common/http/tls.hpp"
#include "common/loop/program.hpp"
#include "orchestrator/main/orchestrator_service.hpp"

namespace axle {
namespace {

constexpr milliseconds kLinkAgain{1'000}, kLinkAgainMax{30'000};

class AllInOne {
  public:
    explicit AllInOne(const ServiceConfig& config) : config_(config) {}
    Result<> run();

  private:
    Result<> start();
    void join();
    Result<DataIdentity> data_identity();

    const ServiceConfig config_;
    Loop io_{"io"}, core_loop_{"orchestrator core"};  // jobs that the core did not come to may hold connections of io's
    OrchestratorService orchestrator_{config_, core_loop_, io_};
    AgentService agent_{config_, io_};
    std::mutex mutex_;
    std::optional<DataIdentity> data_identity_;  // guarded
    milliseconds link_delay_ = kLinkAgain;       // orchestrator core thread
    Program program_{io_, {&core_loop_}};        // its threads end before all of the above goes
};

// Joins both halves; when the link ends (a refused hello, a slow half) it is made anew.
void AllInOne::join() {
    if (program_.is_ending()) return;
    auto ends = join_in_process(agent_.agent().core(), core_loop_);
    auto agent_end = std::make_shared<std::unique_ptr<Channel>>(std::move(ends.agent));
    orchestrator_.orchestrator().attach(std::move(ends.orchestrator), [this, since = core_loop_.boot()] {
        // One that lasted begins anew at once; one that is refused again and again is asked less and less often.
        link_delay_ = core_loop_.boot() - since > kLinkAgainMax ? kLinkAgain : std::min(link_delay_ * 2, kLinkAgainMax);
        core_loop_.after(link_delay_, [this] { join(); });
    });
    agent_.agent().core().post([this, agent_end] {
        if (!program_.is_ending()) agent_.agent().connected(std::move(*agent_end));
    });
}

// This host's certificate towards hosts that joined later. It lives in memory: each start has another.
Result<DataIdentity> AllInOne::data_identity() {
    const std::lock_guard lock(mutex_);
    if (data_identity_ && !is_past_half(data_identity_->certificate, wall_now())) return *data_identity_;
    TRY(host, host_id_of(agent_options(config_)));
    TRY(made, orchestrator_.certify_host(host));
    data_identity_ =
        DataIdentity{.host = host, .authority = made.authority, .certificate = made.certificate, .key = made.key};
    return *data_identity_;
}

Result<> AllInOne::start() {
    AgentOptions options = agent_options(config_, orchestrator_.cluster());
    if (config_.listen != "none") options.data_identity = [this] { return data_identity(); };
    TRY_VOID(agent_.open(std::move(options), {.ready = [this](const Result<>& read) {
                             if (read) core_loop_.post([this] { join(); });
                         }}));
    TRY_VOID(orchestrator_.listen());
    return agent_.listen();
}

Result<> AllInOne::run() {
    TRY_VOID(orchestrator_.open(agent_state_is_there(agent_options(config_)), config_.first_pool));
    program_.start();
    auto started = start();
    if (started) {
        program_.tell_ready();
        log::info(fmt::format("axle {} serves cluster {}", AXLE_VERSION, orchestrator_.cluster()));
        program_.wait();
    } else {
        program_.end();
    }
    orchestrator_.stop_serving();
    agent_.stop();
    orchestrator_.stop_work();
    return started;
}

}  // namespace

Result<> run_service(const ServiceConfig& config) {
    return std::make_unique<AllInOne>(config)->run();
}

}  // namespace axle
