#include "orchestrator/store/secret_box.hpp"

#include <doctest/doctest.h>

namespace axle {
namespace {

const std::string kKey(32, 'k');

TEST_CASE("a sealed value opens with the same key and place, at any length") {
    const SecretBox box(kKey);
    for (const std::size_t n : {0, 1, 2, 3, 15, 16, 17, 1000, 100'000}) {
        CAPTURE(n);
        const std::string plain(n, '\x7f');
        const std::string sealed = box.seal(plain, "vm/1/userData");
        CHECK(sealed.starts_with("v1:"));
        CHECK(SecretBox::is_sealed(sealed));
        const auto opened = box.open(sealed, "vm/1/userData");
        REQUIRE(opened);
        CHECK(*opened == plain);
    }
}

TEST_CASE("the same value is sealed differently each time") {
    const SecretBox box(kKey);
    CHECK(box.seal("hush", "a") != box.seal("hush", "a"));
}

TEST_CASE("a sealed value does not open elsewhere, with another key, or changed") {
    const SecretBox box(kKey), other(std::string(32, 'j'));
    const std::string sealed = box.seal("hush", "vm/1/userData");
    CHECK(box.open(sealed, "vm/2/userData").error().code == Code::corrupt);
    CHECK(other.open(sealed, "vm/1/userData").error().code == Code::corrupt);
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        CAPTURE(i);
        std::string changed = sealed;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        CHECK_FALSE(box.open(changed, "vm/1/userData"));
        CHECK_FALSE(box.open(sealed.substr(0, i), "vm/1/userData"));
    }
}

TEST_CASE("an error of opening holds neither the value nor the key") {
    const SecretBox box(kKey);
    const auto refused = box.open(box.seal("hush", "a"), "b");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("hush") == std::string::npos);
    CHECK(refused.error().message.find("kkkk") == std::string::npos);
}

TEST_CASE("plain text is not taken for a sealed value") {
    CHECK_FALSE(SecretBox::is_sealed("v1:short"));
    CHECK_FALSE(SecretBox::is_sealed("#cloud-config"));
    CHECK_FALSE(SecretBox(kKey).open("#cloud-config", "a"));
}

}  // namespace
}  // namespace axle
