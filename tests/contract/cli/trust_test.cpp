// What a context trusts, while the cloud's authority hands over to the next, over real TLS.
#include <atomic>

#include "common/base/now.hpp"
#include "common/http/tls.hpp"
#include "common/link/succession.hpp"
#include "orchestrator/cli/context.hpp"
#include "tests/contract/cli/person.hpp"

using namespace axle;
using namespace axle::test;

namespace {

WallTime days_ago(std::int64_t days) {
    return {wall_now().ms - days * 24 * 3'600'000};
}

// Answers what the commands of this test ask; its certificates are as wished, and so is what it says of authorities.
class TlsCloud {
  public:
    TlsCloud() {
        thread_ = std::thread([this] { io_.run(); });
    }
    ~TlsCloud() {
        server_.stop(milliseconds{0});
        workers_.stop();
        io_.stop();
        thread_.join();
    }
    // Signed by this authority, followed by this chain.
    void show(const http::KeyPair& authority, const std::string& chain) {
        const auto pair = *http::issue_certificate(
            authority, {.name = "axle", .addresses = {"127.0.0.1"}, .followed_by = chain}, wall_now());
        REQUIRE(http::write_key_pair(pair, folder_ / "server.pem", folder_ / "server.key"));
        if (port == 0)
            port = *server_.listen_tls("127.0.0.1", 0, {folder_ / "server.pem", folder_ / "server.key", ""});
        else
            REQUIRE(server_.reload_certificates());
    }
    void tell(const std::string& authorities) {
        const std::lock_guard lock(mutex_);
        told_ = authorities;
    }
    std::string endpoint() const { return fmt::format("https://127.0.0.1:{}", port); }
    int port = 0;
    std::atomic<int> asked = 0;

  private:
    void answer(const http::Request& request, http::Reply reply) {
        const std::lock_guard lock(mutex_);
        if (request.path != kAuthoritiesPath) return reply.send({200, {}, R"({"items":[]})"});
        ++asked;
        reply.send({200, {}, told_});
    }
    TempDir folder_;
    std::mutex mutex_;
    std::string told_;  // guarded
    Loop io_{"io"};
    Workers workers_{"http", {.threads = 2}};
    http::Server server_{
        io_, workers_, [this](const http::Request& request, http::Reply reply) { answer(request, std::move(reply)); }};
    std::thread thread_;
};

std::string kept_trust(Person& me) {
    cli::Terminal terminal;
    terminal.environment = [&](const char* name) { return me.environment[name]; };
    return cli::load_config(terminal)->contexts["lab"].authority;
}

void log_in(Person& me, const TlsCloud& cloud, const std::string& authority) {
    me.ok({"login", cloud.endpoint(), "--name", "lab", "--token", "secret", "--fingerprint",
           *http::fingerprint_of(authority)});
}

}  // namespace

TEST_CASE("a context comes to know the next authority while the one before vouches for it, and goes on after its end") {
    const auto old = *http::make_authority("cloud", days_ago(3'100));
    TlsCloud cloud;
    cloud.show(old, old.certificate);
    cloud.tell(old.certificate);
    Person me, rare;
    for (Person* person : {&me, &rare}) log_in(*person, cloud, old.certificate);
    CHECK(kept_trust(me) == old.certificate);

    const auto next = *http::make_successor(old, wall_now());
    const std::string both = old.certificate + next.pair.certificate;
    cloud.show(next.pair, next.cross + old.certificate);
    cloud.tell(both);
    const Ran ran = me.ok({"flavor", "list"});
    CHECK(ran.err == "no flavors\n");
    CHECK(kept_trust(me) == both);
    const int asked = cloud.asked;
    me.ok({"flavor", "list"});
    CHECK(cloud.asked == asked);  // it lasts
    CHECK(kept_trust(rare) == old.certificate);

    // As after the end of the one before: nothing leads to it any more.
    cloud.show(next.pair, "");
    me.ok({"flavor", "list"});
    const Ran lost = rare.axle({"flavor", "list"});
    CHECK(lost.code == 5);
    CHECK(lost.err.find("does not pass") != std::string::npos);
}

TEST_CASE("who logs in while the one before is shown trusts both from the beginning") {
    const auto old = *http::make_authority("cloud", days_ago(3'100));
    const auto next = *http::make_successor(old, wall_now());
    TlsCloud cloud;
    cloud.show(next.pair, next.cross + old.certificate);
    cloud.tell(old.certificate + next.pair.certificate);
    Person me;
    log_in(me, cloud, old.certificate);
    CHECK(kept_trust(me) == old.certificate + next.pair.certificate);
}

TEST_CASE("what a server that is not the one that is trusted says of authorities is not asked for") {
    const auto old = *http::make_authority("cloud", days_ago(3'100));
    TlsCloud cloud;
    cloud.show(old, old.certificate);
    cloud.tell(old.certificate);
    Person me;
    log_in(me, cloud, old.certificate);
    const auto other = *http::make_authority("cloud", wall_now());
    cloud.show(other, "");
    cloud.tell(other.certificate);
    const int asked = cloud.asked;
    CHECK(me.axle({"flavor", "list"}).code == 5);
    CHECK(cloud.asked == asked);
    CHECK(kept_trust(me) == old.certificate);
}

TEST_CASE("nonsense in place of authorities, or some that end no later, leave a context as it is") {
    const auto old = *http::make_authority("cloud", days_ago(3'100));
    TlsCloud cloud;
    cloud.show(old, old.certificate);
    Person me;
    for (const std::string& told : {std::string(), std::string("nonsense"), std::string(200'000, 'x'),
                                    http::make_authority("cloud", days_ago(3'200))->certificate}) {
        cloud.tell(told);
        log_in(me, cloud, old.certificate);
        me.ok({"flavor", "list"});
        CHECK(kept_trust(me) == old.certificate);
    }
}

TEST_CASE("a context of which all that is trusted has ended says so, and how to log in again") {
    const auto old = *http::make_authority("cloud", days_ago(4'000));
    const auto next = *http::make_successor(old, wall_now());
    TlsCloud cloud;
    cloud.show(next.pair, "");
    Person me;
    log_in(me, cloud, next.pair.certificate);
    cli::Terminal terminal;
    terminal.environment = [&](const char* name) { return me.environment[name]; };
    auto config = *cli::load_config(terminal);
    config.contexts["lab"].authority = old.certificate;
    REQUIRE(cli::save_config(terminal, config));
    const Ran ran = me.axle({"flavor", "list"});
    CHECK(ran.code == 5);
    CHECK(ran.err.find("was recognised ended at") != std::string::npos);
    CHECK(ran.err.find("axle login " + cloud.endpoint()) != std::string::npos);
}
