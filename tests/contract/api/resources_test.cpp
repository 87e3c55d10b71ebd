// Resources over the API: their life, versions, retries, plans, lists.
#include "common/base/now.hpp"
#include "tests/contract/api/api_fixture.hpp"

using namespace axle;
using namespace axle::test;

TEST_CASE("a VM is created, waited for, changed, stopped, deleted and restored") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    const auto made = ask(client, "POST", "/v1/projects/default/vms?wait=20s", vm_document("web1"));
    CAPTURE(made.body.dump());
    REQUIRE(made.status == 201);
    CHECK(made.body["status"]["phase"] == "running");
    CHECK(made.body["status"]["placement"]["host"] == "h1");
    CHECK(made.body["status"]["addresses"].size() == 1);
    CHECK(made.body["spec"]["nics"]["eth0"]["network"] == "blue");
    const std::string id = made.body["id"];

    const auto task = ask(client, "GET", made.location());
    CHECK(task.status == 200);
    CHECK(task.body["status"]["phase"] == "succeeded");

    const std::string path = "/v1/projects/default/vms/web1";
    const auto patched = ask(client, "PATCH", path + "?wait=20s", R"({"labels":{"tier":"web"}})");
    CHECK(patched.status == 200);
    CHECK(patched.body["labels"]["tier"] == "web");
    CHECK(patched.body["revision"] > made.body["revision"]);

    const auto stopped = ask(client, "POST", path + "/actions/stop?wait=20s");
    CAPTURE(stopped.body.dump());
    CHECK(stopped.status == 200);
    CHECK(stopped.body["status"]["phase"] == "stopped");

    const auto deleted = ask(client, "DELETE", path + "?wait=20s");
    CAPTURE(deleted.body.dump());
    CHECK(deleted.status < 300);
    CHECK(ask(client, "GET", path).status == 404);
    CHECK(ask(client, "GET", "/v1/projects/default/vms/" + id).body.contains("deletion"));
    const auto restored = ask(client, "POST", "/v1/projects/default/vms/" + id + "/actions/restore?wait=20s");
    CAPTURE(restored.body.dump());
    CHECK(restored.status == 200);
    CHECK(ask(client, "GET", path).status == 200);
}

TEST_CASE("a VM without a host to run on waits, and its task says why") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    const auto made = ask(client, "POST", "/v1/projects/default/vms",
                          R"({"name":"huge","spec":{"cpus":1,"memory":"8TiB","disks":{"root":{"image":"tiny"}}}})");
    CAPTURE(made.body.dump());
    REQUIRE(made.status == 202);
    const auto task = ask(client, "GET", made.location() + "?wait=500ms");
    CAPTURE(task.body.dump());
    CHECK(task.body["status"]["phase"] == "waiting");
    CHECK(task.body["status"]["reason"].get<std::string>().find("memory") != std::string::npos);
    const auto why = ask(client, "GET", "/v1/projects/default/vms/huge/explain");
    CHECK(why.status == 200);
    CHECK(why.body["candidates"][0]["filter"] == "memory");
}

TEST_CASE("an ETag guards against lost changes") {
    CloudServer cloud;
    auto client = cloud.client();
    const auto made = ask(client, "POST", "/v1/flavors", R"({"name":"small","spec":{"cpus":1,"memory":"1GiB"}})");
    REQUIRE(made.status == 201);
    const std::string etag = made.headers.value("ETag");
    CHECK(etag.starts_with("\""));
    const std::string path = "/v1/flavors/small", patch = R"({"spec":{"cpus":2}})";
    CHECK(ask(client, "GET", path, "", {{"If-None-Match", etag}}).status == 304);
    CHECK(ask(client, "PATCH", path, patch, {{"If-Match", etag}}).status == 200);
    const auto stale = ask(client, "PATCH", path, patch, {{"If-Match", etag}});
    CHECK(stale.status == 412);
    CHECK(stale.body["hint"].is_string());
    CHECK(ask(client, "PATCH", path, patch, {{"If-Match", "*"}}).status == 200);
    CHECK(ask(client, "DELETE", path, "", {{"If-Match", "\"1-0000000000000000\""}}).status == 412);
    CHECK(ask(client, "GET", path, "", {{"If-None-Match", etag}}).status == 200);
}

