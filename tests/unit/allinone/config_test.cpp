// The configuration, and the example that is installed as /etc/axle/axle.yaml.
#include "common/config/config.hpp"

#include <fstream>
#include <sstream>

#include <doctest/doctest.h>

#include "agent/main/agent_service.hpp"
#include "common/base/file.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/test_file.hpp"

namespace axle::test {
namespace {

Result<ServiceConfig> read_text(const std::string& text) {
    const TempDir dir;
    std::ofstream(dir / "axle.yaml") << text;
    return read_config(dir / "axle.yaml", true);
}

// The example with what is commented out there in force: "#name: value".
std::string uncommented(const std::string& example) {
    std::istringstream lines(example);
    std::string out;
    for (std::string line; std::getline(lines, line);) {
        if (line.size() > 1 && line[0] == '#' && line[1] >= 'a' && line[1] <= 'z') out += line.substr(1) + "\n";
    }
    return out;
}

}  // namespace

TEST_CASE("the example configuration says nothing, and with all of it in force says the defaults of every field") {
    const auto example = read_file(test_file("../packaging/etc/axle.yaml"));
    REQUIRE(example);
    const auto as_shipped = read_text(*example), in_force = read_text(uncommented(*example));
    REQUIRE(as_shipped);
    REQUIRE_MESSAGE(in_force.has_value(), (in_force ? "" : in_force.error().message));
    const auto defaults = read_text("");
    REQUIRE(defaults);
    CHECK(config_text(*as_shipped) == config_text(*defaults));
    CHECK(config_text(*in_force) == config_text(*defaults));
    for (const std::string& name : config_fields()) {
        INFO("field ", name);
        CHECK(uncommented(*example).find(name + ": ") != std::string::npos);
    }
}

TEST_CASE("what the configuration does not name follows from what it does") {
    const auto config = read_text("stateDirectory: /srv/axle\naccelerator: qemu\n");
    REQUIRE(config);
    CHECK(config->first_pool == "/srv/axle/pools/main");
    const AgentOptions agent = agent_options(*config);
    CHECK(agent.state_folder == "/srv/axle/agent");
    CHECK(agent.accelerator == Accelerator::qemu);
    CHECK(agent_options(*read_text("firstPool: /data/axle\n")).accelerator == std::nullopt);
    CHECK(read_text("firstPool: /data/axle\n")->first_pool == "/data/axle");
}

TEST_CASE("a mistake in the configuration is told with its line and field") {
    const auto refused = [](const std::string& text) {
        const auto config = read_text(text);
        return config ? std::string("taken") : config.error().message;
    };
    CHECK(refused("\n\nlisten: nonsense\n").find("line 3: listen: \"nonsense\" is no address") != std::string::npos);
    CHECK(refused("accelerator: xen\n").find("line 1: accelerator: ") != std::string::npos);
    CHECK(refused("firstPool: data\n").find("line 1: firstPool: ") != std::string::npos);
    CHECK(refused("group: axle\nlisen: none\n").find("line 2: lisen: ") != std::string::npos);
    CHECK(refused("a: [\n").find("axle.yaml") != std::string::npos);
    CHECK_FALSE(read_config("/nonexistent/axle.yaml", true));
    CHECK(read_config("/nonexistent/axle.yaml", false));
}

}  // namespace axle::test
