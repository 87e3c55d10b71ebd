// Reading and writing of described values, and the hostile forms of JSON and YAML.
#include "common/model/codec.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "common/base/base64.hpp"
#include "common/channel/messages.hpp"
#include "common/model/fleet.hpp"
#include "common/model/format.hpp"

using namespace axle;

namespace {

enum class Colour { red, dark_blue };
constexpr EnumNames<Colour, 2> names(Colour) {
    return {{{Colour::red, "red"}, {Colour::dark_blue, "dark-blue"}}};
}
struct Part {
    std::int64_t size = 7;
    std::optional<bool> fast;
};
template <class V>
void describe(Part& v, V&& field) {
    field("size", v.size, {.min = 1, .max = 10 << 20, .unit = Unit::bytes});
    field("fast", v.fast, {});
}
struct Thing {
    std::string name;
    Colour colour = Colour::red;
    std::int64_t count = 1;
    std::map<std::string, Part> parts;
    std::vector<std::string> tags;
    Ref network;
    Secret password;
    std::int64_t hidden = 5;
};
template <class V>
void describe(Thing& v, V&& field) {
    field("name", v.name, {.required = true, .format = Format::label});
    field("colour", v.colour, {});
    field("count", v.count, {.min = 1, .max = 9});
    field("parts", v.parts, {.max = 2});
    field("tags", v.tags, {.max = 3});
    field("network", v.network, {.ref = "network"});
    field("password", v.password, {.sensitive = true});
    field("hidden", v.hidden, {.internal = true});
}

std::vector<FieldError> errors_of(const char* text, bool yaml = false) {
    Thing thing;
    std::vector<FieldError> errors;
    const auto parsed = yaml ? parse_yaml(text)->front() : *parse_json(text);
    read_value(type_of<Thing>(), &thing, parsed, {.audience = Audience::api, .text_scalars = yaml}, "/spec", errors);
    return errors;
}

}  // namespace

TEST_CASE("a described value goes to JSON and back unchanged") {
    Thing thing{.name = "a-1",
                .colour = Colour::dark_blue,
                .count = 3,
                .parts = {{"x", {.size = 9, .fast = true}}},
                .tags = {"q\"\n"}};
    thing.network = {Uuid{}, "blue"};
    thing.password.plain = "s3cret";
    const std::string text = to_json_text(thing);
    const auto back = from_json_text<Thing>(text);
    REQUIRE(back);
    CHECK(to_json_text(*back) == text);
    CHECK(back->parts.at("x").fast == true);
    CHECK(to_json_text(thing, Audience::api).find("s3cret") == std::string::npos);
    CHECK(to_json_text(thing, Audience::api).find("hidden") == std::string::npos);
}

TEST_CASE("every mistake is named with its path and numbers") {
    struct Row {
        const char* text;
        const char* pointer;
        const char* code;
        const char* detail;
    };
    for (const Row& row :
         {Row{R"({"name":"a","count":99})", "/spec/count", "out-of-range", "1 to 9, is 99"},
          Row{R"({"name":"a","coutn":1})", "/spec/coutn", "unknown-field", "known are name"},
          Row{R"({"name":"a","hidden":1})", "/spec/hidden", "unknown-field", "known are"},
          Row{R"({"count":1})", "/spec/name", "required", "required"},
          Row{R"({"name":"A_"})", "/spec/name", "malformed", "a-z"},
          Row{R"({"name":"a","colour":"green"})", "/spec/colour", "unknown-value", "red, dark-blue"},
          Row{R"({"name":"a","parts":{"x":{"size":"11MiB"}}})", "/spec/parts/x/size", "out-of-range", "10 MiB"},
          Row{R"({"name":"a","parts":{"x":{"size":"11Mib2"}}})", "/spec/parts/x/size", "malformed", "unit"},
          Row{R"({"name":"a","parts":{"X/~":{}}})", "/spec/parts/X~1~0", "malformed", "a-z"},
          Row{R"({"name":"a","tags":["a","b","c","d"]})", "/spec/tags", "out-of-range", "at most 3"},
          Row{R"({"name":"a","tags":[1]})", "/spec/tags/0", "wrong-type", "must be a string, is a number"},
          Row{R"({"name":"a","count":18446744073709551615})", "/spec/count", "out-of-range", "2^63"},
          Row{R"({"name":"a","count":1.5})", "/spec/count", "wrong-type", "a fraction"},
          Row{R"({"name":"a","network":"a b"})", "/spec/network", "malformed", "a name"}}) {
        CAPTURE(row.text);
        const auto errors = errors_of(row.text);
        REQUIRE(errors.size() == 1);
        CHECK(errors[0].pointer == row.pointer);
        CHECK(errors[0].code == row.code);
        CHECK(errors[0].detail.find(row.detail) != std::string::npos);
    }
    CHECK(errors_of(R"({"name":"A","count":0,"x":1})").size() == 3);
}

