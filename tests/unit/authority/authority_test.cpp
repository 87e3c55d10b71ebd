// How one authority hands over to the next: what is on disk, what is shown, who verifies what, on any day.
#include <cerrno>
#include <filesystem>

#include "tests/support/authority_place.hpp"
#include "tests/support/failing_call.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/verify_at.hpp"

using namespace axle;
using namespace axle::test;

namespace {

const std::vector<std::string> kFiles{"ca.key", "ca.pem"};

// Both ways in which a host's certificate is used.
std::string host_problem(std::int64_t on, const std::string& shown, const std::string& trusted) {
    const std::string as_client = verify_at(day(on), shown, trusted, Shown::by_client);
    return as_client.empty() ? verify_at(day(on), shown, trusted, Shown::by_server) : as_client;
}
std::string server_problem(std::int64_t on, const std::string& shown, const std::string& trusted) {
    return verify_at(day(on), shown, trusted, Shown::by_server);
}

}  // namespace

TEST_CASE("an authority hands over two years before its end, once, and stays two private files") {
    const Place place;
    place.open(0);
    const std::string first = place.content("identity/ca.pem"), first_key = place.content("identity/ca.key");
    Authority authority = place.open(kHandsOver);
    CHECK(place.content("identity/ca.pem") == first);
    REQUIRE(authority.renew(day(kHandsOver + 1)));
    const auto now = place.certificates();
    REQUIRE(now.size() == 3);
    CHECK(now[2] == first);
    CHECK(place.content("identity/ca.key") != first_key);
    CHECK(http::check_key_pair({now[0], place.content("identity/ca.key")}));
    const auto made = *http::read_certificate(now[0]), cross = *http::read_certificate(now[1]),
               old = *http::read_certificate(now[2]);
    CHECK(made.not_after == day(kHandsOver + 1 + kLasts));
    CHECK(cross.not_after == old.not_after);
    CHECK(made.name == old.name);
    for (const auto& name : kFiles)
        CHECK((std::filesystem::status(place.folders.identity + "/" + name).permissions() &
               std::filesystem::perms::mask) == std::filesystem::perms(0600));
    for (const std::int64_t on : {kHandsOver + 1, kLasts - 1, kLasts + 1}) {
        REQUIRE(authority.renew(day(on)));
        place.open(on);
        CHECK(place.certificates() == now);
    }
    CHECK(place.names() == kFiles);
}

TEST_CASE("who trusts the old authority, the new one or both verifies the server and hosts until the old one ends") {
    const Place place;
    const Authority before = place.open(0);
    const std::string by_old = host_certificate(before, kHandsOver - 1);
    const std::string server_by_old = place.server(before, kHandsOver - 1);
    const Authority authority = place.open(kHandsOver + 1);
    const auto certificates = place.certificates();
    const std::string& fresh = certificates[0];
    const std::string& old = certificates[2];
    for (const std::int64_t on : {kHandsOver + 1, kHandsOver + 400, kLasts - 1}) {
        CAPTURE(on);
        const std::string server = place.server(authority, on), host = host_certificate(authority, on);
        CHECK(authority.trusted(day(on)) == old + fresh);
        for (const std::string& trusted : {old, fresh, old + fresh, fresh + old}) {
            CHECK(server_problem(on, server, trusted) == "");
            CHECK(host_problem(on, host, trusted) == "");
        }
    }
    // What the old one signed is good for its time, to whoever was told both.
    CHECK(host_problem(kHandsOver + 20, by_old, authority.trusted(day(kHandsOver + 20))) == "");
    CHECK(host_problem(kHandsOver + 40, by_old, authority.trusted(day(kHandsOver + 40))) == "certificate has expired");
    // The server's own is made anew at once: it would outlive the authority.
    CHECK(http::read_certificate(server_by_old)->not_after > http::read_certificate(old)->not_after);
    for (const std::int64_t on : {kLasts + 1, kLasts + 400}) {
        CAPTURE(on);
        const std::string server = place.server(authority, on), host = host_certificate(authority, on);
        CHECK(authority.trusted(day(on)) == fresh);
        for (const std::string& trusted : {fresh, old + fresh}) {
            CHECK(server_problem(on, server, trusted) == "");
            CHECK(host_problem(on, host, trusted) == "");
        }
        CHECK(server_problem(on, server, old) != "");
    }
}

