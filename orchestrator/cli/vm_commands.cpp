// vm create and what changes a VM's state.
#include "common/base/file.hpp"
#include "common/http/url.hpp"
#include "common/model/codec.hpp"
#include "orchestrator/cli/app.hpp"
#include "orchestrator/cli/yaml.hpp"

namespace axle::cli {
namespace {

// A host's own name among its labels, for hostSelector.
constexpr const char* kHostLabel = "axle/host";

struct CreateOptions {
    std::string name, file, image, root_volume, size, pool, cpus, memory, flavor, user_data, hostname, group, host;
    std::vector<std::string> networks, ssh_keys, labels, host_selector, apart, together;
    bool stopped = false, pack = false;
};

Result<json> document_of(const CreateOptions& o) {
    json document = {{"kind", "vm"}, {"spec", json::object()}};
    if (!o.file.empty()) {
        TRY(text, read_file(o.file, 1 << 20));
        TRY(documents, parse_yaml(text));
        if (documents.size() != 1 || !documents[0].is_object())
            return fail(usage(fmt::format("{} must hold one document", o.file), "axle apply -f takes many"));
        document = std::move(documents[0]);
        if (!document["spec"].is_object()) document["spec"] = json::object();
    }
    if (!o.name.empty()) document["name"] = o.name;
    return document;
}

// Without --network: the project's only network, or the one that is called default.
Result<> add_networks(Session& session, json& spec, std::vector<std::string> networks) {
    if (networks.empty() && !spec.contains("nics")) {
        TRY(known, session.list(info_of(Kind::network), {{"fields", "name"}}));
        for (const json& network : known) {
            const std::string name = network.value("name", "");
            if (known.size() == 1 || name == "default") networks = {name};
        }
        if (known.empty())
            session.terminal().say(
                "warning: there is no network: the VM gets no NIC. axle network create default makes one");
        else if (networks.empty())
            return fail(usage(fmt::format("there are {} networks and none is called default: name one", known.size()),
                              "--network NAME, or --network none"));
    }
    int number = static_cast<int>(spec.value("nics", json::object()).size());
    for (const std::string& network : networks) {
        if (network != "none") spec["nics"][fmt::format("eth{}", number++)] = {{"network", network}};
    }
    return {};
}

Result<> add_login(Session& session, json& spec, const CreateOptions& o) {
    for (const std::string& key : o.ssh_keys) spec["sshKeys"].push_back(key);
    if (!o.user_data.empty()) {
        TRY(text, read_file(o.user_data, 64 << 10));
        spec["userData"] = text;
    }
    if (!spec.contains("sshKeys") && !spec.contains("userData"))
        session.terminal().say(
            "warning: nobody can log in to this VM: it has neither an SSH key nor user data. axle sshkey create me "
            "--file "
            "~/.ssh/id_ed25519.pub, then --ssh-key me");
    return {};
}

void set_if(json& at, const char* key, const std::string& value) {
    if (!value.empty()) at[key] = value;
}

// Each is a rule of its own, named by its number: apart1, together1.
Result<> add_affinity(json& spec, const CreateOptions& o) {
    set_if(spec, "placementGroup", o.group);
    if (o.pack) spec["strategy"] = "pack";
    const auto add = [&](const char* policy, const char* flag, const std::vector<std::string>& pairs) -> Result<> {
        int number = 0;
        for (const std::string& pair : pairs) {
            json& term = spec["affinity"][fmt::format("{}{}", policy, ++number)];
            term["policy"] = policy;
            TRY_VOID(add_pairs(term["selector"], flag, {pair}));
        }
        return {};
    };
    TRY_VOID(add("apart", "--apart-from", o.apart));
    return add("together", "--together-with", o.together);
}

Result<> add_root_disk(json& spec, const CreateOptions& o) {
    if (!o.root_volume.empty() && (!o.image.empty() || !o.pool.empty()))
        return fail(usage("--root-volume names a disk that is there: it takes neither --image nor --pool"));
    if (!o.image.empty() || !o.size.empty() || !o.pool.empty() || !o.root_volume.empty()) {
        json& root = spec["disks"]["root"];
        set_if(root, "image", o.image);
        set_if(root, "volume", o.root_volume);
        set_if(root, "size", o.size);
        set_if(root, "pool", o.pool);
    }
    if (spec.contains("disks")) return {};
    return fail(usage("a VM needs a disk to start from",
                      "--image NAME (axle image list shows what there is), or --root-volume NAME (axle volume list)"));
}

Result<json> build_document(Session& session, const CreateOptions& o) {
    TRY(document, document_of(o));
    if (!o.labels.empty()) TRY_VOID(add_pairs(document["labels"], "--label", o.labels));
    json& spec = document["spec"];
    if (!o.cpus.empty()) spec["cpus"] = o.cpus;
    set_if(spec, "memory", o.memory);
    set_if(spec, "flavor", o.flavor);
    set_if(spec, "hostname", o.hostname);
    if (!o.host_selector.empty()) TRY_VOID(add_pairs(spec["hostSelector"], "--host-selector", o.host_selector));
    if (!o.host.empty()) spec["hostSelector"][kHostLabel] = o.host;
    TRY_VOID(add_affinity(spec, o));
    if (o.stopped) spec["power"] = "stopped";
    TRY_VOID(add_root_disk(spec, o));
    TRY_VOID(add_networks(session, spec, o.networks));
    TRY_VOID(add_login(session, spec, o));
    return document;
}

std::string described(const json& vm) {
    std::string out = fmt::format("vm {} is {}", vm.value("name", ""), vm["status"].value("phase", ""));
    const json status = vm.value("status", json::object());
    if (status.contains("placement")) out += " on host " + status["placement"].value("host", "");
    const json addresses = status.value("addresses", json::array());
    if (!addresses.empty()) out += ", address " + addresses[0].get<std::string>();
    return out;
}

Result<int> create(Session& session, const CreateOptions& o) {
    TRY(document, build_document(session, o));
    const KindInfo& kind = info_of(Kind::vm);
    const std::string target = session.path_of(kind) + (session.flags().dry_run ? "?dryRun=true" : "");
    std::string location;
    // As YAML: numbers that came as texts are read by their field's type.
    TRY(made, session.send_text("POST", target, to_yaml(document), "application/yaml", &location));
    if (session.flags().dry_run) return show_one(session, made), 0;
    if (!session.flags().wait || location.empty())
        return show_task(session, made, location, fmt::format("vm {} is made", made.value("name", ""))), 0;
    if (auto followed = follow_task(session, location); !followed) {
        if (followed.error().hint.empty())
            followed.error().hint = fmt::format("axle vm explain {0}; axle vm log {0}", made.value("name", ""));
        return fail(std::move(followed.error()));
    }
    TRY(now, session.get(session.path_of(kind, made.value("id", ""))));
    show_done(session, now, described(now));
    return 0;
}

void add_create(Build& build, CLI::App* noun) {
    auto o = std::make_shared<CreateOptions>();
    CLI::App* c = build.verb(noun, "create", "Make a VM and start it", [o](Session& s) { return create(s, *o); });
    c->alias("launch");
    c->add_option("name", o->name, "Name");
    c->add_option("-f,--file", o->file, "Document to start from (YAML or JSON)");
    c->add_option("--image", o->image, "Image to start from");
    c->add_option("--root-volume,--volume", o->root_volume, "Volume that is there already, as the root disk");
    c->add_option("--size", o->size, "Size of the root disk, such as 20GiB");
    c->add_option("--pool", o->pool, "Pool of the root disk");
    c->add_option("--cpus", o->cpus, "Virtual CPUs");
    c->add_option("--memory", o->memory, "Memory, such as 2GiB");
    c->add_option("--flavor", o->flavor, "Flavor that gives CPUs, memory and disk");
    c->add_option("--network", o->networks, "Network (repeat for more NICs); none: no NIC")->allow_extra_args(false);
    c->add_option("--ssh-key", o->ssh_keys, "SSH key that may log in (repeat for more)")->allow_extra_args(false);
    c->add_option("--user-data", o->user_data, "File with cloud-init user data");
    c->add_option("--hostname", o->hostname, "Host name in the guest");
    c->add_option("--label", o->labels, "KEY=VALUE (repeat for more)")->allow_extra_args(false);
    c->add_option("--host,--target", o->host,
                  "On this host and no other, until it is let go: axle vm set NAME hostSelector.axle/host=");
    c->add_option("--host-selector", o->host_selector,
                  "KEY=VALUE that the host must be labelled with (repeat for more)")
        ->allow_extra_args(false);
    c->add_option("--placement-group", o->group, "Group whose VMs are kept apart or together");
    c->add_option("--apart-from", o->apart, "KEY=VALUE: on no host with a VM of that label (repeat for more)")
        ->allow_extra_args(false);
    c->add_option("--together-with", o->together, "KEY=VALUE: on a host with a VM of that label (repeat for more)")
        ->allow_extra_args(false);
    c->add_flag("--pack", o->pack, "On the fullest host that it fits on, not on the one with the most room");
    c->add_flag("--stopped", o->stopped, "Don't start it");
}

struct ActionOptions {
    std::vector<std::string> names;
    bool force = false;
};

void add_action(Build& build, CLI::App* noun, const char* action, const char* help, const char* sentence) {
    auto o = std::make_shared<ActionOptions>();
    const bool may_force = std::string_view(action) == "stop";
    CLI::App* verb = build.verb(noun, action, help, [o, action, sentence, may_force](Session& s) {
        const json arguments = may_force && o->force ? json{{"force", true}} : json::object();
        return act_on_each(s, info_of(Kind::vm), o->names, action, arguments, sentence);
    });
    verb->add_option("name", o->names, "Names or ids")->required();
    if (may_force) verb->add_flag("--force", o->force, "Switch off at once, without asking the guest");
}

void add_disks(Build& build, CLI::App* noun) {
    struct Options {
        std::string vm, disk, volume, image, size, pool;
    };
    auto a = std::make_shared<Options>();
    CLI::App* attach = build.verb(noun, "attach", "Give a VM a disk", [a](Session& s) -> Result<int> {
        json arguments = {{"disk", a->disk.empty() ? a->volume : a->disk}};
        set_if(arguments, "volume", a->volume);
        set_if(arguments, "image", a->image);
        set_if(arguments, "size", a->size);
        set_if(arguments, "pool", a->pool);
        if (arguments["disk"].get_ref<const std::string&>().empty())
            return fail(usage("name the disk", "axle vm attach web1 --disk data --size 10GiB"));
        return change(s, "POST", s.path_of(info_of(Kind::vm), a->vm) + "/actions/attach", &arguments,
                      fmt::format("vm {} has disk {}", a->vm, arguments["disk"].get<std::string>()));
    });
    attach->add_option("name", a->vm, "VM")->required();
    attach->add_option("volume,--volume", a->volume, "Existing volume; without it one is made");
    attach->add_option("--disk", a->disk, "Name of the disk in the VM (default: the volume's)");
    attach->add_option("--size", a->size, "Size of the new volume");
    attach->add_option("--image", a->image, "Image that the new volume starts from");
    attach->add_option("--pool", a->pool, "Pool of the new volume");
    auto d = std::make_shared<Options>();
    CLI::App* detach = build.verb(noun, "detach", "Take a disk away; the volume stays", [d](Session& s) {
        const json arguments = {{"disk", d->disk}};
        return change(s, "POST", s.path_of(info_of(Kind::vm), d->vm) + "/actions/detach", &arguments,
                      fmt::format("vm {} no longer has disk {}", d->vm, d->disk));
    });
    detach->add_option("name", d->vm, "VM")->required();
    detach->add_option("disk", d->disk, "Name of the disk")->required();
}

// Of a move that had begun.
Error with_what_next(Error e, const std::string& name, bool cold) {
    if (e.reason != "task-failed") return e;
    const std::string again =
        cold ? "try it again" : fmt::format("try it again, or switched off: axle vm migrate {} --cold", name);
    e.hint += (e.hint.empty() ? "" : "; ") + again;
    return e;
}

void add_migrate(Build& build, CLI::App* noun) {
    struct Options {
        std::vector<std::string> names;
        std::string host, bandwidth;
        bool cold = false;
    };
    auto o = std::make_shared<Options>();
    const char* help = "Move VMs to another host, with their disks; a running guest goes on meanwhile";
    CLI::App* verb = build.verb(noun, "migrate", help, [o](Session& s) -> Result<int> {
        for (const std::string& name : o->names) {
            json arguments = json::object();
            set_if(arguments, "host", o->host);
            set_if(arguments, "bandwidth", o->bandwidth);
            if (o->cold) arguments["cold"] = true;
            auto moved = change(s, "POST", s.path_of(info_of(Kind::vm), name) + "/actions/migrate", &arguments,
                                fmt::format("vm {} has moved", name));
            if (!moved) return fail(with_what_next(std::move(moved.error()), name, o->cold));
            if (*moved != 0) return moved;
        }
        return 0;
    });
    verb->add_option("name", o->names, "Names or ids")->required();
    verb->add_option("--host", o->host, "Host to go to; without it the one that suits each best");
    verb->add_flag("--cold", o->cold, "Shut the guest down, copy its disks, start it there");
    verb->add_option("--bandwidth", o->bandwidth, "At most so many bytes a second, such as 100MiB");
}

Result<int> explain(Session& session, const std::string& name) {
    TRY(decision, session.get(session.path_of(info_of(Kind::vm), name) + "/explain"));
    if (session.flags().output != Output::table && session.flags().output != Output::wide)
        return show_one(session, decision), 0;
    std::string out = decision.value("summary", "") + "\n";
    for (const json& c : decision.value("candidates", json::array())) {
        const std::string filter = c.value("filter", "");
        out += filter.empty() ? fmt::format("  {}: would do, score {:.3f}", c.value("host", ""), c.value("total", 0.0))
                              : fmt::format("  {}: no ({}): {}", c.value("host", ""), filter, c.value("reason", ""));
        if (filter.empty()) {
            const json scores = c.value("scores", json::object());
            for (const auto& [score, value] : scores.items())
                out += fmt::format(", {} {:.3f}", score, value.get<double>());
        }
        out += "\n";
    }
    session.terminal().data(out);
    return 0;
}

}  // namespace

void add_vm_commands(Build& build) {
    CLI::App* noun = build.noun("vm", info_of(Kind::vm).doc);
    add_create(build, noun);
    add_action(build, noun, "start", "Start VMs", "runs");
    add_action(build, noun, "stop", "Ask guests to shut down", "is stopped");
    add_action(build, noun, "reboot", "Ask guests to reboot", "was asked to reboot (if it does not: axle vm reset)");
    add_action(build, noun, "reset", "Press the reset button", "was reset");
    add_action(build, noun, "pause", "Freeze guests where they are", "is paused");
    add_action(build, noun, "resume", "Let paused guests go on", "runs again");
    add_migrate(build, noun);
    add_disks(build, noun);
    auto name = std::make_shared<std::string>();
    CLI::App* why = build.verb(noun, "explain", "Why it is on its host, or on none",
                               [name](Session& s) { return explain(s, *name); });
    why->add_option("name", *name, "VM")->required();
}

}  // namespace axle::cli