TEST_CASE("in YAML the field's type decides what a scalar is") {
    Thing thing;
    std::vector<FieldError> errors;
    const auto parsed = parse_yaml("name: y\ncount: 5\ntags: [no, 012, 1e3]\nparts: {x: {size: 2M, fast: true}}\n");
    REQUIRE(parsed);
    read_value(type_of<Thing>(), &thing, parsed->front(), {.audience = Audience::api, .text_scalars = true}, "",
               errors);
    CHECK(errors.empty());
    CHECK(thing.name == "y");
    CHECK(thing.count == 5);
    CHECK(thing.tags == std::vector<std::string>{"no", "012", "1e3"});
    CHECK(thing.parts.at("x").size == 2 << 20);
    CHECK(errors_of("name: a\ncount: five\n", true).at(0).detail.find("integer") != std::string::npos);
}

TEST_CASE("hostile JSON and YAML are refused with a reason") {
    CHECK(parse_json("").error().code == Code::malformed);
    CHECK(parse_json("{\"a\":1").error().code == Code::malformed);
    CHECK(parse_json("{\"a\":1,\"a\":2}").error().message.find("twice") != std::string::npos);
    CHECK(parse_json(std::string(100'000, '[')).error().code == Code::malformed);
    CHECK(parse_json("\"\xff\"").error().code == Code::malformed);
    CHECK(parse_json(std::string(30, '[') + std::string(30, ']')));
    CHECK(parse_yaml("a: 1\na: 2\n").error().message.find("twice") != std::string::npos);
    CHECK(parse_yaml("a: &x 1\nb: *x\n").error().message.find("aliases") != std::string::npos);
    // yaml-cpp gives empty documents without end where nothing is open that is closed.
    for (const char* stray : {"]", "}", ",", "a: 1\n---\n]\n", "[a]]"}) {
        INFO(stray);
        const auto read = parse_yaml(stray);
        REQUIRE_FALSE(read);
        CHECK(read.error().code == Code::malformed);
    }
    CHECK(parse_yaml("a: 1\n---\n---\nb: 2\n")->size() == 2);
    CHECK(parse_yaml(std::string(10'000, '[')).error().code == Code::malformed);
    CHECK(parse_yaml(std::string(100'000, '-')).error().code == Code::malformed);
    std::string many = "a:\n";
    for (int i = 0; i < 300'000; ++i) many += "- 1\n";
    CHECK(parse_yaml(many).error().code == Code::too_large);
    CHECK(parse_yaml("a: [1\nb: 2").error().message.find("line") != std::string::npos);
    CHECK(parse_yaml("\xff").error().code == Code::malformed);
    CHECK(parse_yaml("--- \na: 1\n---\nb: 2\n")->size() == 2);
}

TEST_CASE("the store form seals secrets and keeps ids of references") {
    const SecretCodec codec{
        [](std::string_view plain, std::string_view) { return "sealed:" + std::string(plain.rbegin(), plain.rend()); },
        [](std::string_view sealed, std::string_view) -> Result<std::string> {
            if (!sealed.starts_with("sealed:")) return fail(Code::corrupt, "not sealed");
            sealed.remove_prefix(7);
            return std::string(sealed.rbegin(), sealed.rend());
        }};
    Thing thing{.name = "a"};
    thing.network = {*Uuid::parse("0190aaaa-0000-7000-8000-000000000001"), "blue"};
    thing.password.plain = "abc";
    const std::string text = to_json_text(thing, Audience::store, &codec);
    CHECK(text.find("sealed:cba") != std::string::npos);
    const auto back = from_json_text<Thing>(text, {.audience = Audience::store, .secrets = &codec});
    REQUIRE(back);
    CHECK(back->network == thing.network);
    CHECK(back->password.plain == "abc");
    CHECK(back->hidden == 5);
}

TEST_CASE("messages survive the wire, unknown types and fields are ignored") {
    Hello hello{.cluster = "c", .boot_id = "b", .connection = 3};
    hello.documents.push_back({.kind = DocumentKind::volume, .hash = "h", .epoch = {1, 2}});
    hello.facts.cpus = 4;
    const auto back = decode(encode(Message(hello)));
    REQUIRE(back);
    REQUIRE(*back);
    const auto& got = std::get<Hello>(**back);
    CHECK(got.documents.at(0).epoch == Epoch{1, 2});
    CHECK(got.facts.cpus == 4);
    const std::string bytes("\0\xff\n", 3);
    CHECK(std::get<StreamData>(**decode(encode(Message(StreamData{7, bytes})))).bytes == bytes);
    CHECK_FALSE(decode(R"({"type":"of-tomorrow","x":1})")->has_value());
    CHECK(decode(R"({"type":"heartbeat","x":1})")->has_value());
    CHECK_FALSE(decode("{}"));
    CHECK_FALSE(decode(R"({"type":"stream-data","bytes":3})"));
    CHECK_FALSE(decode(R"({"type":"hello","documents":{}})"));
}

TEST_CASE("base64 goes both ways and refuses what it is not") {
    for (const char* text : {"", "a", "ab", "abc", "abcd"}) CHECK(base64_decode(base64_encode(text)) == text);
    CHECK(base64_encode("light w") == "bGlnaHQgdw==");
    CHECK_FALSE(base64_decode("a"));
    CHECK_FALSE(base64_decode("a b="));
    CHECK(base64_decode("YQ==") == "a");
    CHECK_FALSE(base64_decode("YR=="));  // bits that say nothing are zero: one text for the same bytes
    CHECK_FALSE(base64_decode("YWJ="));
}

TEST_CASE("ranges of addresses") {
    CHECK(parse_cidr("10.0.0.7/24")->str() == "10.0.0.0/24");
    CHECK(parse_cidr("10.0.0.0/8")->overlaps(*parse_cidr("10.90.0.0/24")));
    CHECK_FALSE(parse_cidr("10.0.0.0/24")->overlaps(*parse_cidr("10.0.1.0/24")));
    for (const char* bad : {"10.0.0.0", "10.0.0.0/33", "10.0.0/24", "10.0.0.256/8", "010.0.0.1/8", "10.0.0.0/"})
        CHECK_FALSE(parse_cidr(bad));
}

TEST_CASE("a merge changes what it names, and null takes away") {
    Thing thing{.name = "a", .count = 5, .parts = {{"x", {.size = 9, .fast = true}}, {"y", {}}}};
    std::vector<FieldError> errors;
    const auto patch = *parse_json(R"({"count":null,"parts":{"x":{"size":8},"y":null}})");
    read_value(type_of<Thing>(), &thing, patch, {.audience = Audience::api, .merge = true}, "", errors);
    CHECK(errors.empty());
    CHECK(thing.name == "a");
    CHECK(thing.count == 1);
    CHECK(thing.parts.size() == 1);
    CHECK(thing.parts.at("x").size == 8);
    CHECK(thing.parts.at("x").fast == true);
}

TEST_CASE("a fraction is read from YAML's text as well") {
    const ReadOptions yaml{.audience = Audience::api, .text_scalars = true};
    CHECK(from_json_text<HostSpec>(R"({"cpuOvercommit":"2.5"})", yaml)->cpu_overcommit == 2.5);
    CHECK_FALSE(from_json_text<HostSpec>(R"({"cpuOvercommit":"many"})", yaml));
    CHECK_FALSE(from_json_text<HostSpec>(R"({"cpuOvercommit":"2.5"})", {.audience = Audience::api}));
}

TEST_CASE("overcommit has bounds") {
    const ReadOptions api{.audience = Audience::api};
    for (const char* value : {"0", "-1", "0.09", "100.5", "1e300"}) {
        CAPTURE(value);
        const auto bad = from_json_text<HostSpec>(fmt::format(R"({{"cpuOvercommit":{}}})", value), api);
        REQUIRE_FALSE(bad);
        CHECK(bad.error().fields.front().code == "out-of-range");
        CHECK(bad.error().message.find("0.1 to 100") != std::string::npos);
    }
    CHECK(from_json_text<HostSpec>(R"({"diskOvercommit":0.1,"memoryOvercommit":100})", api)->disk_overcommit == 0.1);
}