TEST_CASE("PUT replaces, PATCH with null unsets") {
    CloudServer cloud;
    auto client = cloud.client();
    ask(client, "POST", "/v1/flavors",
        R"({"name":"f","spec":{"cpus":1,"memory":"1GiB","disk":"2GiB","description":"x"}})");
    const auto put = ask(client, "PUT", "/v1/flavors/f", R"({"name":"f","spec":{"cpus":2,"memory":"2GiB"}})");
    CAPTURE(put.body.dump());
    CHECK(put.status == 200);
    CHECK(put.body["spec"] == json::parse(R"({"cpus":2,"memory":2147483648})"));
    ask(client, "PATCH", "/v1/flavors/f", R"({"spec":{"description":"y"}})");
    const auto unset = ask(client, "PATCH", "/v1/flavors/f", R"({"spec":{"description":null}})");
    CHECK_FALSE(unset.body["spec"].contains("description"));
    CHECK(ask(client, "PUT", "/v1/flavors/g", R"({"name":"g","spec":{"cpus":2,"memory":"2GiB"}})").status == 404);
    CHECK(ask(client, "PUT", "/v1/flavors/f", R"({"name":"g","spec":{"cpus":2,"memory":"2GiB"}})").pointer() ==
          "/name");
}

TEST_CASE("a repeated POST with the same key does nothing twice") {
    CloudServer cloud;
    auto client = cloud.client();
    const std::string body = R"({"name":"small","spec":{"cpus":1,"memory":"1GiB"}})";
    const auto first = ask(client, "POST", "/v1/flavors", body, {{"Idempotency-Key", "k1"}});
    CHECK(first.status == 201);
    const auto again = ask(client, "POST", "/v1/flavors", body, {{"Idempotency-Key", "k1"}});
    CAPTURE(again.body.dump());
    CHECK(again.status < 300);
    CHECK(again.body["id"] == first.body["id"]);
    CHECK(again.headers.value("Idempotent-Replayed") == "true");
    const auto other = ask(client, "POST", "/v1/flavors", R"({"name":"small","spec":{"cpus":2,"memory":"1GiB"}})",
                           {{"Idempotency-Key", "k1"}});
    CHECK(other.status == 409);
    CHECK(ask(client, "POST", "/v1/flavors", body).status == 409);  // without a key it is another create
    // The name is in the body: another one is another body, not another request.
    const auto named = ask(client, "POST", "/v1/flavors", R"({"name":"large","spec":{"cpus":1,"memory":"1GiB"}})",
                           {{"Idempotency-Key", "k1"}});
    CHECK(named.code() == "idempotency-key-reused");
    CHECK(ask(client, "GET", "/v1/flavors/large").status == 404);
}

TEST_CASE("what was done with a key is answered also when nothing is taken any more") {
    CloudServer cloud;
    auto client = cloud.client();
    const std::string body = R"({"name":"small","spec":{"cpus":1,"memory":"1GiB"}})";
    REQUIRE(ask(client, "POST", "/v1/flavors", body, {{"Idempotency-Key", "k1"}}).status == 201);
    cloud.core().call([&] { cloud.orchestrator().pipeline().turn_read_only("lost-tail", "a test says so", {}); });
    CHECK(ask(client, "POST", "/v1/flavors", R"({"name":"b","spec":{"cpus":1,"memory":"1GiB"}})").status == 503);
    CHECK(ask(client, "POST", "/v1/flavors", body, {{"Idempotency-Key", "k1"}}).status < 300);
}

