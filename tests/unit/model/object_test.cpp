// Whole objects: the table of kinds, their forms, references and differences.
#include <set>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "common/model/compute.hpp"
#include "common/model/fleet.hpp"
#include "common/model/network.hpp"
#include "common/model/storage.hpp"
#include "tests/support/plain_codec.hpp"

using namespace axle;
using namespace axle::test;

namespace {
void check_documented(const Type& type, const std::string& at, std::set<const Type*>& seen) {
    if (!seen.insert(&type).second) return;
    if (type.element != nullptr) check_documented(*type.element, at + "[]", seen);
    for (const Field& f : type.fields) {
        CAPTURE(at);
        CAPTURE(f.name);
        CHECK((f.options.internal || *f.options.doc != 0));
        if (f.options.ref != nullptr) CHECK(find_kind(f.options.ref) != nullptr);
        if (!f.options.internal) check_documented(*f.type, at + "." + f.name, seen);
    }
}
}  // namespace

TEST_CASE("the table lists every kind once, in order, and each field is documented") {
    REQUIRE(all_kinds().size() == kKinds);
    std::set<std::string> names_seen;
    for (std::size_t i = 0; i < kKinds; ++i) {
        const KindInfo& k = all_kinds()[i];
        CHECK(static_cast<std::size_t>(k.kind) == i);
        CHECK(names_seen.insert(k.name).second);
        CHECK(k.make()->kind() == k.kind);
        CHECK(find_kind(k.plural) == &k);
        std::set<const Type*> seen;
        check_documented(*k.spec, k.name, seen);
        check_documented(*k.status, k.name, seen);
    }
}

TEST_CASE("every kind goes into the store and comes back the same") {
    for (const KindInfo& k : all_kinds()) {
        CAPTURE(k.name);
        auto object = k.make();
        object->meta.name = "thing";
        object->meta.labels["tier"] = "web";
        object->meta.deletion = Deletion{.at = 5, .expunge_at = 6};
        const std::string form = store_form(*object, kPlainCodec);
        const auto back = from_store_form(k.kind, form, kPlainCodec);
        REQUIRE(back);
        CHECK(store_form(**back, kPlainCodec) == form);
    }
}

TEST_CASE("a record of a later form is refused with a remedy") {
    const auto back = from_store_form(Kind::vm, R"({"v":99})", kPlainCodec);
    REQUIRE_FALSE(back);
    CHECK(back.error().code == Code::corrupt);
    CHECK(back.error().message.find("newer release") != std::string::npos);
}

TEST_CASE("what people see of a VM has no secrets, and names for references") {
    Vm vm;
    vm.meta.name = "web1";
    vm.meta.project.name = "default";
    vm.spec.user_data.plain = "#cloud-config hidden";
    vm.spec.nics["eth0"].network = {*Uuid::parse("0190aaaa-0000-7000-8000-000000000001"), "blue"};
    std::string text;
    write_object(vm, text);
    const auto seen = nlohmann::json::parse(text);
    CHECK(seen["apiVersion"] == "axle/v1");
    CHECK(seen["kind"] == "vm");
    CHECK(seen["spec"]["nics"]["eth0"]["network"] == "blue");
    CHECK(text.find("hidden") == std::string::npos);
}

TEST_CASE("references are found with their paths") {
    Vm vm;
    vm.spec.nics["eth0"].network.name = "blue";
    vm.spec.ssh_keys = {Ref{{}, "me"}};
    vm.spec.disks["root"].image.name = "debian-12";
    std::map<std::string, std::pair<Kind, std::string>> found;
    for_each_ref(vm, [&](const std::string& at, Kind kind, Ref& ref) {
        if (ref) found[at] = {kind, ref.name};
    });
    CHECK(found.size() == 3);
    CHECK(found["/spec/nics/eth0/network"] == std::pair(Kind::network, std::string("blue")));
    CHECK(found["/spec/sshKeys/0"] == std::pair(Kind::sshkey, std::string("me")));
    CHECK(found["/spec/disks/root/image"].first == Kind::image);
}

TEST_CASE("a difference names the field, both values and when it takes effect") {
    VmSpec before, after;
    before.cpus = 1;
    after.cpus = 2;
    after.user_data.plain = "x";
    after.nics["eth0"].network.name = "blue";
    const auto changes = diff_values(type_of<VmSpec>(), &before, &after, "/spec");
    REQUIRE(changes.size() == 3);
    CHECK(changes[0].pointer == "/spec/cpus");
    CHECK(changes[0].before == "1");
    CHECK(changes[0].after == "2");
    CHECK(changes[0].change == Change::reboot);
    CHECK(changes[1].pointer == "/spec/nics/eth0/network");
    CHECK(changes[1].change == Change::live);
    CHECK(changes[2].pointer == "/spec/userData");
    CHECK(changes[2].after == "\"***\"");
}

TEST_CASE("what is never changed goes with its entry of a map, and only with it") {
    VmSpec before, after;
    before.nics["eth0"].network.name = after.nics["eth0"].network.name = "blue";
    before.nics["eth0"].mac = "52:54:00:00:00:01";
    auto changes = diff_values(type_of<VmSpec>(), &before, &after, "/spec");
    REQUIRE(changes.size() == 1);
    CHECK(changes[0].change == Change::never);
    after.nics.clear();
    changes = diff_values(type_of<VmSpec>(), &before, &after, "/spec");
    REQUIRE(changes.size() == 2);
    for (const auto& change : changes) CHECK(change.change == Change::live);
}

TEST_CASE("what the API doesn't show differs without a word of it") {
    VmStatus before, after;
    after.report.state = DomainState::running;
    after.gone = true;
    CHECK(diff_values(type_of<VmStatus>(), &before, &after, "/status").empty());
    after.phase = VmPhase::running;
    const auto changes = diff_values(type_of<VmStatus>(), &before, &after, "/status");
    REQUIRE(changes.size() == 1);
    CHECK(changes[0].pointer == "/status/phase");
}
