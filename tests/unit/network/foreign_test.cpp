// Others' firewalls, judged from rulesets that Docker's commands, ufw 0.36 and firewalld 1.3 left on Debian 12
// (recorded/), closed and after they were opened for us.
#include <doctest/doctest.h>

#include "agent/network/foreign_firewall.hpp"
#include "common/base/file.hpp"
#include "tests/support/test_file.hpp"

using namespace axle;

namespace {

std::string recorded(const std::string& name) {
    auto text = read_file(test_file("unit/network/recorded/" + name));
    REQUIRE_MESSAGE(text, name);
    return *text;
}
std::vector<ForeignChain> rules_of(const std::string& name) {
    auto chains = read_nft_ruleset(recorded(name));
    REQUIRE(chains);
    return std::move(*chains);
}
NetworkDocument nat() {
    return {.type = NetworkType::nat,
            .bridge = "axbaaaaaaaaaaaa",
            .cidr = "10.90.1.0/24",
            .gateway = "10.90.1.1",
            .forwards = {{Protocol::tcp, 8080, "", "10.90.1.10", 80}}};
}
std::vector<ForeignBlock> blocks(const std::vector<ForeignChain>& chains, const NetworkDocument& network = nat()) {
    return foreign_blocks(chains, network, {.uplink = "eth0"});
}
std::string all_of(const std::vector<ForeignBlock>& found) {
    std::string out;
    for (const ForeignBlock& block : found) out += block.message + "\n" + block.remedy + "\n";
    return out;
}
std::vector<ForeignChain> chain_with(const std::string& rules, const std::string& policy = "drop") {
    auto chains = read_nft_ruleset(
        R"({"nftables":[{"chain":{"family":"inet","table":"mine","name":"fwd","type":"filter","hook":"forward","policy":")" +
        policy + R"("}},{"chain":{"family":"inet","table":"mine","name":"sub"}}, )" + rules + "]}");
    REQUIRE(chains);
    return std::move(*chains);
}
std::string rule(const std::string& expressions, const std::string& chain = "fwd") {
    return R"({"rule":{"family":"inet","table":"mine","chain":")" + chain + R"(","expr":[)" + expressions + "]}}";
}

}  // namespace

TEST_CASE("jumps that fan out, and go in circles, come to an end") {
    std::string rules;
    for (int i = 0; i < 8; ++i)
        rules += (i > 0 ? "," : "") + rule(R"({"jump":{"target":"sub"}})") + "," +
                 rule(R"({"jump":{"target":"fwd"}})", "sub") + "," + rule(R"({"jump":{"target":"sub"}})", "sub");
    CHECK(find_drop(chain_with(rules), {.hook = "forward"}).has_value());  // by its policy
}

TEST_CASE("each of Docker, ufw and firewalld is named with what it cuts off and the remedy, and passes when opened") {
    struct Row {
        const char* who;
        std::vector<const char*> says;
    };
    const std::vector<Row> rows = {
        {"docker",
         {"world outside", "answers", "policy of chain FORWARD of table ip filter",
          "iptables -w 5 -I DOCKER-USER -i axb+"}},
        {"ufw",
         {"world outside", "DHCP", "DNS", "ufw route allow in on axb+", "policy of chain INPUT of table ip filter"}},
        {"firewalld",
         {"world outside", "DHCP", "DNS", "firewall-cmd -q --zone=trusted --add-interface=axb+",
          "table inet firewalld"}},
    };
    for (const Row& row : rows) {
        const std::string who = row.who;
        CAPTURE(who);
        const auto closed = blocks(rules_of(who + "-closed.json"));
        REQUIRE_FALSE(closed.empty());
        for (const ForeignBlock& block : closed) CHECK(block.programs == std::vector<std::string>{who});
        for (const char* words : row.says)
            CHECK_MESSAGE(all_of(closed).find(words) != std::string::npos, words << " in " << all_of(closed));
        const auto open = blocks(rules_of(who + "-open.json"));
        CHECK_MESSAGE(open.empty(), all_of(open));
    }
}

TEST_CASE("a bridged network is cut off only where bridged packets pass the rules") {
    const auto docker = rules_of("docker-closed.json");
    const NetworkDocument house{.type = NetworkType::bridged, .bridge = "br0"};
    CHECK(foreign_blocks(docker, house, {}).empty());
    const auto found = foreign_blocks(docker, house, {.bridged_filtered = true});
    REQUIRE(found.size() == 1);
    CHECK(found[0].remedy.find("-i br0") != std::string::npos);
}

TEST_CASE("rules of iptables-legacy are read from its own listing") {
    auto chains = read_iptables_save(recorded("docker-open.iptables-save"));
    CHECK(blocks(chains).empty());
    std::string closed = recorded("docker-open.iptables-save");
    for (auto at = closed.find("-A DOCKER-USER"); at != std::string::npos; at = closed.find("-A DOCKER-USER"))
        closed.erase(at, closed.find('\n', at) - at + 1);
    chains = read_iptables_save(closed);
    REQUIRE_FALSE(blocks(chains).empty());
    CHECK(blocks(chains)[0].message.find("iptables-legacy") != std::string::npos);
    chains = read_iptables_save(
        "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD ! -i docker0 -m comment --comment \"a b -j ACCEPT\" -j REJECT "
        "--reject-with x\nCOMMIT\n");
    CHECK_FALSE(blocks(chains).empty());
    CHECK(read_iptables_save("*nat\n:PREROUTING DROP [0:0]\n-A\n:\n").empty());
    CHECK(read_iptables_save("*filter\n-A FORWARD\n:X\n-j\n").empty());
}