TEST_CASE("an apply that is repeated with its key does nothing twice") {
    CloudServer cloud;
    auto client = cloud.client();
    const auto flavors = [](int cpus) {
        return fmt::format(R"([{{"kind":"flavor","name":"one","spec":{{"cpus":1,"memory":"1GiB"}}}},)"
                           R"({{"kind":"flavor","name":"two","spec":{{"cpus":{},"memory":"1GiB"}}}}])",
                           cpus);
    };
    const http::Headers key = {{"Idempotency-Key", "a1"}};
    REQUIRE(ask(client, "POST", "/v1/apply", flavors(2), key).body["failed"] == false);
    REQUIRE(ask(client, "DELETE", "/v1/flavors/two").status == 200);
    REQUIRE(ask(client, "PATCH", "/v1/flavors/one", R"({"spec":{"cpus":8}})").status == 200);
    const auto again = ask(client, "POST", "/v1/apply", flavors(2), key);
    CAPTURE(again.body.dump());
    CHECK(again.body["results"][0]["action"] == "create");  // the first answer again
    CHECK(again.body["results"][0]["replayed"] == true);
    CHECK(ask(client, "GET", "/v1/flavors/one").body["spec"]["cpus"] == 8);
    CHECK(ask(client, "GET", "/v1/flavors/two").status == 404);
    CHECK(ask(client, "POST", "/v1/apply", flavors(3), key).body["results"][1]["error"]["code"] ==
          "idempotency-key-reused");
}

TEST_CASE("a label makes no work: its change is done when it is answered") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    REQUIRE(ask(client, "POST", "/v1/projects/default/vms?wait=30s", vm_document("a")).status == 201);
    const std::string vm = "/v1/projects/default/vms/a";
    const auto before = ask(client, "GET", vm).body["generation"];
    const auto labelled = ask(client, "PATCH", vm, R"({"labels":{"tier":"web"}})");
    CAPTURE(labelled.body.dump());
    CHECK(labelled.status == 200);
    CHECK(labelled.body["labels"]["tier"] == "web");
    CHECK(labelled.body["generation"] == before);
}

TEST_CASE("a dry run tells what would be and changes nothing") {
    CloudServer cloud;
    auto client = cloud.client();
    const auto plan =
        ask(client, "POST", "/v1/flavors?dryRun=true", R"({"name":"s","spec":{"cpus":3,"memory":"1GiB"}})");
    CHECK(plan.status == 200);
    CHECK(plan.body["action"] == "create");
    CHECK(ask(client, "GET", "/v1/flavors/s").status == 404);
    ask(client, "POST", "/v1/flavors", R"({"name":"s","spec":{"cpus":3,"memory":"1GiB"}})");
    const auto change = ask(client, "PATCH", "/v1/flavors/s?dryRun=true", R"({"spec":{"cpus":4}})");
    CAPTURE(change.body.dump());
    CHECK(change.body["action"] == "change");
    REQUIRE(change.body["changes"].size() == 1);
    CHECK(change.body["changes"][0]["pointer"] == "/spec/cpus");
    CHECK(change.body["changes"][0]["before"] == 3);
    CHECK(change.body["changes"][0]["after"] == 4);
    CHECK(ask(client, "GET", "/v1/flavors/s").body["spec"]["cpus"] == 3);
}

TEST_CASE("a dry run of a new VM tells where it would go, or why nowhere") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    const std::string vms = "/v1/projects/default/vms?dryRun=true";
    const auto fits = ask(client, "POST", vms, vm_document("a"));
    CAPTURE(fits.body.dump());
    REQUIRE(fits.status == 200);
    const json placement = fits.body["placement"];
    CHECK(placement["host"] != "");
    REQUIRE(placement["candidates"].size() == 1);
    CHECK(placement["candidates"][0]["scores"].contains("free-memory"));
    json huge = json::parse(vm_document("a"));
    huge["spec"]["memory"] = "8TiB";
    const auto too_large = ask(client, "POST", vms, huge.dump());
    CAPTURE(too_large.body.dump());
    REQUIRE(too_large.status == 200);
    CHECK_FALSE(too_large.body["placement"].contains("host"));
    CHECK(too_large.body["placement"]["candidates"][0]["filter"] == "memory");
    CHECK(ask(client, "GET", "/v1/projects/default/vms").body["items"].empty());
}

