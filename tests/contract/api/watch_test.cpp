// Watching: no gap and no repeat, live, from the log and over a restart.
#include "tests/contract/api/api_fixture.hpp"

using namespace axle;
using namespace axle::test;

namespace {

std::string flavor(const std::string& name, int cpus = 1) {
    return fmt::format(R"({{"name":"{}","spec":{{"cpus":{},"memory":"1GiB"}}}})", name, cpus);
}

// "put:f0 put:f1 delete:f0"
std::string told(const std::vector<http::ServerSentEvent>& events) {
    std::string out;
    for (const auto& event : events) {
        if (event.event == "bookmark") continue;
        out += (out.empty() ? "" : " ") + event.event + ":" + json::parse(event.data).value("name", "");
    }
    return out;
}

std::function<bool(const std::vector<http::ServerSentEvent>&)> until(std::string last) {
    return [last = std::move(last)](const auto& events) { return told(events).ends_with(last); };
}

}  // namespace

TEST_CASE("a watch tells every change once, in order") {
    CloudServer cloud;
    auto client = cloud.client();
    ask(client, "POST", "/v1/flavors", flavor("f0"));
    ask(client, "POST", "/v1/flavors", flavor("f1"));
    ask(client, "PATCH", "/v1/flavors/f0", R"({"spec":{"cpus":5}})");
    ask(client, "DELETE", "/v1/flavors/f1");
    const auto events = read_events(cloud.client(), "/v1/watch?since=0&kinds=flavor", "", until("delete:f1"));
    CHECK(told(events) == "put:f0 put:f1 put:f0 delete:f1");
    REQUIRE(events.size() == 4);
    const json change = json::parse(events[2].data);
    CHECK(change["object"]["spec"]["cpus"] == 5);
    CHECK(change["was"]["/spec/cpus"] == 1);
    CHECK(events[2].id.starts_with(std::to_string(change["revision"].get<int>()) + "-"));
    // From the middle on.
    const auto rest = read_events(cloud.client(), "/v1/watch?kinds=flavor", events[1].id, until("delete:f1"));
    CHECK(told(rest) == "put:f0 delete:f1");
    // A list's revision is where a watch may begin.
    const auto list = ask(client, "GET", "/v1/flavors");
    ask(client, "POST", "/v1/flavors", flavor("f2"));
    const auto after =
        read_events(cloud.client(), fmt::format("/v1/watch?kinds=flavors&since={}", list.body["revision"].get<int>()),
                    "", until("put:f2"));
    CHECK(told(after) == "put:f2");
}

TEST_CASE("a filtered watch says gone when an object ceases to match") {
    CloudServer cloud;
    auto client = cloud.client();
    ask(client, "POST", "/v1/flavors", flavor("small", 1));
    ask(client, "POST", "/v1/flavors", flavor("large", 8));
    ask(client, "PATCH", "/v1/flavors/large", R"({"spec":{"cpus":2}})");
    ask(client, "PATCH", "/v1/flavors/large", R"({"spec":{"cpus":3}})");
    ask(client, "PATCH", "/v1/flavors/small", R"({"spec":{"cpus":9}})");
    const auto events =
        read_events(cloud.client(), "/v1/watch?since=0&kinds=flavor&filter=spec.cpus%3E4", "", until("put:small"));
    CHECK(told(events) == "put:large gone:large put:small");
}

TEST_CASE("a watch goes on over a restart without gap or repeat") {
    const TempDir keep;
    std::string last_id, seen;
    {
        CloudServer cloud({.directory = keep.path()});
        auto client = cloud.client();
        for (int i = 0; i < 20; ++i) ask(client, "POST", "/v1/flavors", flavor(fmt::format("a{}", i)));
        const auto events = read_events(cloud.client(), "/v1/watch?since=0&kinds=flavor", "", until("put:a9"));
        last_id = events.back().id;
        seen = told(events);
    }
    CloudServer cloud({.directory = keep.path()});
    auto client = cloud.client();
    ask(client, "POST", "/v1/flavors", flavor("b"));
    const auto events = read_events(cloud.client(), "/v1/watch?kinds=flavor", last_id, until("put:b"));
    std::string wanted;
    for (int i = 0; i < 20; ++i) wanted += fmt::format("put:a{} ", i);
    CHECK(seen + " " + told(events) == wanted + "put:b");
}

TEST_CASE("a watch of one project sees nothing of another") {
    CloudServer cloud;
    auto client = cloud.client();
    ask(client, "POST", "/v1/projects", R"({"name":"other"})");
    const std::string key =
        R"({"name":"NAME","spec":{"publicKey":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA x"}})";
    const auto named = [&](const char* name) { return std::string(key).replace(key.find("NAME"), 4, name); };
    const auto made = ask(client, "POST", "/v1/projects/other/sshkeys", named("theirs"));
    CAPTURE(made.body.dump());
    CHECK(made.status == 201);
    ask(client, "POST", "/v1/projects/default/sshkeys", named("ours"));
    const auto events =
        read_events(cloud.client(), "/v1/watch?since=0&project=default&kinds=sshkey", "", until("put:ours"));
    CHECK(told(events) == "put:ours");
    CHECK(ask(client, "GET", "/v1/watch?project=none").status == 404);
}

TEST_CASE("bookmarks come while nothing happens, and the stream ends with its token") {
    CloudServer cloud({.api = {.bookmark_every = milliseconds{50}}});
    auto admin = cloud.client();
    const auto made = ask(admin, "POST", "/v1/tokens", R"({"name":"w","spec":{"role":"viewer"}})");
    int bookmarks = 0;
    bool deleted = false;
    auto client = cloud.tcp_client(made.body["secret"]);
    http::EventReader reader;
    const auto ended = client.download(
        "/v1/watch?kinds=flavor", {},
        [&](std::string_view bytes) {
            for (const auto& event : reader.feed(bytes))
                bookmarks += event.event == "bookmark" && !event.id.empty() ? 1 : 0;
            if (bookmarks >= 2 && !std::exchange(deleted, true)) ask(admin, "DELETE", "/v1/tokens/w");
            return true;
        },
        milliseconds{10'000});
    CHECK(ended.has_value());  // a proper end
    CHECK(bookmarks >= 2);
}
