// The hourly look: an authority that runs for years hands over by itself, and the port shows what was renewed.
#include "orchestrator/hosts/certificate_watch.hpp"

#include "tests/support/authority_place.hpp"
#include "tests/support/verify_at.hpp"
#include "tests/support/virtual_clock.hpp"

using namespace axle;
using namespace axle::test;

namespace {

constexpr milliseconds kDay{24 * 3'600'000};

// A server that runs from day 0 on, without a restart.
struct Watched {
    Watched() {
        shown = place.server(authority, 0);
        watch.start();
    }
    std::int64_t today() const { return (clock.wall().ms - day(0).ms) / kDay.count(); }
    std::string shown_file() const {
        return *http::read_key_pair(place.dir / "tls/server.pem", place.dir / "tls/server.key")
                    .transform([](const auto& pair) { return pair.certificate; });
    }
    // "" or why who trusts this does not take what the port shows today.
    std::string problem(const std::string& trusted) const {
        return verify_at(clock.wall(), shown, trusted, Shown::by_server);
    }

    Place place;
    VirtualTime time;
    VirtualClock clock{time};
    Authority authority = place.open(0);
    const std::string first = place.content("identity/ca.pem");
    std::string shown;  // by the port
    int looks = 0, shows = 0;
    bool busy = false, deaf = false;
    CertificateWatch watch{authority,
                           {},
                           {clock, clock,
                            [this](std::function<void()> job) {
                                if (busy) return false;
                                ++looks;
                                clock.after(seconds{1}, std::move(job));
                                return true;
                            },
                            [this]() -> Result<> {
                                if (deaf) return fail(Code::unavailable, "planned");
                                ++shows;
                                shown = shown_file();
                                return {};
                            }}};
};

}  // namespace

TEST_CASE("the authority and the server's certificate are looked at every hour, also after a look that found nothing") {
    Watched w;
    w.time.run_for(CertificateWatch::kEvery - seconds{1});
    CHECK(w.looks == 0);
    w.time.run_for(kDay + seconds{60});
    CHECK(w.looks == 25);
    CHECK(w.shows == 0);
    CHECK(w.place.certificates().size() == 1);
}

TEST_CASE("a server that runs for ten years hands over, and shows at any time what old and new trust verify") {
    Watched w;
    for (int month = 0; month < 121; ++month) {
        w.clock.jump_wall(30 * kDay.count());
        w.time.run_for(CertificateWatch::kEvery + seconds{60});
        CAPTURE(w.today());
        CHECK(w.problem(w.authority.trusted(w.clock.wall())) == "");
        CHECK(w.shown == w.shown_file());
        if (w.today() < kLasts) CHECK(w.problem(w.first) == "");
    }
    CHECK(w.place.certificates().size() == 3);
    CHECK(w.shows >= 4);
}

TEST_CASE("where the workers are busy, or the port can't take what was renewed, it is tried again an hour later") {
    Watched w;
    const std::string before = w.shown;
    w.clock.jump_wall((kHandsOver + 1) * kDay.count());
    w.busy = w.deaf = true;
    w.time.run_for(3 * CertificateWatch::kEvery);
    CHECK(w.looks == 0);
    w.busy = false;
    w.time.run_for(2 * CertificateWatch::kEvery + seconds{60});
    CHECK(w.looks == 2);
    CHECK(w.place.certificates().size() == 3);
    CHECK(w.shown == before);
    w.deaf = false;
    w.time.run_for(CertificateWatch::kEvery + seconds{60});
    CHECK(w.shows == 1);
    CHECK(w.shown == w.shown_file());
    CHECK(w.shown != before);
    w.time.run_for(2 * CertificateWatch::kEvery);
    CHECK(w.shows == 1);
}

TEST_CASE("an authority whose file is away is an error of that look alone: the next one does it") {
    Watched w;
    w.clock.jump_wall((kHandsOver + 1) * kDay.count());
    const std::string key = w.place.dir / "identity/ca.key";
    REQUIRE(std::rename(key.c_str(), (key + ".away").c_str()) == 0);
    w.time.run_for(CertificateWatch::kEvery + seconds{60});
    CHECK(w.place.certificates().size() == 1);
    REQUIRE(std::rename((key + ".away").c_str(), key.c_str()) == 0);
    w.time.run_for(CertificateWatch::kEvery + seconds{60});
    CHECK(w.place.certificates().size() == 3);
    CHECK(w.problem(w.first) == "");
}
