// Short ways to speak JSON to a CloudServer.
#pragma once
#include <nlohmann/json.hpp>

#include "tests/support/cloud_server.hpp"

namespace axle::test {

using nlohmann::json;

struct Answer {
    int status = 0;
    json body;
    http::Headers headers;
    std::string code() const { return body.value("code", ""); }
    std::string pointer() const {
        return body.contains("errors") ? body["errors"][0].value("pointer", "") : std::string{};
    }
    std::string location() const { return headers.value("Location"); }
};

inline Answer ask(http::Client& client, const char* method, const std::string& target, const std::string& body = "",
                  http::Headers headers = {}) {
    if (!body.empty() && !headers.has("Content-Type")) headers.set("Content-Type", "application/json");
    auto response = client.request(method, target, headers, body);
    if (!response) FAIL(fmt::format("{} {}: {}", method, target, response.error().message));
    return {response->status, json::parse(response->body, nullptr, false), response->headers};
}

// Reads events until `enough` or 10 s of silence.
inline std::vector<http::ServerSentEvent> read_events(
    http::Client client, const std::string& target, const std::string& last_id,
    const std::function<bool(const std::vector<http::ServerSentEvent>&)>& enough, int* status = nullptr) {
    std::vector<http::ServerSentEvent> events;
    http::EventReader reader;
    http::Headers headers;
    if (!last_id.empty()) headers.set("Last-Event-ID", last_id);
    auto ended = client.download(
        target, headers,
        [&](std::string_view bytes) {
            for (auto& event : reader.feed(bytes)) {
                events.push_back(std::move(event));
                if (enough(events)) return false;
            }
            return true;
        },
        milliseconds{10'000});
    if (status != nullptr) *status = ended ? ended->status : 0;
    return events;
}

inline const char* kNetwork = R"({"name":"blue","spec":{"type":"nat","cidr":"10.90.0.0/24"}})";

// A cloud with a host, a pool, a network and an image, ready for VMs.
inline void furnish(CloudServer& cloud, http::Client& client) {
    cloud.add_host("h1");
    CHECK(ask(client, "POST", "/v1/pools", R"({"name":"main","spec":{"path":"/pools/main","default":true}})").status ==
          201);
    CHECK(ask(client, "POST", "/v1/projects/default/networks", kNetwork).status == 201);
    const auto image = ask(client, "POST", "/v1/projects/default/images?wait=10s",
                           R"({"name":"tiny","spec":{"url":"http://127.0.0.1/tiny.qcow2"}})");
    CAPTURE(image.body.dump());
    CHECK(image.status == 201);
}

inline std::string vm_document(const std::string& name, const std::string& more = "") {
    return R"({"name":")" + name + R"(","spec":{"cpus":1,"memory":"128MiB","disks":{"root":{"image":"tiny"}},)" +
           R"("nics":{"eth0":{"network":"blue"}})" + more + "}}";
}

}  // namespace axle::test
