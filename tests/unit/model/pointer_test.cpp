// Pointers to fields, with keys of any text.
#include "common/model/pointer.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace axle;
using nlohmann::json;

TEST_CASE("any key goes into a pointer and comes out of it") {
    for (const char* key : {"a", "a/b", "a~b", "~1", "~0", "~", "", "example.com/tier", "/"}) {
        CAPTURE(key);
        CHECK(pointer_keys(child_pointer("/labels", key)) == std::vector<std::string>{"labels", key});
        CHECK(pointer_keys(child_pointer(child_pointer("", key), "x")) == std::vector<std::string>{key, "x"});
        const std::string pointer = child_pointer("/labels", key);
        CHECK(json::json_pointer(pointer).back() == key);  // as others read it
        json in = json::object();
        CHECK(put_at(in, pointer, 1));
        CHECK(in == json{{"labels", {{key, 1}}}});
        REQUIRE(find_at(in, pointer) != nullptr);
        CHECK(*find_at(in, pointer) == 1);
        erase_at(in, pointer);
        CHECK(in == json{{"labels", json::object()}});
    }
    CHECK(pointer_keys("").empty());
    CHECK(dotted("/labels/example.com~1tier") == "labels.example.com/tier");
    CHECK(dotted("") == "");
}

TEST_CASE("a pointer through what is no object finds nothing, puts nothing and erases nothing") {
    const json before = {{"list", {1, 2}}, {"text", "x"}, {"null", nullptr}};
    for (const char* pointer : {"/list/0", "/text/a", "/text/a/b", "/null/a", "/none/a/b"}) {
        CAPTURE(pointer);
        json in = before;
        CHECK(find_at(in, pointer) == nullptr);
        erase_at(in, pointer);
        CHECK(in == before);
        if (std::string_view(pointer).starts_with("/none")) continue;
        CHECK_FALSE(put_at(in, pointer, 1));
        CHECK(in == before);
    }
}