TEST_CASE("capacity tells how many more fit, what ends it, and where the guests of a lost host would go") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    cloud.add_host("second", {.cpus = 4, .memory = 64 * kGiB});
    REQUIRE(ask(client, "POST", "/v1/projects/default/vms?wait=30s", vm_document("a")).status == 201);
    const auto some = ask(client, "GET", "/v1/capacity?cpus=2&memory=1GiB&disk=10GiB");
    CAPTURE(some.body.dump());
    REQUIRE(some.status == 200);
    REQUIRE(some.body["hosts"].size() == 2);
    std::int64_t sum = 0;
    for (const json& host : some.body["hosts"]) sum += host["count"].get<std::int64_t>();
    CHECK(some.body["count"] == sum);
    CHECK(sum > 0);
    CHECK(some.body["hosts"][1]["limit"].get<std::string>().starts_with("needs 2 CPUs"));
    const std::string at = ask(client, "GET", "/v1/projects/default/vms/a").body["status"]["placement"]["host"];
    const auto without = ask(client, "GET", "/v1/capacity?without=" + at);
    CAPTURE(without.body.dump());
    REQUIRE(without.status == 200);
    CHECK(without.body["hosts"].size() == 1);
    REQUIRE(without.body["guests"].size() == 1);
    CHECK(without.body["guests"][0]["vm"] == "default/a");
    CHECK(without.body["guests"][0]["host"] != at);
    CHECK(ask(client, "GET", "/v1/capacity?without=nobody").status == 404);
    CHECK(ask(client, "GET", "/v1/capacity?flavor=nobody").status == 404);
    CHECK(ask(client, "GET", "/v1/capacity?memory=much").status == 400);
    CHECK(ask(client, "GET", "/v1/capacity?cpus=0").status == 400);
}

TEST_CASE("lists come in pages, filtered, sorted, with chosen fields") {
    CloudServer cloud;
    auto client = cloud.client();
    for (int i = 0; i < 7; ++i)
        REQUIRE(ask(client, "POST", "/v1/flavors",
                    fmt::format(R"({{"name":"f{}","labels":{{"odd":"{}"}},"spec":{{"cpus":{},"memory":"1GiB"}}}})", i,
                                i % 2 == 1 ? "yes" : "no", 7 - i))
                    .status == 201);
    const auto names = [&](std::string query) {
        std::string out, next;
        do {
            const auto page =
                ask(client, "GET",
                    "/v1/flavors?" + query + (next.empty() ? "" : "&continue=" + http::percent_encode(next)));
            CAPTURE(page.body.dump());
            REQUIRE(page.status == 200);
            for (const auto& item : page.body["items"]) out += item["name"].get<std::string>() + " ";
            next = page.body.value("continue", "");
            out += next.empty() ? "" : "| ";
        } while (!next.empty());
        return out;
    };
    CHECK(names("limit=3") == "f0 f1 f2 | f3 f4 f5 | f6 ");
    CHECK(names("sort=spec.cpus&limit=4") == "f6 f5 f4 f3 | f2 f1 f0 ");
    CHECK(names("filter=spec.cpus%3E%3D6") == "f0 f1 ");
    CHECK(names("labels=odd%3Dyes&sort=-name") == "f5 f3 f1 ");
    CHECK(names("labels=odd%3Dyes&filter=spec.cpus%3C4") == "f5 ");
    const auto chosen = ask(client, "GET", "/v1/flavors?fields=spec.cpus&limit=1");
    CHECK(chosen.body["items"][0] == json::parse(R"({"kind":"flavor","name":"f0","spec":{"cpus":7}})"));
    CHECK(chosen.body["revision"] > 0);
    const auto all = ask(client, "GET", "/v1/networks");
    CHECK(all.status == 200);
    CHECK(all.body["items"].empty());
}

