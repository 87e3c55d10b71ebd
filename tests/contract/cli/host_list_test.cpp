// What is listed and shown of hosts.
#include "tests/contract/cli/person.hpp"
#include "tests/support/cloud_server.hpp"

using namespace axle;
using namespace axle::test;

TEST_CASE("a host's load stands in wide lists and in what is shown of it, as long as it is connected") {
    CloudServer cloud;
    Person me(cloud);
    ScriptedHost& host = cloud.add_host("h1");
    host.say(Heartbeat{HostLoad{.cpu = 0.375, .memory_free = 3 * kGiB}});
    cloud.core().call([] {});
    const auto row = [&](const std::vector<std::string>& more) {
        std::vector<std::string> words{"host", "list"};
        words.insert(words.end(), more.begin(), more.end());
        return me.ok(words).out;
    };
    CHECK(row({}).find("LOAD") == std::string::npos);
    const std::string wide = row({"-o", "wide"});
    CAPTURE(wide);
    CHECK(wide.find("LOAD") < wide.find("MEMORY-FREE"));
    CHECK(wide.find(" 38% ") < wide.find(" 3 GiB"));
    CHECK(wide.find(" 3 GiB") != std::string::npos);
    const std::string shown = me.ok({"host", "show", "h1"}).out;
    CAPTURE(shown);
    CHECK(shown.find("load:") != std::string::npos);
    CHECK(shown.find("cpu: 0.375") != std::string::npos);
    CHECK(shown.find("memoryFree: ") != std::string::npos);
    cloud.core().call([&] { host.leave(); });
    CHECK(row({"-o", "wide"}).find("%") == std::string::npos);
    CHECK(me.ok({"host", "show", "h1"}).out.find("load:") == std::string::npos);
}
