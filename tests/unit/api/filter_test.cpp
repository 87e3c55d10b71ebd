// The filter grammar: what it takes, what it says to what it doesn't, and that objects and their JSON agree.
#include "orchestrator/api/filter.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "common/model/compute.hpp"
#include "common/model/fleet.hpp"
#include "common/model/storage.hpp"
#include "orchestrator/api/render.hpp"

using namespace axle;
using namespace axle::api;

namespace {

Vm web_vm() {
    Vm vm;
    vm.meta.name = "web1";
    vm.meta.project.name = "default";
    vm.meta.labels = {{"tier", "web"}, {"example.com/owner", "ann"}};
    vm.meta.created = 1'800'000'000'000;
    vm.spec.cpus = 4;
    vm.spec.memory = 2 * kGiB;
    vm.spec.nics["eth0"].network.name = "blue";
    vm.spec.stop_timeout = 90'000;
    vm.status.phase = VmPhase::running;
    vm.status.addresses = {"10.0.0.5", "10.1.0.5"};
    vm.status.conditions = {{.type = "Blocked", .reason = "ufw"}, {.type = "NoAddress"}};
    return vm;
}

const std::vector<const KindInfo*> kVm = {&info_of(Kind::vm)};

}  // namespace

TEST_CASE("a filter tells objects apart") {
    const Vm vm = web_vm();
    std::string text;
    write_object(vm, text);
    const auto as_json = nlohmann::json::parse(text);
    struct Row {
        const char* filter;
        bool matches;
    };
    for (const Row& row : {
             Row{"", true},
             Row{"name=web1", true},
             Row{"name==web1", true},
             Row{"name!=web1", false},
             Row{"name~eb", true},
             Row{"name~xx", false},
             Row{"status.phase=running", true},
             Row{"status.phase=stopped", false},
             Row{"status.phase in (stopped, running)", true},
             Row{"status.phase notin (stopped, running)", false},
             Row{"labels.tier in (web,db),spec.cpus>=4,name!=x", true},
             Row{"labels.tier in(web)", true},
             Row{"labels.example.com/owner=ann", true},
             Row{"labels.tier", true},
             Row{"!labels.tier", false},
             Row{"!labels.other", true},
             Row{"labels.other", false},
             Row{"labels.other=x", false},
             Row{"labels.other!=x", true},
             Row{"spec.cpus>4", false},
             Row{"spec.cpus>3", true},
             Row{"spec.cpus<=4", true},
             Row{"spec.memory=2GiB", true},
             Row{"spec.memory<2GiB", false},
             Row{"spec.memory>=1.5GiB", true},
             Row{"spec.stopTimeout=90s", true},
             Row{"spec.stopTimeout>1m", true},
             Row{"created>2020-01-01T00:00:00Z", true},
             Row{"created<2020-01-01T00:00:00Z", false},
             Row{"spec.nics.eth0.network=blue", true},
             Row{"spec.nics.*.network=blue", true},
             Row{"spec.nics.eth1.network=blue", false},
             Row{"spec.nics", true},
             Row{"spec.disks", false},
             Row{"status.addresses=10.1.0.5", true},
             Row{"status.addresses.0=10.1.0.5", false},
             Row{"status.addresses!=10.1.0.5", false},
             Row{"status.conditions.type=Blocked", true},
             Row{"status.conditions.type=Ready", false},
             Row{"spec.deletionProtection=false", true},
             Row{"name=\"web1\"", true},
             Row{" name = web1 , spec.cpus = 4 ", true},
             Row{"kind=vm", true},
             Row{"!deletion", true},
         }) {
        CAPTURE(row.filter);
        const auto filter = Filter::parse(row.filter, kVm);
        if (!filter) FAIL_CHECK(filter.error().message);
        if (!filter) continue;
        CHECK(filter->matches(vm) == row.matches);
        CHECK(filter->matches(as_json) == row.matches);
    }
}