TEST_CASE("apply makes what is described, in order of dependence, and remembers which fields it set") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    const std::string documents =
        "kind: vm\nname: app\nspec:\n  cpus: 1\n  memory: 128MiB\n  disks: {root: {image: tiny}}\n  nics: {eth0: "
        "{network: "
        "green}}\n---\nkind: network\nname: green\nspec: {type: nat}\n";
    const http::Headers yaml = {{"Content-Type", "application/yaml"}};
    const auto plan = ask(client, "POST", "/v1/apply?dryRun=true", documents, yaml);
    CAPTURE(plan.body.dump());
    REQUIRE(plan.status == 200);
    CHECK(plan.body["failed"] == false);
    CHECK(plan.body["results"][0]["kind"] == "network");
    CHECK(plan.body["results"][1]["action"] == "create");
    CHECK(ask(client, "GET", "/v1/projects/default/networks/green").status == 404);

    const auto done = ask(client, "POST", "/v1/apply", documents, yaml);
    CAPTURE(done.body.dump());
    CHECK(done.body["failed"] == false);
    CHECK(done.body["results"][1]["action"] == "create");
    CHECK(done.body["results"][1]["task"].is_string());
    const auto again = ask(client, "POST", "/v1/apply", documents, yaml);
    CAPTURE(again.body.dump());
    CHECK(again.body["results"][0]["action"] == "none");
    CHECK(again.body["results"][1]["action"] == "none");

    const auto taken = ask(client, "POST", "/v1/apply?set=other", "kind: vm\nname: app\nspec: {cpus: 2}\n", yaml);
    CAPTURE(taken.body.dump());
    CHECK(taken.body["failed"] == true);
    CHECK(taken.body["results"][0]["error"]["status"] == 409);
    CHECK(ask(client, "POST", "/v1/apply?set=other&force=true", "kind: vm\nname: app\nspec: {cpus: 2}\n", yaml)
              .body["failed"] == false);
}

TEST_CASE("prune deletes only what its set made and doesn't name any more") {
    CloudServer cloud;
    auto client = cloud.client();
    const auto flavor = [](const char* name) {
        return fmt::format(R"({{"kind":"flavor","name":"{}","spec":{{"cpus":1,"memory":"1GiB"}}}})", name);
    };
    ask(client, "POST", "/v1/flavors", R"({"name":"by-hand","spec":{"cpus":1,"memory":"1GiB"}})");
    // It is of set b that three was made: set a only sets a field of it, and of by-hand.
    CHECK(ask(client, "POST", "/v1/apply?set=b", flavor("three")).body["failed"] == false);
    const auto touch = [](const char* name) {
        return fmt::format(
            R"({{"kind":"flavor","name":"{}","spec":{{"cpus":1,"memory":"1GiB","description":"of a"}}}})", name);
    };
    CHECK(ask(client, "POST", "/v1/apply?set=a",
              fmt::format("[{},{},{},{}]", flavor("one"), flavor("two"), touch("by-hand"), touch("three")))
              .body["failed"] == false);
    CHECK(ask(client, "POST", "/v1/apply?prune=true", flavor("one")).status == 400);
    const auto pruned = ask(client, "POST", "/v1/apply?set=a&prune=true", flavor("one"));
    CAPTURE(pruned.body.dump());
    REQUIRE(pruned.body["results"].size() == 2);
    CHECK(pruned.body["results"][1]["name"] == "two");
    CHECK(pruned.body["results"][1]["action"] == "delete");
    std::string left;
    const auto list = ask(client, "GET", "/v1/flavors");
    for (const auto& item : list.body["items"]) left += item["name"].get<std::string>() + " ";
    CHECK(left == "by-hand one three ");
}

TEST_CASE("prune stays in the projects that the request speaks of") {
    CloudServer cloud;
    auto client = cloud.client();
    REQUIRE(ask(client, "POST", "/v1/projects", R"({"name":"other"})").status == 201);
    const auto network = [](const char* name) {
        return fmt::format(R"({{"kind":"network","name":"{}","spec":{{"type":"nat"}}}})", name);
    };
    for (const char* project : {"default", "other"})
        REQUIRE(ask(client, "POST", fmt::format("/v1/apply?set=w&project={}", project),
                    fmt::format("[{},{}]", network("one"), network("two")))
                    .body["failed"] == false);
    const auto pruned = ask(client, "POST", "/v1/apply?set=w&prune=true&project=default", network("one"));
    CAPTURE(pruned.body.dump());
    CHECK(ask(client, "GET", "/v1/projects/default/networks").body["items"].size() == 1);
    CHECK(ask(client, "GET", "/v1/projects/other/networks").body["items"].size() == 2);
}

