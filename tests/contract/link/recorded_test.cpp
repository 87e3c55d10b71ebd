// Messages as this release writes them, kept for later ones: each must be read, and written again the same.
// AXLE_RECORD=1 writes those that are not there yet; none that is there is ever changed.
#include <cstdlib>
#include <fstream>
#include <set>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "common/base/file.hpp"
#include "tests/contract/link/samples.hpp"
#include "tests/support/test_file.hpp"

using namespace axle;
using namespace axle::test;
using nlohmann::json;

namespace {

std::string recorded_path(const std::string& name) {
    return test_file("contract/link/recorded/0.1.0/" + name + ".json");
}

json recorded(const std::string& name) {
    CAPTURE(name);
    const auto text = read_file(recorded_path(name));
    REQUIRE(text.has_value());
    return json::parse(*text);
}

// Where the second value differs from the first in what the first one says; "" where it says all of that. A later
// release may say more.
std::string lost(const json& was, const json& now, const std::string& at = "/") {
    if (was.is_object() && now.is_object()) {
        for (const auto& [key, value] : was.items()) {
            if (!now.contains(key)) return at + key;
            if (auto where = lost(value, now[key], at + key + "/"); !where.empty()) return where;
        }
        return {};
    }
    if (was.is_array() && now.is_array() && was.size() == now.size()) {
        for (std::size_t i = 0; i < was.size(); ++i) {
            if (auto where = lost(was[i], now[i], at + std::to_string(i) + "/"); !where.empty()) return where;
        }
        return {};
    }
    return was == now ? "" : at;
}

json read_again(const json& message) {
    const auto read = decode(message.dump());
    if (!read) FAIL(read.error().message);
    REQUIRE(read->has_value());
    return json::parse(encode(**read));
}

template <typename T>
json content_again(const json& content) {
    const auto read = from_json_text<T>(content.dump());
    if (!read) FAIL(read.error().message);
    return json::parse(to_json_text(*read));
}
json document_again(const std::string& kind, const json& content) {
    if (kind == "pool") return content_again<PoolDocument>(content);
    if (kind == "image") return content_again<ImageDocument>(content);
    if (kind == "network") return content_again<NetworkDocument>(content);
    if (kind == "volume") return content_again<VolumeDocument>(content);
    return content_again<VmDocument>(content);
}
json report_again(const std::string& kind, const json& content) {
    if (kind == "volume") return content_again<VolumeReport>(content);
    return kind == "vm" ? content_again<VmReport>(content) : content_again<SimpleReport>(content);
}

// Calls with each document and report inside a recorded message: what it is, its text, and how it is read.
using Again = json (*)(const std::string& kind, const json& content);
void each_content(const json& message,
                  const std::function<void(const std::string& what, const json& content, Again again)>& call) {
    const std::string type = message["type"];
    const auto give = [&](const json& of, const char* field, Again again) {
        const std::string text = of.value(field, "");
        if (!text.empty()) call(of["kind"], json::parse(text), again);
    };
    if (type == "desired") {
        for (const json& put : message["puts"]) give(put, "content", document_again);
    } else if (type == "unclaimed") {
        for (const json& thing : message["things"]) give(thing, "document", document_again);
    } else if (type == "status") {
        give(message, "content", report_again);
    }
}

// The same with fields of a later release in every object, but in those whose keys are values.
json with_unknown_fields(json value) {
    static const std::set<std::string> kMaps = {"stages", "routeLinks"};
    if (value.is_array()) {
        for (json& item : value) item = with_unknown_fields(item);
    } else if (value.is_object()) {
        for (auto& [key, item] : value.items()) {
            if (!kMaps.contains(key)) item = with_unknown_fields(item);
        }
        value["mood"] = "good";
        value["deep"] = {{"er", {1, json::object(), nullptr}}};
    }
    return value;
}

}  // namespace

TEST_CASE("messages that release 0.1.0 wrote are read, and nothing in them is lost") {
    if (std::getenv("AXLE_RECORD") != nullptr) {
        for (const auto& [name, message] : samples()) {
            if (!read_file(recorded_path(name))) std::ofstream(recorded_path(name)) << encode(message) << "\n";
        }
    }
    for (const auto& [name, message] : samples()) {
        CAPTURE(name);
        const json was = recorded(name);
        const auto read = decode(was.dump());
        REQUIRE((read && *read));
        CHECK((*read)->index() == message.index());
        CHECK(lost(was, read_again(was)) == "");
    }
}

TEST_CASE("documents and reports inside recorded messages are read, and nothing in them is lost") {
    for (const auto& [name, message] : samples()) {
        CAPTURE(name);
        each_content(recorded(name), [](const std::string& kind, const json& content, Again again) {
            CAPTURE(kind);
            CHECK(lost(content, again(kind, content)) == "");
        });
    }
}

TEST_CASE("each kind of message, of document and of report has been recorded") {
    std::set<std::size_t> messages;
    std::set<std::string> documents, reports;
    for (const auto& [name, message] : samples()) {
        messages.insert(message.index());
        each_content(recorded(name), [&](const std::string& kind, const json&, Again again) {
            (again == report_again ? reports : documents).insert(kind);
        });
    }
    CHECK(messages.size() == std::variant_size_v<Message>);
    const std::set<std::string> all{"pool", "image", "network", "volume", "vm"};
    CHECK(documents == all);
    CHECK(reports == all);
}

TEST_CASE("fields of a later release are ignored wherever they stand: in facts, in a put, in a document, in a report") {
    for (const auto& [name, message] : samples()) {
        CAPTURE(name);
        const json was = recorded(name), more = with_unknown_fields(was);
        CHECK(more != was);
        CHECK(read_again(more) == read_again(was));
        each_content(was, [](const std::string& kind, const json& content, Again again) {
            CAPTURE(kind);
            CHECK(again(kind, with_unknown_fields(content)) == again(kind, content));
        });
    }
}