TEST_CASE("a host's certificate from the last days of the old authority is good after its end") {
    const Place place;
    const Authority authority = place.open(0);
    const Authority next = place.open(kHandsOver + 1);
    const std::string host = host_certificate(next, kLasts - 5);
    CHECK(host_problem(kLasts + 20, host, next.trusted(day(kLasts + 20))) == "");
}

TEST_CASE("the fingerprint is that of the last certificate that is shown: the old authority's until it ends") {
    const Place place;
    const Authority authority = place.open(0);
    const std::string first = authority.fingerprint(day(0));
    const Authority next = place.open(kHandsOver + 1);
    for (const std::int64_t on : {kHandsOver + 1, kLasts - 1, kLasts + 1}) {
        CAPTURE(on);
        const auto shown = *http::certificates_in(place.server(next, on));
        CHECK(shown.size() == (on < kLasts ? 3 : 2));
        CHECK(next.fingerprint(day(on)) == *http::fingerprint_of(shown.back()));
        CHECK((next.fingerprint(day(on)) == first) == (on < kLasts));
        // Agents of older releases look at the first of what they are given when they join.
        CHECK(*http::fingerprint_of(next.trusted(day(on))) == next.fingerprint(day(on)));
        CHECK(place.content("tls/trusted.pem") == next.trusted(day(on)));
    }
}

TEST_CASE("a clock that is years ahead and set back, again and again, takes trust from nobody") {
    for (const std::int64_t ahead : {9 * 365, 11 * 365, 40 * 365}) {
        CAPTURE(ahead);
        const Place place;
        const Authority first = place.open(0);
        const std::string known = place.content("identity/ca.pem"), host = host_certificate(first, 0);
        for (int turn = 0; turn < 3; ++turn) {
            const Authority wrong = place.open(ahead + turn);
            place.server(wrong, ahead + turn);
            const Authority authority = place.open(1);
            CHECK(place.certificates().size() == 3);
            const std::string server = place.server(authority, 1), fresh = host_certificate(authority, 1);
            for (const std::string& trusted : {known, place.certificates()[0], authority.trusted(day(1))}) {
                CHECK(server_problem(1, server, trusted) == "");
                CHECK(host_problem(1, fresh, trusted) == "");
            }
            CHECK(host_problem(1, host, place.content("tls/trusted.pem")) == "");
            CHECK(authority.fingerprint(day(1)) == *http::fingerprint_of(known));
        }
        CHECK(place.names() == kFiles);
    }
}