TEST_CASE("labels have keys with a prefix, are set and unset by apply, and shown by a watch") {
    CloudServer cloud;
    auto client = cloud.client();
    const auto labelled = [](const std::string& labels) {
        return fmt::format(R"({{"kind":"flavor","name":"f","labels":{},"spec":{{"cpus":1,"memory":"1GiB"}}}})", labels);
    };
    const auto apply = [&](const std::string& labels) {
        return ask(client, "POST", "/v1/apply", labelled(labels)).body;
    };
    const std::string named = R"({"app.kubernetes.io/name":"web","tier":"x"})";
    REQUIRE(apply(named)["failed"] == false);
    CHECK(ask(client, "GET", "/v1/flavors/f").body["labels"] == json::parse(named));
    const json gone = apply(R"({"tier":"x"})");
    CAPTURE(gone.dump());
    CHECK(gone["failed"] == false);
    CHECK(gone["results"][0]["changes"][0]["pointer"] == "/labels/app.kubernetes.io~1name");
    CHECK(ask(client, "GET", "/v1/flavors/f").body["labels"] == json::parse(R"({"tier":"x"})"));
    for (const char* bad :
         {R"({"a~b":"x"})", R"({"a/b/c":"x"})", R"({"":"x"})", R"({"-a":"x"})", R"({"Up.Per/x":"x"})"}) {
        const json refused = apply(bad);
        CAPTURE(refused.dump());
        CHECK(refused["results"][0]["error"]["status"] == 422);
    }
    CHECK(apply(fmt::format(R"({{"a":"{}"}})", std::string(257, 'x')))["results"][0]["error"]["errors"][0]["pointer"] ==
          "/labels/a");
    CHECK(apply(R"({"tier":"x"})")["failed"] == false);  // it answers still
}

TEST_CASE("tasks are listed newest first, also when they have ended") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    REQUIRE(ask(client, "POST", "/v1/projects/default/vms?wait=20s", vm_document("a")).status == 201);
    REQUIRE(ask(client, "POST", "/v1/projects/default/vms/a/actions/stop?wait=20s").status == 200);
    const auto tasks = ask(client, "GET", "/v1/tasks?limit=2");
    REQUIRE(tasks.status == 200);
    REQUIRE(tasks.body["items"].size() == 2);
    CHECK(tasks.body["items"][0]["spec"]["goal"] == "vm-stopped");
    CHECK(tasks.body["items"][1]["spec"]["goal"] == "vm-running");
    const auto rest = ask(client, "GET", "/v1/tasks?continue=" + tasks.body["continue"].get<std::string>());
    CHECK(rest.body["items"].size() == 1);
    CHECK(ask(client, "GET", "/v1/tasks?filter=spec.goal%3Dimage-import").body["items"].size() == 1);
    CHECK(ask(client, "GET", "/v1/tasks/01900000-0000-7000-8000-000000000000").status == 404);
}

TEST_CASE("labels, annotations and apply sets have bounds") {
    CloudServer cloud;
    auto client = cloud.client();
    const auto make = [&](const std::string& more) {
        return ask(client, "POST", "/v1/flavors", R"({"name":"f",)" + more + R"("spec":{"cpus":1,"memory":"1GiB"}})");
    };
    CHECK(make(R"("labels":{"a":")" + std::string(257, 'x') + R"("},)").pointer() == "/labels/a");
    std::string notes;
    for (int i = 0; i < 20; ++i) notes += fmt::format(R"({}"n{}":"{}")", i > 0 ? "," : "", i, std::string(4000, 'x'));
    const auto many = make(R"("annotations":{)" + notes + "},");
    CHECK(many.status == 422);
    CHECK(many.pointer() == "/annotations");
    CHECK(make(R"("labels":{"a":")" + std::string(256, 'x') + R"("},)").status == 201);

    const auto apply = [&](const std::string& set) {
        return ask(
            client, "POST", "/v1/apply?set=" + set,
            fmt::format(R"({{"kind":"flavor","name":"f","labels":{{"l-{}":"1"}},"spec":{{"cpus":1,"memory":"1GiB"}}}})",
                        set));
    };
    CHECK(apply("not%20a%20name").status == 400);
    CHECK(apply(std::string(64, 'a')).status == 400);
    for (int i = 0; i < 16; ++i) CHECK(apply(fmt::format("s{}", i)).body["failed"] == false);
    const auto more = apply("s16");
    CAPTURE(more.body.dump());
    CHECK(more.body["results"][0]["error"]["status"] == 422);
    CHECK(apply("s15").body["failed"] == false);
}

