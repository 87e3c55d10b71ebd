// The command line against a whole orchestrator in this process.
#include <nlohmann/json.hpp>

#include "tests/contract/cli/person.hpp"
#include "tests/support/cloud_server.hpp"

using namespace axle;
using namespace axle::test;
using nlohmann::json;

TEST_CASE("from nothing to a VM and away again") {
    CloudServer cloud;
    Person me(cloud);
    furnish(cloud, me);
    const std::string key =
        me.file("id.pub", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me@here\n");
    me.ok({"sshkey", "create", "me", "--file", key});
    const Ran made = me.ok({"vm", "create", "web1", "--image", "debian-12", "--cpus", "2", "--memory", "256M",
                            "--ssh-key", "me", "--label", "tier=web"});
    CHECK(made.out.starts_with("vm web1 is running on host h1, address 10.90.0."));
    CHECK(made.err.find("warning") == std::string::npos);
    const Ran list = me.ok({"vm", "list"});
    CHECK(list.out.starts_with("NAME  STATUS   ADDRESS"));
    CHECK(list.out.find("web1  running  10.90.0.") != std::string::npos);
    CHECK(list.out.find("256 MiB") != std::string::npos);
    CHECK(me.ok({"vm", "ls", "-o", "name"}).out == "vm/web1\n");
    CHECK(json::parse(me.ok({"vms", "list", "-o", "json"}).out)[0]["labels"]["tier"] == "web");
    CHECK(me.ok({"vm", "list", "-o", "csv"}).out.starts_with("NAME,STATUS,"));
    const std::string wide = me.ok({"vm", "list", "-o", "wide"}).out;
    CHECK(wide.find("ACCELERATOR") != std::string::npos);
    CHECK(wide.find("default") != std::string::npos);  // its network
    CHECK(wide.find("eth0") == std::string::npos);
    CHECK(me.ok({"vm", "list", "--filter", "status.phase=stopped"}).err == "no vms\n");
    CHECK(me.ok({"get", "vm", "web1", "-o", "json"}).out.find("\"cpus\": 2") != std::string::npos);
    CHECK(me.ok({"vm", "show", "web1"}).out.find("phase: running") != std::string::npos);
    CHECK(me.ok({"vm", "explain", "web1"}).out.find("h1") != std::string::npos);
    CHECK(me.ok({"vm", "log", "web1"}).out == "hello from the guest\n");

    CHECK(me.ok({"vm", "stop", "web1"}).out == "vm web1 is stopped\n");
    CHECK(me.ok({"vm", "set", "web1", "cpus=4", "memory=512MiB"}).out == "vm web1 is changed\n");
    CHECK(me.ok({"vm", "label", "web1", "tier-", "owner=ann"}).code == 0);
    const json vm = json::parse(me.ok({"vm", "show", "web1", "-o", "json"}).out);
    CHECK(vm["spec"]["cpus"] == 4);
    CHECK(vm["labels"] == json{{"owner", "ann"}});
    CHECK(me.ok({"vm", "start", "web1"}).out == "vm web1 runs\n");
    CHECK(me.ok({"vm", "reboot", "web1"}).code == 0);
    CHECK(me.ok({"vm", "delete", "web1"}).out.starts_with("vm web1 is deleted"));
    CHECK(me.ok({"vm", "restore", "web1"}).out == "vm web1 is back, and off; to start it: axle vm start web1\n");
    CHECK(me.ok({"delete", "vm/web1", "--now"}).code == 0);
    CHECK(me.axle({"vm", "show", "web1"}).code == 3);
}

TEST_CASE("an image that failed is imported once more, by its address or with another file") {
    CloudServer cloud;
    Person me(cloud);
    CHECK(me.axle({"image", "create", "far", "--url", "http://images/broken"}).code == 1);
    const auto again = me.axle({"image", "import", "far"});
    CHECK(again.code == 1);
    CHECK(again.err.find("the image is broken") != std::string::npos);
    CHECK(me.ok({"task", "list"}).out.find("STEP") != std::string::npos);
    CHECK(me.axle({"image", "create", "empty"}).err.find("--file FILE") != std::string::npos);
    CHECK(me.axle({"image", "show", "empty"}).code == 3);
    CHECK(me.ok({"image", "create", "up", "--no-wait"}).code == 0);
    CHECK(me.axle({"image", "import", "up"}).err.find("hint: upload its content") != std::string::npos);
    CHECK(me.ok({"image", "import", "up", "--file", me.file("disk", "content")}).out == "image up is ready\n");
    CHECK(me.ok({"image", "import", "up"}).code == 0);
}

TEST_CASE("exit codes and words for what goes wrong") {
    CloudServer cloud;
    Person me(cloud);
    furnish(cloud, me);
    struct Row {
        std::vector<std::string> args;
        int code;
        const char* says;
    };
    for (const Row& row : {
             Row{{"vm", "show", "none"}, 3, "no vm \"none\""},
             Row{{"vm", "stop", "none"}, 3, "hint: "},
             Row{{"network", "create", "default"}, 4, "already"},
             Row{{"flavor", "create", "f", "--cpus", "0", "--memory", "1GiB"}, 1, "cpus"},
             Row{{"flavor", "create", "f", "--cpus", "two", "--memory", "1GiB"}, 1, "integer"},
             Row{{"flavor", "create", "f"}, 2, "--cpus"},
             Row{{"vm", "create", "a", "--image", "none"}, 1, "image"},
             Row{{"vm", "create", "a"}, 2, "--image"},
             Row{{"vm", "create", "Bad_Name", "--image", "debian-12"}, 1, "name"},
             Row{{"vm", "list", "--filter", "spec.cpu=1"}, 1, "no field vm.spec.cpu"},
             Row{{"fly"}, 2, "error: axle has no command \"fly\"\nhint: axle --help"},
             Row{{"vm", "craete", "a"}, 2, "hint: did you mean: axle vm create\n"},
             Row{{"-o", "json", "vmm", "list"}, 2, "hint: did you mean: axle vm\n"},
             Row{{"create", "vm", "a"}, 2, "hint: did you mean: axle vm create\n"},
             Row{{"host", "token", "creat"}, 2, "hint: did you mean: axle host token create\n"},
             Row{{"vm", "create", "a", "--imag", "debian-12"}, 2, "did you mean: axle vm create --image\n"},
             Row{{"get", "netwroks"}, 2, "did you mean: networks"},
             Row{{"delete", "vmss", "a"}, 2, "did you mean: vms"},
             Row{{"vm", "stop"}, 2, "name is required"},
             Row{{"vm", "create", "a", "--image", "debian-12", "--host", "h9"}, 1, "there is no host \"h9\""},
             Row{{"vm", "create", "a", "--image", "debian-12", "--root-volume", "b"}, 2, "neither --image nor"},
             Row{{"vm", "create", "a", "--root-volume", "none"}, 1, "no volume \"none\""},
             Row{{"vm", "restore", "none"}, 3, "no deleted vm is called none"},
             Row{{}, 2, "no command"},
             Row{{"vm"}, 2, "no command"},
             Row{{"vm", "list", "-o", "xml"}, 2, "xml"},
             Row{{"vm", "list", "--timeout", "soon"}, 2, "--timeout"},
             Row{{"get", "cows"}, 2, "no kind"},
             Row{{"explain", "vm.spec.nope"}, 3, "no field"},
             Row{{"--endpoint", "unix:/nowhere.sock", "status"}, 1, "hint: "},
             Row{{"--endpoint", "https://127.0.0.1:1", "status"}, 5, "axle login"},
             Row{{"--context", "none", "status"}, 3, "no context"},
             Row{{"--token", "wrong", "status"}, 5, "unknown"},
             Row{{"wait", "network/default", "--for", "spec.mtu=9000", "--timeout", "200ms"}, 7, "within"},
         }) {
        std::string line;
        for (const std::string& word : row.args) line += word + " ";
        CAPTURE(line);
        const Ran ran = me.axle(row.args);
        CAPTURE(ran.err);
        CHECK(ran.code == row.code);
        CHECK(ran.out.empty());
        CHECK(ran.err.find(row.says) != std::string::npos);
    }
    me.ok({"project", "set", "default", "--limit", "vms=0"});
    CHECK(me.axle({"vm", "create", "a", "--image", "debian-12"}).code == 6);
    CHECK(me.axle({"--help"}).out.find("status") != std::string::npos);
    CHECK(me.axle({"--version"}).out.starts_with(AXLE_VERSION));
    CHECK(me.axle({"vm", "create", "--help"}).out.find("--ssh-key") != std::string::npos);
}

TEST_CASE("who could not log in is warned, and what can't run says why") {
    CloudServer cloud;
    Person me(cloud);
    furnish(cloud, me);
    const Ran ran = me.axle({"vm", "create", "huge", "--image", "debian-12", "--memory", "8TiB", "--timeout", "700ms"});
    CHECK(ran.code == 7);
    CHECK(ran.err.find("warning: nobody can log in") != std::string::npos);
    CHECK(ran.err.find("memory") != std::string::npos);
    CHECK(ran.err.find("axle vm delete huge") != std::string::npos);
    const Ran left = me.ok({"vm", "create", "later", "--image", "debian-12", "--memory", "8TiB", "--no-wait"});
    CHECK(left.out.starts_with("task "));
    const std::string id = left.out.substr(5, 36);
    CHECK(me.ok({"task", "list"}).out.find(id) != std::string::npos);
    const Ran refused = me.axle({"task", "cancel", id});
    CHECK(refused.code == 4);  // a wish is taken back by the opposite wish
    CHECK(refused.err.find("hint: ") != std::string::npos);
    me.ok({"vm", "delete", "later", "--now", "--no-wait"});
    const Ran ended = me.axle({"task", "wait", id, "--timeout", "20s"});
    CAPTURE(ended.err);
    CHECK(ended.code == 1);
    CHECK(ended.err.find("superseded") != std::string::npos);
}

TEST_CASE("apply and diff tell what they do, field by field") {
    CloudServer cloud;
    Person me(cloud);
    const std::string file = me.file("f.yaml",
                                     "kind: flavor\nname: small\nspec: {cpus: 1, memory: 1GiB}\n---\n"
                                     "kind: flavor\nname: large\nspec: {cpus: 8, memory: 16GiB}\n");
    const Ran diff = me.axle({"diff", "-f", file});
    CHECK(diff.code == 1);
    CHECK(diff.out.find("flavor/small would be created\n") != std::string::npos);
    CHECK(me.ok({"apply", "-f", file}).out == "flavor/small created\nflavor/large created\n");
    CHECK(me.ok({"apply", "-f", file}).out == "flavor/small unchanged\nflavor/large unchanged\n");
    CHECK(me.ok({"diff", "-f", file}).code == 0);
    const Ran change = me.axle({"diff", "-f", "-"}, "kind: flavor\nname: small\nspec: {cpus: 2, memory: 1GiB}\n");
    CHECK(change.code == 1);
    CHECK(change.out == "flavor/small would be changed\n  ~ spec.cpus: 1 -> 2\n");
    CHECK(me.ok({"apply", "-f", "-"}, R"({"kind":"flavor","name":"small","spec":{"cpus":2,"memory":"1GiB"}})").out ==
          "flavor/small changed\n");
    const Ran bad = me.axle({"apply", "-f", "-"}, "kind: flavor\nname: X\nspec: {cpus: 0}\n");
    CHECK(bad.code == 1);
    CHECK(bad.err.find("0.spec.memory") != std::string::npos);
    CHECK(me.axle({"apply", "-f", "/nowhere.yaml"}).code == 3);
    // What is shown can be sent back.
    const Ran shown = me.ok({"get", "flavor", "small", "-o", "yaml"});
    CHECK(me.ok({"apply", "-f", "-"}, shown.out).out == "flavor/small unchanged\n");
}

TEST_CASE("status and doctor say what isn't well") {
    CloudServer cloud;
    Person me(cloud);
    const Ran before = me.axle({"status"});
    CHECK(before.code == 1);
    CHECK(before.out.find("no host has joined yet") != std::string::npos);
    furnish(cloud, me);
    const Ran after = me.ok({"status"});
    CHECK(after.out.find("all is well") != std::string::npos);
    CHECK(json::parse(me.ok({"status", "-o", "json"}).out)["healthy"] == true);
    const Ran doctor = me.axle({"doctor"});
    CHECK(doctor.out.find("ok       server: axle ") != std::string::npos);
    CHECK(doctor.out.find("host h1: connected") != std::string::npos);
}

TEST_CASE("status names the next command for each thing that isn't well") {
    CloudServer cloud;
    Person me(cloud);
    const Ran ran = me.axle({"status"});
    CHECK(ran.out.find("no host has joined yet\n    => axle host token create\n") != std::string::npos);
    CHECK(ran.out.find("\n    => axle pool create main --path") != std::string::npos);
    const json told = json::parse(me.axle({"status", "-o", "json"}).out);
    for (const auto& problem : told["problems"]) CHECK(problem["hint"] != "");
}

TEST_CASE("a loss is accepted by a person who has seen the numbers, and by nobody else") {
    CloudServer cloud;
    Person me(cloud);
    CHECK(me.ok({"store", "accept-loss"}).err.find("nothing is lost") != std::string::npos);
    cloud.core().call([&] {
        cloud.orchestrator().pipeline().turn_read_only("lost-tail", "host h1 has seen revision 90", {.revision = 90});
    });
    const Ran status = me.axle({"status"});
    CHECK(status.out.find("READ-ONLY") != std::string::npos);
    CHECK(status.out.find("axle store accept-loss") != std::string::npos);
    CHECK(me.axle({"project", "create", "x"}).code != 0);
    CHECK(me.axle({"store", "accept-loss"}).code == 2);  // nobody sits there
    me.sits_there = true;
    const Ran no = me.axle({"store", "accept-loss"}, "no\n");
    CHECK(no.code != 0);
    CHECK(no.err.find("others have seen 90") != std::string::npos);
    CHECK(me.axle({"project", "create", "x"}).code != 0);
    me.ok({"store", "accept-loss"}, "yes\n");
    me.ok({"project", "create", "x"});
    CHECK(json::parse(me.axle({"status", "-o", "json"}).out)["revision"] > 90);
}

TEST_CASE("the cloud's time is moved to the machine's by a person's word") {
    CloudServer cloud;
    Person me(cloud);
    CHECK(me.axle({"clock", "accept"}).code == 2);
    CHECK(me.ok({"clock", "accept", "--yes"}).out.find("the cloud's time is 20") != std::string::npos);
    CHECK(json::parse(me.axle({"status", "-o", "json"}).out)["clock"]["apart"] == false);
}

TEST_CASE("a token is made, used, kept in a context and forgotten") {
    CloudServer cloud;
    Person admin(cloud);
    const Ran made = admin.ok({"token", "create", "ci", "--role", "viewer"});
    const std::string secret = made.out.substr(0, made.out.size() - 1);
    CHECK(secret.size() > 20);
    Person guest(cloud);
    guest.environment.erase("AXLE_SOCKET");
    const std::string endpoint = fmt::format("http://127.0.0.1:{}", cloud.port());
    CHECK(guest.ok({"login", endpoint, "--token", secret, "--name", "lab"}).err.find("logged in") != std::string::npos);
    CHECK(guest.ok({"context", "list"}).out.find("*  lab") != std::string::npos);
    CHECK(guest.ok({"flavor", "list"}).code == 0);
    CHECK(guest.axle({"flavor", "create", "f", "--cpus", "1", "--memory", "1GiB"}).code == 5);
    CHECK(guest.axle({"login", endpoint, "--token", "wrong"}).code == 5);
    guest.ok({"context", "delete", "lab"});
    CHECK(guest.axle({"flavor", "list"}).code == 1);
}

TEST_CASE("capacity in words") {
    CloudServer cloud;
    Person me(cloud);
    furnish(cloud, me);
    const Ran some = me.ok({"capacity", "--cpus", "2", "--memory", "4G", "--disk", "10G"});
    CHECK(some.out.find("more VMs of 2 CPUs and 4 GiB of memory, with a disk of 10 GiB in pool main\n") !=
          std::string::npos);
    CHECK(some.out.find("HOST  MORE VMS  WHY NOT ONE MORE\nh1    ") != std::string::npos);
    CHECK(some.err.empty());
    CHECK(me.ok({"capacity"}).err.find("for another size: --cpus") != std::string::npos);
    // 64 CPUs with an overcommit of 4, 256 GiB with a reserve of half a GiB.
    me.ok({"flavor", "create", "small", "--cpus", "1", "--memory", "1GiB"});
    me.ok({"flavor", "create", "big", "--cpus", "4", "--memory", "16GiB"});
    me.ok({"flavor", "create", "wide", "--cpus", "64", "--memory", "1GiB"});
    const auto room_for = [&](const char* flavor) {
        const Ran ran = me.ok({"capacity", "--flavor", flavor, "-o", "json"});
        return json::parse(ran.out).value("count", -1);
    };
    CHECK(room_for("small") == 255);
    CHECK(room_for("big") == 15);
    CHECK(room_for("wide") == 4);
    CHECK(me.ok({"capacity", "--flavor", "big"})
              .out.starts_with("room for 15 more VMs of 4 CPUs and 16 GiB of memory\n"));
    CHECK(me.axle({"capacity", "--flavor", "none"}).code == 3);
    CHECK(me.ok({"capacity", "--memory", "9TiB"}).out.starts_with("no room for one more VM of 1 CPU and 9 TiB of mem"));
    const std::string host = me.ok({"host", "list", "-o", "name"}).out;
    const Ran lost =
        me.ok({"capacity", "--without", host.substr(host.find('/') + 1, host.size() - host.find('/') - 2)});
    CHECK(lost.out.find("without host h1: no VM is on it\nthen no room for one more VM of 1 CPU") != std::string::npos);
    cloud.add_host("h2");
    me.ok({"host", "cordon", "h2"});
    me.ok({"vm", "create", "a", "--image", "debian-12"});
    me.ok({"host", "uncordon", "h2"});
    CHECK(me.ok({"capacity", "--without", "h1"})
              .out.find("without host h1: its 1 VM would find room on the other hosts:"
                        "\nVM         WOULD GO TO\ndefault/a  h2\n") != std::string::npos);
}

TEST_CASE("explain, watch and completion") {
    CloudServer cloud;
    Person me(cloud);
    furnish(cloud, me);
    const Ran explained = me.ok({"explain", "vm.spec.nics"});
    CHECK(explained.out.starts_with("vm.spec.nics <map of name to object>"));
    CHECK(explained.out.find("network <name of a network> required") != std::string::npos);
    CHECK(me.ok({"wait", "network/default", "--for", "spec.type=nat"}).code == 0);
    CHECK(me.ok({"events", "network/default"}).out.find("network/default") != std::string::npos);
    CHECK(me.ok({"events", "--warnings"}).out.find("normal") == std::string::npos);
    CHECK(me.ok({"-p", "other", "events"}).out.empty());
    CHECK(me.ok({"completion", "bash"}).out.find("complete -o default -F _axle axle") != std::string::npos);
    CHECK(me.ok({"__complete", "--", "v"}).out == "vm\nvolume\n");
    CHECK(me.ok({"__complete", "--", "vm", "sto"}).out == "stop\n");
    CHECK(me.ok({"__complete", "--", "network", "show", ""}).out == "default\n");
    CHECK(me.ok({"__complete", "--", "get", "network", "d"}).out == "default\n");
    CHECK(me.ok({"__complete", "--", "vm", "create", "--user"}).out == "--user-data\n");
}

TEST_CASE("a query shows all that it finds, however many pages that takes") {
    CloudServer cloud;
    Person person(cloud);
    constexpr int kMany = 1001;  // a page has 1000
    cloud.core().call([&] {
        Transaction tx = cloud.orchestrator().pipeline().begin();
        for (int i = 0; i < kMany; ++i) {
            auto flavor = std::make_unique<Flavor>();
            flavor->meta.name = fmt::format("f{}", i);
            flavor->spec.cpus = 3;
            tx.create(std::move(flavor));
        }
        cloud.orchestrator().pipeline().commit(tx);
    });
    const std::string names = person.ok({"query", "flavors", "spec.cpus=3", "-o", "name"}).out;
    CHECK(std::count(names.begin(), names.end(), '\n') == kMany);
}

namespace {

// A file that no document tells of, and a domain that none tells of.
UnclaimedReport two_strays() {
    UnclaimedReport report{.total = 2};
    report.things = {{.kind = DocumentKind::vm,
                      .id = *Uuid::parse("01890000-0000-7000-9000-000000000001"),
                      .name = "default/lost",
                      .state = DomainState::running,
                      .cpus = 1,
                      .memory = kGiB},
                     {.kind = DocumentKind::volume,
                      .id = *Uuid::parse("01890000-0000-7000-9000-000000000002"),
                      .path = "/pools/main/volumes/2.qcow2",
                      .size = 3 * kGiB}};
    return report;
}

}  // namespace

TEST_CASE("what nobody claims is listed, adopted and, after its name was typed, removed") {
    CloudServer cloud;
    Person me(cloud);
    me.ok({"pool", "create", "main", "--path", "/pools/main", "--default"});
    UnclaimedReport strays = two_strays();
    strays.things[1].pool = cloud.orchestrator().world().named(Kind::pool, {}, "main")->meta.id;
    cloud.add_host("h1", {.unclaimed = strays});
    const Ran list = me.ok({"unclaimed", "list"});
    CHECK(list.out.starts_with("HOST"));
    CHECK(list.out.find("running, 1 CPU, 1 GiB") != std::string::npos);
    CHECK(list.out.find("3 GiB") != std::string::npos);
    CHECK(list.out.find("can be adopted") != std::string::npos);
    CHECK(me.ok({"unclaimed", "list", "--kind", "vm", "-o", "name"}).out ==
          "vm/01890000-0000-7000-9000-000000000001\n");
    CHECK(json::parse(me.ok({"unclaimed", "list", "-o", "json"}).out)[1]["path"] == "/pools/main/volumes/2.qcow2");
    const std::string file = "01890000-0000-7000-9000-000000000002";
    const Ran bare = me.axle({"unclaimed", "adopt", "lost"});
    CHECK(bare.code == 4);
    CHECK(bare.err.find("create a VM with them") != std::string::npos);
    CHECK(me.axle({"unclaimed", "adopt", "nothing"}).code == 3);
    const Ran adopted = me.ok({"unclaimed", "adopt", file, "--name", "found"});
    CHECK(adopted.out == "volume " + file + " on host h1 is volume found now\n");
    CHECK(me.ok({"volume", "list"}).out.find("found") != std::string::npos);

    CHECK(me.axle({"unclaimed", "remove", "lost"}).code == 2);
    me.sits_there = true;
    const Ran shy = me.axle({"unclaimed", "remove", "lost"}, "no\n");
    CHECK(shy.code == 5);
    CHECK(shy.err.find("the guest is running; it is switched off") != std::string::npos);
    const Ran sure = me.ok({"unclaimed", "remove", "lost"}, "default/lost\n");
    CHECK(sure.out == "vm default/lost on host h1 is gone for good\n");
    CHECK(me.ok({"unclaimed", "list"}).err == "nothing is unclaimed\n");
}
