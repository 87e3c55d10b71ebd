// How the command line shows things, and what its exit codes mean. No server.
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "common/base/counted.hpp"
#include "common/base/file.hpp"
#include "common/model/codec.hpp"
#include "orchestrator/cli/columns.hpp"
#include "orchestrator/cli/context.hpp"
#include "orchestrator/cli/session.hpp"
#include "orchestrator/cli/suggest.hpp"
#include "orchestrator/cli/yaml.hpp"
#include "tests/support/temp_dir.hpp"

using namespace axle;
using namespace axle::cli;

TEST_CASE("YAML that is written is read as the same value") {
    const json value = json::parse(R"({
        "name": "web1", "empty": {}, "none": [], "number": 5, "yes": true, "nothing": null, "text": "yes", "digits": "012",
        "float": "1e3", "colon": "a: b", "hash": "a # b", "dash": "- a", "star": "*x", "quote": "say \"hi\"", "back": "a\\b",
        "blank": "", "space": " a ", "block": "line one\nline two\n", "open": "line one\nline two", "tab": "a\tb",
        "unicode": "grün", "key with: colon": 1, "list": [1, "a", {"b": [2, 3], "c": {}}, [4, [5]]], "deep": {"a": {"b": {"c": "d"}}},
        "@at": "@b", "brace": "{a", "percent": "%a", "tilde": "~", "time": "2026-01-01T00:00:00Z", "indent": "\n  a\n b\n"})");
    const std::string text = to_yaml(value);
    CAPTURE(text);
    const auto back = parse_yaml(text);
    REQUIRE(back);
    REQUIRE(back->size() == 1);
    // Scalars are texts after reading: compare as such.
    const std::function<json(const json&)> as_texts = [&](const json& v) -> json {
        if (v.is_object() || v.is_array()) {
            json out = v.is_object() ? json::object() : json::array();
            for (const auto& [key, item] : v.items()) {
                if (v.is_object())
                    out[key] = as_texts(item);
                else
                    out.push_back(as_texts(item));
            }
            return out;
        }
        return v.is_string() || v.is_null() ? v : json(v.dump());
    };
    CHECK(back->front() == as_texts(value));
}

TEST_CASE("tables are as wide as their content, by characters") {
    CHECK(table_text({"NAME", "N"}, {{"a", "1"}, {"grün", ""}}) == "NAME  N\na     1\ngrün\n");
    CHECK(csv_text({"A", "B"}, {{"x,y", "say \"hi\""}, {"", "z"}}) == "A,B\n\"x,y\",\"say \"\"hi\"\"\"\n,z\n");
}

TEST_CASE("cells show sizes, ages and lists as people want them") {
    const json object =
        json::parse(R"({"created":"2026-01-01T00:00:00Z","spec":{"memory":2147483648,"nics":{"eth0":{},"eth1":{}},
        "shared":true},"status":{"addresses":["10.0.0.1","10.0.0.2"],"expires":"2026-01-01T02:00:00Z"}})");
    const std::int64_t now = 1'767'225'600'000 + 90 * 60'000;  // 90 minutes after 2026-01-01
    const auto show = [&](const char* path, Show how) { return cell(object, {"X", path, how}, now); };
    CHECK(show("spec.memory", Show::bytes) == "2 GiB");
    CHECK(show("created", Show::age) == "90m");
    CHECK(show("status.expires", Show::until) == "in 30m");
    CHECK(show("status.none", Show::until) == "never");
    CHECK(show("spec.nics", Show::list) == "eth0,eth1");
    CHECK(show("status.addresses", Show::list) == "10.0.0.1,10.0.0.2");
    CHECK(show("spec.shared", Show::yes_no) == "yes");
    CHECK(show("spec.none|spec.shared", Show::text) == "true");
    CHECK(show("spec.none", Show::text) == "");
    const json moving = json::parse(R"({"status":{"placement":{"host":"h1"},"migration":{"host":"h2"}}})");
    CHECK(cell(moving, {"HOST", "status", Show::place}, now) == "h1 -> h2");
    CHECK(cell(json::parse(R"({"status":{"placement":{"host":"h1"}}})"), {"HOST", "status", Show::place}, now) == "h1");
    CHECK(show("status", Show::place) == "");
}

TEST_CASE("NICs are shown as their networks, each once; what a host has not told yet is no zero") {
    const json vm = json::parse(R"({"spec":{"nics":{"eth0":{"network":"blue"},"eth1":{"network":"red"},
        "eth2":{"network":"blue"},"eth3":{}}}})");
    CHECK(cell(vm, {"NETWORKS", "spec.nics", Show::networks}, 0) == "blue,red");
    const auto cpus = [](const char* host) {
        return cell(json::parse(host), {"CPUS", "status.facts.cpus", Show::text, false, true}, 0);
    };
    CHECK(cpus(R"({"status":{"facts":{"cpus":8}}})") == "8");
    CHECK(cpus(R"({"status":{"facts":{"cpus":0}}})") == "-");
    CHECK(cpus(R"({"status":{}})") == "-");
    for (const Column& column : columns_of(Kind::vm)) {
        if (column.title == std::string("NETWORKS")) CHECK(cell(vm, column, 0) == "blue,red");
    }
}

TEST_CASE("numbers have their noun") {
    CHECK(counted(0, "VM") == "0 VMs");
    CHECK(counted(1, "VM") == "1 VM");
    CHECK(counted(2, "more VM") == "2 more VMs");
}