TEST_CASE("a project with what can still be restored goes only with --now, and that goes with it") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    REQUIRE(ask(client, "PATCH", "/v1/projects/default/networks/blue", R"({"spec":{"shared":true}})").status == 200);
    REQUIRE(ask(client, "PATCH", "/v1/projects/default/images/tiny", R"({"spec":{"shared":true}})").status == 200);
    REQUIRE(ask(client, "POST", "/v1/projects", R"({"name":"p"})").status == 201);
    const auto made = ask(client, "POST", "/v1/projects/p/vms?wait=20s",
                          R"({"name":"web1","spec":{"cpus":1,"memory":"128MiB","disks":{"root":{"image":)"
                          R"("default/tiny"}},"nics":{"eth0":{"network":"default/blue"}}}})");
    CAPTURE(made.body.dump());
    REQUIRE(made.status == 201);
    CHECK(ask(client, "DELETE", "/v1/projects/p").code() == "in-use");
    REQUIRE(ask(client, "DELETE", "/v1/projects/p/vms/web1?wait=20s").status < 300);
    const auto refused = ask(client, "DELETE", "/v1/projects/p");
    CAPTURE(refused.body.dump());
    CHECK(refused.status == 409);
    CHECK(refused.body["detail"].get<std::string>().find("2 deleted objects") != std::string::npos);
    CHECK(refused.body["hint"].get<std::string>().find("--now") != std::string::npos);
    CHECK(ask(client, "DELETE", "/v1/projects/p?now=true").status < 300);
    CHECK(ask(client, "GET", "/v1/projects/p").status == 404);
}

TEST_CASE("what is deleted says how it is named") {
    CloudServer cloud;
    auto client = cloud.client();
    const auto none = ask(client, "DELETE", "/v1/projects/default/vms/none?now=true");
    CHECK(none.status == 404);
    CHECK(none.body["hint"].get<std::string>().find("axle vm list --deleted") != std::string::npos);
}

TEST_CASE("a NIC that an apply set brought goes when the set names it no more; one made by hand stays") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    REQUIRE(ask(client, "POST", "/v1/projects/default/networks",
                R"({"name":"green","spec":{"type":"nat","cidr":"10.91.0.0/24"}})")
                .status == 201);
    REQUIRE(ask(client, "POST", "/v1/projects/default/vms?wait=20s", vm_document("web1")).status == 201);
    const auto apply = [&](const std::string& nics) {
        const auto done =
            ask(client, "POST", "/v1/apply?set=s", R"({"kind":"vm","name":"web1","spec":{"nics":{)" + nics + "}}}");
        CAPTURE(done.body.dump());
        CHECK(done.body["failed"] == false);
        std::string names;
        const auto vm = ask(client, "GET", "/v1/projects/default/vms/web1");
        for (const auto& [name, nic] : vm.body["spec"]["nics"].items()) names += name + " ";
        return names;
    };
    const std::string eth0 = R"("eth0":{"network":"blue"})", eth1 = R"("eth1":{"network":"green"})";
    CHECK(apply(eth0 + "," + eth1) == "eth0 eth1 ");
    CHECK(apply(eth0) == "eth0 ");
    CHECK(apply(eth0 + "," + eth1) == "eth0 eth1 ");
    CHECK(apply(eth1) == "eth0 eth1 ");
    CHECK(apply("") == "eth0 ");
}

