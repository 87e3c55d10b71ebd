// The generated documents hold together: every reference resolves, ids are unique, every field can be explained.
#include "orchestrator/api/openapi.hpp"

#include <set>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "common/model/object.hpp"
#include "orchestrator/api/route.hpp"

using namespace axle;
using namespace axle::api;
using nlohmann::json;

namespace {

void each_value(const json& value, const std::function<void(const std::string&, const json&)>& call) {
    if (!value.is_structured()) return;
    for (const auto& [key, item] : value.items()) {
        call(key, item);
        each_value(item, call);
    }
}

}  // namespace

TEST_CASE("every reference of the OpenAPI document resolves") {
    const json document = openapi_document();
    int found = 0;
    each_value(document, [&](const std::string& key, const json& value) {
        if (key != "$ref") return;
        ++found;
        const std::string target = value.get<std::string>();
        CAPTURE(target);
        REQUIRE(target.starts_with("#/"));
        CHECK(document.contains(json::json_pointer(target.substr(1))));
    });
    CHECK(found > 50);
}

TEST_CASE("the OpenAPI document has what 3.1 wants") {
    const json document = openapi_document();
    CHECK(document["openapi"] == "3.1.0");
    CHECK(document["info"]["title"] == "Axle");
    CHECK(document["info"]["version"].is_string());
    std::set<std::string> ids;
    for (const auto& [path, item] : document["paths"].items()) {
        CAPTURE(path);
        const json common = item.value("parameters", json::array());
        for (const auto& [method, operation] : item.items()) {
            if (method == "parameters") continue;
            CAPTURE(method);
            CHECK(ids.insert(operation["operationId"].get<std::string>()).second);
            CHECK(operation["responses"].contains("default"));
            std::set<std::string> named;
            for (const json& list : {common, operation.value("parameters", json::array())}) {
                for (const json& parameter : list) {
                    CHECK(parameter["schema"].is_object());
                    if (parameter["in"] == "path") named.insert(parameter["name"].get<std::string>());
                }
            }
            for (std::size_t at = path.find('{'); at != std::string::npos; at = path.find('{', at + 1))
                CHECK(named.contains(path.substr(at + 1, path.find('}', at) - at - 1)));
        }
    }
}

TEST_CASE("every path of the OpenAPI document is a route with that method") {
    const json document = openapi_document();
    for (const auto& [path, item] : document["paths"].items()) {
        std::string concrete = path;
        for (std::size_t at = concrete.find('{'); at != std::string::npos; at = concrete.find('{'))
            concrete.replace(at, concrete.find('}') - at + 1, "x");
        for (const auto& [method, operation] : item.items()) {
            if (method == "parameters") continue;
            std::string upper = method;
            for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
            CAPTURE(concrete);
            CAPTURE(upper);
            CHECK(find_route(upper, concrete));
        }
    }
}

TEST_CASE("secrets are write-only, what we make is read-only, internals are absent") {
    const json schemas = openapi_document()["components"]["schemas"];
    CHECK(schemas["vmSpec"]["properties"]["userData"]["writeOnly"] == true);
    CHECK(schemas["vm"]["properties"]["id"]["readOnly"] == true);
    CHECK_FALSE(schemas["vmStatus"]["properties"].contains("report"));
    CHECK_FALSE(schemas["tokenStatus"]["properties"].contains("hash"));
    CHECK(schemas["vmSpec"]["properties"]["memory"]["description"] == "Memory, e.g. 2GiB. Default 1GiB.");
    CHECK_FALSE(schemas["pool"]["properties"].contains("project"));
}

namespace {
void explain_below(const std::string& path, int depth, int& count) {
    const auto explained = explain_field(path);
    CAPTURE(path);
    REQUIRE(explained);
    ++count;
    CHECK((*explained)["path"] == path);
    if (depth == 0 || !explained->contains("fields")) return;
    const std::string type = (*explained)["type"].get<std::string>();
    const std::string below = type.starts_with("map of") ? path + ".x" : path;
    for (const auto& field : (*explained)["fields"])
        explain_below(below + "." + field["name"].get<std::string>(), depth - 1, count);
}
}  // namespace

TEST_CASE("every field that is shown can be explained") {
    int count = 0;
    for (const KindInfo& kind : all_kinds()) explain_below(kind.name, 6, count);
    CHECK(count > 200);
}

TEST_CASE("an explanation tells type, default and bounds") {
    const auto spec = explain_field("vm.spec");
    REQUIRE(spec);
    const auto field = [&](const char* name) {
        for (const auto& f : (*spec)["fields"]) {
            if (f["name"] == name) return f;
        }
        return json();
    };
    CHECK(field("power")["default"] == "running");
    CHECK(field("power")["type"] == "running | stopped | paused");
    CHECK(field("cpus")["min"] == 1);
    CHECK(field("stopTimeout")["default"] == 90000);
    CHECK(field("nics")["type"] == "map of name to object");
    const auto nics = explain_field("vm.spec.nics");
    REQUIRE(nics);
    CHECK((*nics)["fields"][0]["name"] == "network");
    CHECK((*nics)["fields"][0]["required"] == true);
    CHECK(explain_field("vm.spec.nics.eth0.network"));
    CHECK(explain_field("vms"));
    CHECK_FALSE(explain_field("vm.spec.nope"));
    CHECK_FALSE(explain_field("cow"));
    CHECK(explain_field("cow").error().hint.find("vm") != std::string::npos);
}
