// Thirty years of certificates on a stated clock: hosts renew as the agent does, people log in once, the orchestrator
// is started anew now and then; four authorities follow each other.
#include <algorithm>
#include <optional>
#include <set>

#include "agent/link/identity.hpp"
#include "common/link/succession.hpp"
#include "tests/support/authority_place.hpp"
#include "tests/support/verify_at.hpp"

using namespace axle;
using namespace axle::test;

namespace {

constexpr std::int64_t kWeek = 7, kYear = 52 * kWeek, kYears = 30;

struct Absence {
    std::int64_t from = 0, days = 0;
    bool has(std::int64_t on) const { return on >= from && on < from + days; }
};

struct LivingHost {
    explicit LivingHost(int number, std::vector<Absence> absences = {}) : away(std::move(absences)) {
        identity.host.bytes[15] = static_cast<std::uint8_t>(number);
    }
    bool is_away(std::int64_t on) const {
        return std::ranges::any_of(away, [&](const Absence& one) { return one.has(on); });
    }
    HostIdentity identity;
    std::vector<Absence> away;
    int joined = 0, renewed = 0;
};

class Cloud {
  public:
    Cloud() { run(); }

    void pass_to(std::int64_t on) { on_ = on; }
    // What the orchestrator does now and then; every other time it was started anew before.
    void run() {
        if (!authority_ || on_ % (8 * kWeek) == 0)
            authority_ = place_.open(on_);
        else
            REQUIRE(authority_->renew(day(on_)));
        shown = place_.server(*authority_, on_);
        trusted = place_.content("tls/trusted.pem");
        signers.insert(*http::fingerprint_of(place_.content("identity/ca.pem")));
        CHECK(place_.names() == std::vector<std::string>{"ca.key", "ca.pem"});
        CHECK(place_.certificates().size() <= 3);
    }
    // "" when both sides of the agents' channel pass.
    std::string problem(const HostIdentity& host) const {
        const std::string server = verify_at(day(on_), shown, host.authority, Shown::by_server);
        return server.empty() ? verify_at(day(on_), host.certificate, trusted, Shown::by_client) : server;
    }
    // With a token whose string was made just now.
    void join(LivingHost& host) {
        const std::string pinned = authority_->fingerprint(day(on_));
        CHECK(pinned == *http::fingerprint_of(http::certificates_in(shown)->back()));
        host.identity.authority = authority_->trusted(day(on_));
        sign(host);
        ++host.joined;
    }
    // As agent/link does while it is connected.
    void renew(LivingHost& host) {
        if (!is_past_half(host.identity.certificate, day(on_))) return;
        const std::string before = host.identity.certificate;
        sign(host);
        CHECK(may_replace(host.identity.certificate, before, day(on_)));
        ++host.renewed;
    }
    // As agents and command lines do.
    void learn(std::string& known) const {
        if (!wants_successor(known, day(on_))) return;
        const auto later = successor_in(authority_->trusted(day(on_)), known);
        if (later && *later) known = **later;
    }
    std::string last_shown() const { return http::certificates_in(shown)->back(); }

    std::string shown, trusted;
    std::set<std::string> signers;

  private:
    void sign(LivingHost& host) {
        const auto request = *http::make_signing_request(host.identity.host.str());
        host.identity.certificate = *authority_->sign_host(request.request, host.identity.host, day(on_));
        host.identity.key = request.key;
    }
    const Place place_;
    std::optional<Authority> authority_;
    std::int64_t on_ = 0;
};

// Every two that are here; each is client and server to the others in turn.
void check_among_each_other(const std::vector<LivingHost>& hosts, std::int64_t on) {
    const Shown as = on / kWeek % 2 == 0 ? Shown::by_client : Shown::by_server;
    for (const LivingHost& a : hosts) {
        for (const LivingHost& b : hosts) {
            if (&a == &b || a.is_away(on) || b.is_away(on)) continue;
            CHECK(verify_at(day(on), a.identity.certificate, b.identity.authority, as) == "");
        }
    }
}

// Comes back after years: neither side takes the other, and a token mends it.
void come_back(Cloud& cloud, LivingHost& host, std::int64_t on) {
    CHECK(cloud.problem(host.identity) != "");
    CHECK(http::read_certificate(host.identity.certificate)->not_after < day(on));
    CHECK(verify_at(day(on), host.identity.certificate, cloud.trusted, Shown::by_client) != "");
    cloud.join(host);
    CHECK(cloud.problem(host.identity) == "");
}

}  // namespace

TEST_CASE("in thirty years, with four authorities, all who are there verify each other at any time") {
    Cloud cloud;
    // The second is not seen for two weeks twice a year; the third not for years, once beyond an authority's end.
    std::vector<Absence> often;
    for (std::int64_t from = 15 * kWeek; from < kYears * kYear; from += 26 * kWeek) often.push_back({from, kWeek});
    std::vector<LivingHost> hosts;
    hosts.emplace_back(1);
    hosts.emplace_back(2, often);
    hosts.emplace_back(3, std::vector<Absence>{{5 * kYear, 6 * kYear}, {15 * kYear, 2 * kYear}});
    for (LivingHost& host : hosts) cloud.join(host);
    std::string monthly = cloud.last_shown(), yearly = monthly;  // what command lines keep
    for (std::int64_t on = kWeek; on < kYears * kYear; on += kWeek) {
        CAPTURE(on);
        const bool is_month = on % (4 * kWeek) == 0;
        cloud.pass_to(on);
        if (is_month) cloud.run();
        for (LivingHost& host : hosts) {
            if (host.is_away(on)) continue;
            if (&host == &hosts[2] && host.is_away(on - kWeek)) come_back(cloud, host, on);
            CHECK(cloud.problem(host.identity) == "");
            if (is_month) cloud.learn(host.identity.authority);
            cloud.renew(host);
        }
        check_among_each_other(hosts, on);
        if (!is_month) continue;
        CHECK(verify_at(day(on), cloud.shown, monthly, Shown::by_server) == "");
        cloud.learn(monthly);
        if (on % (52 * kWeek) != 0) continue;
        CHECK(verify_at(day(on), cloud.shown, yearly, Shown::by_server) == "");
        cloud.learn(yearly);
    }
    CHECK(cloud.signers.size() == 4);
    CHECK((hosts[0].joined == 1 && hosts[1].joined == 1 && hosts[2].joined == 3));
    for (const LivingHost& host : hosts) CHECK(host.renewed > 300);
}