TEST_CASE("a packet goes through rules as the kernel would send it, and what isn't known decides nothing") {
    const std::string in_ours = R"({"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"axb*"}})";
    const std::string not_docker = R"({"match":{"op":"!=","left":{"meta":{"key":"iifname"}},"right":"docker0"}})";
    const std::string marked = R"({"match":{"op":"==","left":{"meta":{"key":"mark"}},"right":7}})";
    const std::string from_range =
        R"({"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":{"prefix":{"addr":"10.90.0.0","len":16}}}})";
    const std::string states =
        R"({"vmap":{"key":{"ct":{"key":"state"}},"data":{"set":[["established",{"accept":null}],["new",{"jump":{"target":"sub"}}],["invalid",{"drop":null}]]}}})";
    struct Row {
        const char* what;
        std::string rules, policy;
        bool passes;
    };
    const Packet packet{.hook = "forward", .in = "axbx", .out = "eth0", .source = "10.90.1.10"};
    const std::vector<Row> rows = {
        {"no rules, policy drop", rule(""), "drop", false},
        {"no rules, policy accept", rule(""), "accept", true},
        {"our interface accepted", rule(in_ours + R"(,{"counter":null},{"accept":null})"), "drop", true},
        {"ours, and something unknown, accepted", rule(in_ours + "," + marked + R"(,{"accept":null})"), "drop", true},
        {"something unknown accepted", rule(marked + R"(,{"accept":null})"), "drop", false},
        {"something unknown dropped", rule(marked + R"(,{"drop":null})"), "accept", true},
        {"all but another's dropped", rule(not_docker + R"(,{"reject":{"type":"icmp"}})"), "accept", false},
        {"our range accepted", rule(from_range + R"(,{"accept":null})"), "drop", true},
        {"by a jump", rule(R"({"jump":{"target":"sub"}})") + "," + rule(in_ours + R"(,{"accept":null})", "sub"), "drop",
         true},
        {"back from a jump",
         rule(R"({"jump":{"target":"sub"}})") + "," + rule(R"({"drop":null})") + "," +
             rule(R"({"return":null})", "sub"),
         "accept", false},
        {"by a goto that ends", rule(R"({"goto":{"target":"sub"}})") + "," + rule(R"({"drop":null})"), "accept", true},
        {"by a map of states", rule(states) + "," + rule(R"({"accept":null})", "sub"), "drop", true},
        {"a map that doesn't know it", rule(states), "drop", false},
        {"chains that call each other",
         rule(R"({"jump":{"target":"sub"}})") + "," + rule(R"({"jump":{"target":"fwd"}})", "sub"), "drop", false},
        {"a rate", rule(R"({"limit":{"rate":5}},{"drop":null})"), "accept", true},
    };
    for (const Row& row : rows) {
        const std::string what = row.what;
        CAPTURE(what);
        CHECK(find_drop(chain_with(row.rules, row.policy), packet).has_value() != row.passes);
    }
    CHECK_FALSE(find_drop(chain_with(rule("")), {.hook = "input", .in = "axbx"}));
}

TEST_CASE("a listing that is none is refused, and odd ones break nothing") {
    CHECK(read_nft_ruleset("").error().code == Code::malformed);
    CHECK(read_nft_ruleset("{}").error().code == Code::malformed);
    CHECK(read_nft_ruleset(R"({"nftables":[1,{"chain":3},{"rule":{"expr":5}},{"rule":{"chain":"x","expr":[4,{}]}}]})"));
    const auto ours = read_nft_ruleset(
        R"({"nftables":[{"chain":{"family":"inet","table":"axle","name":"f","type":"filter","hook":"forward","policy":"drop"}}]})");
    REQUIRE(ours);
    CHECK(ours->empty());
    for (const char* odd : {R"({"match":{}})", R"({"match":3})", R"({"vmap":{"key":1,"data":{"set":[[1],2]}}})",
                            R"({"xt":null})", R"({"jump":null})"})
        CHECK(find_drop(chain_with(rule(odd)), {.hook = "forward", .in = "axbx", .out = "eth0"}));
}

TEST_CASE("a firewall that lets no other host's guests in is named with the port that it should let pass") {
    NetworkDocument network = nat();
    network.vni = 77;
    network.underlay = "10.200.0.1";
    CHECK(all_of(blocks(rules_of("ufw-closed.json"), network)).find("7445") == std::string::npos);
    network.peers = {{"52:54:00:00:00:02", "10.90.1.11", "10.200.0.2"}};
    const std::string said = all_of(blocks(rules_of("ufw-closed.json"), network));
    CHECK(said.find("packets of guests on other hosts") != std::string::npos);
    CHECK(said.find("ufw allow 7445/udp") != std::string::npos);
}