TEST_CASE("a pool shows what its hosts tell of it, all together and each") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    cloud.add_host("second", {.cpus = 4, .memory = 64 * kGiB});
    const auto pool = [&] { return ask(client, "GET", "/v1/pools/main").body; };
    const BootTime deadline = boot_now() + seconds{30};
    while (pool()["status"].value("readyCount", 0) != 2 && boot_now() < deadline) std::this_thread::yield();
    const json shown = pool();
    CAPTURE(shown.dump());
    CHECK(shown["status"]["hostCount"] == 2);
    REQUIRE(shown["status"]["hosts"].contains("second"));
    CHECK(shown["status"]["hosts"]["second"]["ready"] == true);
    std::int64_t free = 0;
    for (const auto& [name, there] : shown["status"]["hosts"].items()) free += there["free"].get<std::int64_t>();
    CHECK(shown["status"]["free"] == free);
    CHECK(ask(client, "GET", "/v1/pools").body["items"][0]["status"] == shown["status"]);
    const auto host = ask(client, "GET", "/v1/hosts/second").body;
    CAPTURE(host.dump());
    REQUIRE(host["status"]["pools"].size() == 1);
    CHECK(host["status"]["pools"][0]["pool"] == "main");
    CHECK_FALSE(host["status"].contains("networks"));
}

TEST_CASE(
    "VMs of a group are kept apart, the one too many says which rule stops it, and what is wrong is named by field") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    REQUIRE(ask(client, "POST", "/v1/projects/default/placementgroups", R"({"name":"web"})").status == 201);
    const auto document = [](const char* name) {
        return fmt::format(
            R"({{"name":"{}","spec":{{"disks":{{"root":{{"image":"tiny"}}}},"nics":{{"eth0":{{"network":"blue"}}}},)"
            R"("placementGroup":"web"}}}})",
            name);
    };
    CHECK(ask(client, "POST", "/v1/projects/default/vms?wait=20s", document("web1")).status == 201);
    const auto foreseen = ask(client, "POST", "/v1/projects/default/vms?dryRun=true", document("web2"));
    CHECK(foreseen.body["placement"]["candidates"][0]["filter"] == "affinity");
    CHECK(ask(client, "POST", "/v1/projects/default/vms", document("web2")).status == 202);
    const auto why = ask(client, "GET", "/v1/projects/default/vms/web2/explain");
    CHECK(why.body["summary"].get<std::string>().find("host h1 has 1 VM that placement group web keeps apart") !=
          std::string::npos);
    const auto in_use = ask(client, "DELETE", "/v1/projects/default/placementgroups/web");
    CHECK(in_use.status == 409);
    CHECK(in_use.body["detail"].get<std::string>().find("is used by vm web1, vm web2") != std::string::npos);
    const auto wrong = ask(
        client, "POST", "/v1/projects/default/vms",
        R"({"name":"x","spec":{"disks":{"root":{"image":"tiny"}},"affinity":{"a":{"policy":"near","selector":{}}}}})");
    CHECK(wrong.status == 422);
    CAPTURE(wrong.body.dump());
    std::string pointers;
    for (const auto& e : wrong.body["errors"]) pointers += e["pointer"].get<std::string>() + " ";
    CHECK(pointers.find("/spec/affinity/a/policy") != std::string::npos);
    CHECK(pointers.find("/spec/affinity/a/selector") != std::string::npos);
    const auto no_group = ask(client, "POST", "/v1/projects/default/vms",
                              R"({"name":"x","spec":{"disks":{"root":{"image":"tiny"}},"placementGroup":"nope"}})");
    CHECK(no_group.status == 422);
    CHECK(no_group.body.dump().find("there is web") != std::string::npos);
}

TEST_CASE("a zone with hosts isn't deleted, one without is, and hosts tell their zone") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    REQUIRE(ask(client, "POST", "/v1/zones", R"({"name":"east"})").status == 201);
    CHECK(ask(client, "PATCH", "/v1/hosts/h1", R"({"spec":{"zone":"west"}})").status == 422);
    CHECK(ask(client, "PATCH", "/v1/hosts/h1", R"({"spec":{"zone":"east"}})").body["spec"]["zone"] == "east");
    CHECK(ask(client, "DELETE", "/v1/zones/east").status == 409);
    CHECK(ask(client, "PATCH", "/v1/hosts/h1", R"({"spec":{"zone":null}})").status == 200);
    CHECK(ask(client, "DELETE", "/v1/zones/east").status < 300);
}