TEST_CASE("a clock before the authority's beginning makes no other, and leaves something to trust") {
    const Place place;
    place.open(0);
    const std::string known = place.content("identity/ca.pem");
    const Authority authority = place.open(-20'000);
    place.server(authority, -20'000);
    CHECK(place.content("identity/ca.pem") == known);
    CHECK(authority.trusted(day(-20'000)) == known);
    CHECK(server_problem(1, place.server(place.open(1), 1), known) == "");
}

TEST_CASE("an authority that ended while nothing ran is followed by one that works at once") {
    const Place place;
    const std::string old_host = host_certificate(place.open(0), 0);
    const std::string known = place.content("identity/ca.pem");
    constexpr std::int64_t kLater = kLasts + 500;
    const Authority authority = place.open(kLater);
    const std::string server = place.server(authority, kLater);
    CHECK(server_problem(kLater, server, place.certificates()[0]) == "");
    CHECK(server_problem(kLater, server, known) != "");
    CHECK(host_problem(kLater, old_host, authority.trusted(day(kLater))) != "");
    CHECK(host_problem(kLater, host_certificate(authority, kLater), authority.trusted(day(kLater))) == "");
    CHECK(authority.fingerprint(day(kLater)) == *http::fingerprint_of(http::certificates_in(server)->back()));
}

TEST_CASE("the files of two different moments are told apart: what fits is used, else nothing is changed") {
    const Place place;
    place.open(0);
    const std::string first = place.content("identity/ca.pem"), first_key = place.content("identity/ca.key");
    place.open(kHandsOver + 1);
    const std::string second = place.content("identity/ca.pem");
    // The old key under the new certificates, as a power cut between the two leaves them.
    REQUIRE(write_file_durably(place.folders.identity + "/ca.key", first_key));
    const Authority again = place.open(kHandsOver + 2);
    CHECK(place.certificates().size() == 3);
    CHECK(place.certificates()[2] == first);
    CHECK(place.certificates()[0] != *http::certificates_in(second)->begin());
    CHECK(server_problem(kHandsOver + 2, place.server(again, kHandsOver + 2), first) == "");
    // The new key under the old certificate.
    REQUIRE(write_file_durably(place.folders.identity + "/ca.pem", first));
    const std::string key = place.content("identity/ca.key");
    const auto refused = Authority::open(place.folders, day(kHandsOver + 3));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::corrupt);
    CHECK(refused.error().hint.find("backup of both") != std::string::npos);
    CHECK(place.content("identity/ca.pem") == first);
    CHECK(place.content("identity/ca.key") == key);
}

TEST_CASE("a server's certificate whose key is another's is made anew") {
    const Place place;
    const Authority authority = place.open(0);
    const std::string before = place.server(authority, 0);
    CHECK(place.server(authority, 1) == before);
    const auto other = *http::make_signing_request("x");
    REQUIRE(write_file_durably(place.folders.tls + "/server.key", other.key));
    CHECK(place.server(authority, 1) != before);
}

TEST_CASE("whichever call fails while it hands over, the authority is whole, and the next look does it") {
#ifndef AXLE_FAULTS
    SKIP_TEST("calls can be made to fail in dev builds only");
#endif
    constexpr std::int64_t kNow = kHandsOver + 1;
    int failed = 0, handed_over = 0;
    for (int n = 1; n < 100; ++n) {
        CAPTURE(n);
        const Place place;
        Authority authority = place.open(0);
        const std::string known = place.content("identity/ca.pem");
        Result<> renewed;
        const bool reached = with_failing_call(n, EIO, [&] { renewed = authority.renew(day(kNow)); });
        CHECK(renewed.has_value() != reached);
        CHECK(server_problem(kNow, place.server(authority, kNow), known) == "");
        const Authority from_disk = place.open(0);  // on a day when nothing is to be done
        CHECK(host_problem(kNow, host_certificate(from_disk, kNow), known) == "");
        handed_over += reached && http::certificates_in(host_certificate(from_disk, 0))->size() == 3 ? 1 : 0;
        REQUIRE(authority.renew(day(kNow)));
        CHECK(place.certificates().size() == 3);
        CHECK(place.certificates()[2] == known);
        CHECK(authority.trusted(day(kNow)) == known + place.certificates()[0]);
        CHECK(server_problem(kNow, place.server(authority, kNow), known) == "");
        CHECK(place.names() == kFiles);
        if (!reached) break;
        ++failed;
    }
    CHECK(failed >= 8);
    CHECK((handed_over > 0 && handed_over < failed));
}

TEST_CASE("a second failure after one that came when the new key was there already leaves a whole authority, too") {
#ifndef AXLE_FAULTS
    SKIP_TEST("calls can be made to fail in dev builds only");
#endif
    constexpr std::int64_t kNow = kHandsOver + 1;
    const auto fails_at = [](Authority& authority, int n) {
        Result<> renewed;
        return with_failing_call(n, EIO, [&] { renewed = authority.renew(day(kNow)); });
    };
    int twice = 0;
    for (int first = 1; first < 100; ++first) {
        bool reached = true;
        for (int second = 1; second < 100; ++second) {
            CAPTURE(first);
            CAPTURE(second);
            const Place place;
            Authority authority = place.open(0);
            const std::string known = place.content("identity/ca.pem"), key = place.content("identity/ca.key");
            reached = fails_at(authority, first);
            if (!reached || place.content("identity/ca.key") == key) break;
            const bool again = fails_at(authority, second);
            const Authority from_disk = place.open(kNow);
            CHECK(server_problem(kNow, place.server(from_disk, kNow), known) == "");
            if (!again) break;
            ++twice;
        }
        if (!reached) break;
    }
    CHECK(twice > 0);
}