TEST_CASE("a misspelt word is compared with what there is, by letters that differ") {
    CHECK(edit_distance("craete", "create") == 1);
    CHECK(edit_distance("create", "create") == 0);
    CHECK(edit_distance("", "abc") == 3);
    CHECK(edit_distance("delet", "delete") == 1);
    const std::vector<std::string> verbs = {"create", "delete", "list", "ls", "start", "stop"};
    CHECK(nearest("craete", verbs) == "create");
    CHECK(nearest("strat", verbs) == "start");
    CHECK(nearest("lst", verbs) == "list");
    CHECK(nearest("fly", verbs) == "");
    CHECK(nearest(std::string(1000, 'x'), verbs) == "");
    CHECK(nearest_kind("vmss") == "vms");
    CHECK(nearest_kind("imgae") == "image");
}

TEST_CASE("every column of every kind is a field of it") {
    for (const KindInfo& kind : all_kinds()) {
        for (const Column& column : columns_of(kind.kind)) {
            CAPTURE(kind.name);
            CAPTURE(column.path);
            std::string_view path = column.path;
            const std::string first(path.substr(0, path.find('|')));
            const auto dot = first.find('.');
            const std::string head = first.substr(0, dot);
            if (column.show == Show::place) continue;  // of several fields
            const Type* type = head == "spec" ? kind.spec : head == "status" ? kind.status : &type_of<Meta>();
            const std::string field =
                head == "spec" || head == "status" ? first.substr(dot + 1, first.find('.', dot + 1) - dot - 1) : head;
            CHECK(type->find(field) != nullptr);
        }
    }
}

TEST_CASE("errors have the exit codes of the documentation") {
    struct Row {
        int status;
        const char* body;
        int exit_code;
    };
    for (const Row& row :
         {Row{400, R"({"code":"malformed"})", 1}, Row{401, "{}", 5}, Row{403, "{}", 5}, Row{404, "{}", 3},
          Row{409, R"({"code":"conflict"})", 4}, Row{409, R"({"code":"quota-exceeded"})", 6},
          Row{409, R"({"code":"task-failed"})", 1}, Row{412, "{}", 4}, Row{422, "{}", 1}, Row{429, "{}", 1},
          Row{500, "not JSON", 1}, Row{503, "{}", 1}, Row{504, "{}", 7}, Row{507, "{}", 1}}) {
        CAPTURE(row.status);
        CAPTURE(row.body);
        CHECK(exit_code_of(error_of_response({.status = row.status, .body = row.body})) == row.exit_code);
    }
    const Error e = error_of_response(
        {.status = 422,
         .body = R"({"detail":"d","hint":"h","code":"invalid","errors":[{"pointer":"/a","code":"c","detail":"x"}]})"});
    CHECK(e.message == "d");
    CHECK(e.hint == "h");
    CHECK(e.fields.at(0).pointer == "/a");
}

TEST_CASE("flags win over the environment, that over contexts, those over the socket") {
    const test::TempDir home;
    std::map<std::string, std::string> environment = {{"HOME", home.path()}};
    Terminal terminal;
    terminal.environment = [&](const char* name) { return environment[name]; };
    CHECK(choose_context(terminal, {})->endpoint == "unix:/run/axle/api.sock");
    CHECK(choose_context(terminal, {})->project == "default");
    environment["AXLE_SOCKET"] = "/tmp/other.sock";
    CHECK(choose_context(terminal, {})->endpoint == "unix:/tmp/other.sock");

    Config config{.current = "lab", .contexts = {}};
    config.contexts["lab"] = {"https://lab:7443", "lab-token", "research", "-----BEGIN\nx\n-----END\n", ""};
    config.contexts["home"] = {"https://home:7443", "home-token", "", "", "abcd"};
    REQUIRE(save_config(terminal, config));
    const auto lab = choose_context(terminal, {});
    REQUIRE(lab);
    CHECK(lab->endpoint == "https://lab:7443");
    CHECK(lab->token == "lab-token");
    CHECK(lab->project == "research");
    CHECK(lab->authority == "-----BEGIN\nx\n-----END\n");
    CHECK(choose_context(terminal, {.context = "home"})->fingerprint == "abcd");
    environment["AXLE_CONTEXT"] = "home";
    CHECK(choose_context(terminal, {})->endpoint == "https://home:7443");
    CHECK(choose_context(terminal, {.context = "lab"})->endpoint == "https://lab:7443");
    environment["AXLE_TOKEN"] = "env-token";
    CHECK(choose_context(terminal, {})->token == "env-token");
    CHECK(choose_context(terminal, {.token = "flag-token"})->token == "flag-token");
    environment["AXLE_PROJECT"] = "p1";
    CHECK(choose_context(terminal, {})->project == "p1");
    CHECK(choose_context(terminal, {.project = "p2"})->project == "p2");
    CHECK(choose_context(terminal, {.context = "none"}).error().code == Code::not_found);
    environment["AXLE_CONTEXT"].clear();
    environment["AXLE_ENDPOINT"] = "unix:/x.sock";
    CHECK(choose_context(terminal, {})->endpoint == "unix:/x.sock");
}

TEST_CASE("a broken configuration is refused with its line") {
    const test::TempDir home;
    Terminal terminal;
    terminal.environment = [&](const char* name) { return std::string(name) == "XDG_CONFIG_HOME" ? home.path() : ""; };
    REQUIRE(make_directories(home / "axle"));
    REQUIRE(write_file_durably(home / "axle/config.yaml", "contexts:\n  a: [\n"));
    const auto loaded = load_config(terminal);
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().message.find("line") != std::string::npos);
    REQUIRE(write_file_durably(home / "axle/config.yaml", "contexts: {a: b}\n"));
    CHECK_FALSE(load_config(terminal));
}