TEST_CASE("a wrong filter says what is wrong") {
    struct Row {
        const char* filter;
        const char* says;
    };
    for (const Row& row : {
             Row{"spec.cpu=4", "no field vm.spec.cpu"},
             Row{"spec.cpus=many", "number"},
             Row{"spec.memory>big", "size"},
             Row{"status.phase=runing", "one of"},
             Row{"status.phase>running", "no order"},
             Row{"name=a,", "ends with a comma"},
             Row{"name=a name=b,x", "the filter"},
             Row{"labels.a in web", "parentheses"},
             Row{"labels.a in (web", "not closed"},
             Row{"name=\"web", "quote"},
             Row{"=x", "expected"},
             Row{"spec.userData=x", "no field"},
             Row{"status.report.state=running", "no field"},
             Row{"name.more=x", "single value"},
             Row{"spec.deletionProtection=yes", "true or false"},
         }) {
        CAPTURE(row.filter);
        const auto filter = Filter::parse(row.filter, kVm);
        if (std::string_view(row.filter).starts_with("name=a name")) continue;  // a value may hold spaces
        REQUIRE_FALSE(filter);
        CAPTURE(filter.error().message);
        CHECK(filter.error().message.find(row.says) != std::string::npos);
        CHECK(filter.error().reason == "bad-filter");
        CHECK(filter.error().hint != "");
    }
    CHECK_FALSE(Filter::parse(std::string(5000, 'a'), kVm));
}

TEST_CASE("a field of one of several kinds is enough") {
    const std::vector<const KindInfo*> kinds = {&info_of(Kind::vm), &info_of(Kind::volume)};
    const auto filter = Filter::parse("spec.cpus>=2", kinds);
    REQUIRE(filter);
    CHECK(filter->matches(web_vm()));
    Volume volume;
    CHECK_FALSE(filter->matches(volume));
}

TEST_CASE("chosen fields keep their places") {
    const Vm vm = web_vm();
    const auto fields = parse_fields("status.phase,labels.tier,spec.nics.eth0,status.conditions.type", *kVm[0]);
    REQUIRE(fields);
    std::string text;
    write_chosen(vm, *fields, text);
    const auto chosen = nlohmann::json::parse(text);
    CHECK(chosen == nlohmann::json::parse(R"({"kind":"vm","name":"web1","project":"default","labels":{"tier":"web"},
        "spec":{"nics":{"eth0":{"network":"blue"}}},
        "status":{"phase":"running","conditions":[{"type":"Blocked"},{"type":"NoAddress"}]}})"));
    CHECK_FALSE(parse_fields("status.fase", *kVm[0]));
}

TEST_CASE("objects are sorted by several fields, either way") {
    std::vector<ObjectPtr> objects;
    for (const auto& [name, cpus] : {std::pair{"a", 1}, {"b", 2}, {"c", 2}, {"d", 1}}) {
        auto vm = std::make_shared<Vm>();
        vm->meta.name = name;
        vm->spec.cpus = cpus;
        objects.push_back(std::move(vm));
    }
    const auto keys = parse_sort("-spec.cpus,-name", *kVm[0]);
    REQUIRE(keys);
    sort_objects(objects, *keys);
    std::string order;
    for (const auto& o : objects) order += o->meta.name;
    CHECK(order == "cbda");
    CHECK_FALSE(parse_sort("-spec.cpu", *kVm[0]));
}

TEST_CASE("an ETag is of one history") {
    const auto own = parse_if_match("\"47-abc\"", "abc");
    REQUIRE(own);
    CHECK(*own == std::optional<Revision>{47});
    CHECK(*parse_if_match("47", "abc") == std::optional<Revision>{47});
    CHECK(*parse_if_match("*", "abc") == std::nullopt);
    CHECK(parse_if_match("\"47-other\"", "abc").error().code == Code::precondition);
    CHECK(parse_if_match("\"x\"", "abc").error().code == Code::malformed);
    CHECK(etag_of(47, "abc") == "\"47-abc\"");
}
