// Bodies: content types, and every mistake of a document with its pointer.
#include "orchestrator/api/body.hpp"

#include <doctest/doctest.h>

using namespace axle;
using namespace axle::api;

namespace {

http::Request with(const char* type, const char* body) {
    http::Request request;
    if (*type != '\0') request.headers.set("Content-Type", type);
    request.body = body;
    return request;
}

std::vector<FieldError> mistakes_in(const char* text, const Expected& expected) {
    std::vector<FieldError> errors;
    (void)check_document(nlohmann::json::parse(text), expected, false, "", errors);
    return errors;
}

const Expected kVm{.kind = &info_of(Kind::vm), .project = "default", .name = "", .project_is_fixed = true};

}  // namespace

TEST_CASE("JSON and YAML are told by the content type") {
    CHECK(read_body(with("application/json", "{}")));
    CHECK(read_body(with("application/json; charset=utf-8", "{}")));
    CHECK(read_body(with("", "{}")));
    CHECK(read_body(with("application/merge-patch+json", "{}")));
    const auto yaml = read_body(with("application/yaml", "a: 1\n---\nb: 2\n"));
    REQUIRE(yaml);
    CHECK(yaml->documents.size() == 2);
    CHECK(yaml->text_scalars);
    const auto form = read_body(with("application/x-www-form-urlencoded", "{}"));
    REQUIRE_FALSE(form);
    CHECK(form.error().reason == "unsupported-media-type");
    CHECK(form.error().hint.find("Content-Type: application/json") != std::string::npos);
    CHECK_FALSE(read_body(with("text/html", "{}")));
}

TEST_CASE("syntax errors name line and column") {
    const auto json = read_body(with("application/json", "{\n  \"a\": ]\n}"));
    REQUIRE_FALSE(json);
    CHECK(json.error().code == Code::malformed);
    CHECK(json.error().message.find("line 2") != std::string::npos);
    const auto yaml = read_body(with("text/yaml", "a: 1\nb: [1\n"));
    REQUIRE_FALSE(yaml);
    CHECK(yaml.error().message.find("line") != std::string::npos);
    CHECK_FALSE(read_one(with("application/yaml", "a: 1\n---\nb: 2\n")));
    CHECK_FALSE(read_one(with("application/json", "[]")));
    CHECK_FALSE(read_one(with("application/json", "")));
    CHECK(read_one_or_none(with("application/json", "")));
}

TEST_CASE("every mistake of a document is told with its pointer") {
    struct Row {
        const char *text, *pointer, *code;
    };
    for (const Row& row : {
             Row{R"({"spec":{}})", "/name", "required"},
             Row{R"({"name":"Web_1"})", "/name", "malformed"},
             Row{R"({"name":5})", "/name", "wrong-type"},
             Row{R"({"name":"01900000-0000-7000-8000-000000000001"})", "/name", "malformed"},
             Row{R"({"name":"a","speck":{}})", "/speck", "unknown-field"},
             Row{R"({"name":"a","kind":"volume"})", "/kind", "conflict"},
             Row{R"({"name":"a","kind":"cow"})", "/kind", "unknown-value"},
             Row{R"({"name":"a","apiVersion":"axle/v2"})", "/apiVersion", "unknown-value"},
             Row{R"({"name":"a","project":"other"})", "/project", "conflict"},
             Row{R"({"name":"a","labels":{"a":1}})", "/labels/a", "wrong-type"},
             Row{R"({"name":"a","spec":{"cpus":0}})", "/spec/cpus", "out-of-range"},
             Row{R"({"name":"a","spec":{"cpus":"two"}})", "/spec/cpus", "wrong-type"},
             Row{R"({"name":"a","spec":{"cpu":2}})", "/spec/cpu", "unknown-field"},
             Row{R"({"name":"a","spec":{"memory":"2 bananas"}})", "/spec/memory", "malformed"},
             Row{R"({"name":"a","spec":{"nics":{"eth0":{}}}})", "/spec/nics/eth0/network", "required"},
             Row{R"({"name":"a","spec":{"power":"on"}})", "/spec/power", "unknown-value"},
             Row{R"({"name":"a","spec":[]})", "/spec", "wrong-type"},
         }) {
        CAPTURE(row.text);
        const auto errors = mistakes_in(row.text, kVm);
        REQUIRE(errors.size() == 1);
        CHECK(errors[0].pointer == row.pointer);
        CHECK(errors[0].code == row.code);
        CHECK(errors[0].detail != "");
    }
    CHECK(mistakes_in(R"({"name":"A","x":1,"spec":{"cpus":0,"y":2}})", kVm).size() == 4);
}

TEST_CASE("what was read can be sent back") {
    std::vector<FieldError> errors;
    const auto document =
        check_document(nlohmann::json::parse(
                           R"({"apiVersion":"axle/v1","kind":"vm","name":"a","project":"default","id":"x","revision":7,
        "generation":1,"created":"2026-01-01T00:00:00Z","spec":{"cpus":2},"status":{"phase":"running"}})"),
                       kVm, false, "", errors);
    CHECK(errors.empty());
    CHECK(document.name == "a");
    CHECK(document.body == nlohmann::json::parse(R"({"kind":"vm","name":"a","project":"default","spec":{"cpus":2}})"));
}

TEST_CASE("an applied document says its kind and may say its project") {
    const Expected any{.project = "default"};
    CHECK(mistakes_in(R"({"name":"a"})", any).at(0).pointer == "/kind");
    CHECK(mistakes_in(R"({"kind":"vm","name":"a","project":"other"})", any).empty());
    CHECK(mistakes_in(R"({"kind":"flavor","name":"a","project":"x","spec":{"cpus":1,"memory":"1GiB"}})", any)
              .at(0)
              .pointer == "/project");
    CHECK(mistakes_in(R"({"kind":"task","name":"a"})", any).at(0).pointer == "/kind");
    CHECK(mistakes_in(R"([])", any).at(0).code == "wrong-type");
}

TEST_CASE("a patch can't touch what we make") {
    std::vector<FieldError> errors;
    check_patch(
        nlohmann::json::parse(R"({"status":{},"id":"x","spec":{"cpus":null,"nope":1},"labels":null,"speck":1})"),
        info_of(Kind::vm), errors);
    CHECK(errors.size() == 4);
}
