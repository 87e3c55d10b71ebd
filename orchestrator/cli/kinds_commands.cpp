// What every kind can: list, show, delete, edit of labels, and the actions of its table.
#include "common/http/url.hpp"
#include "orchestrator/cli/app.hpp"

namespace axle::cli {
namespace {

struct ListOptions {
    std::string filter, labels, sort;
    bool deleted = false;
    std::int64_t limit = 0;
};
using ListOptionsPtr = std::shared_ptr<ListOptions>;

Query query_of(const ListOptions& o) {
    Query query;
    if (!o.filter.empty()) query.emplace_back("filter", o.filter);
    if (!o.labels.empty()) query.emplace_back("labels", o.labels);
    if (!o.sort.empty()) query.emplace_back("sort", o.sort);
    if (o.deleted) query.emplace_back("deleted", "true");
    return query;
}

void add_list_options(CLI::App* command, const ListOptionsPtr& o, const KindInfo* kind) {
    command->add_option("--filter", o->filter, "Such as status.phase=running,spec.cpus>=4");
    if (kind != nullptr && kind->kind == Kind::task) return;
    command->add_option("--labels,-l", o->labels, "Such as tier=web");
    command->add_option("--sort", o->sort, "Such as -created,name");
    if (kind == nullptr || kind->soft_delete)
        command->add_flag("--deleted", o->deleted, "Also what can still be restored");
}

Result<int> list_kind(Session& session, const KindInfo& kind, const ListOptions& o) {
    TRY(items, session.list(kind, query_of(o)));
    show_list(session, kind, items);
    return 0;
}

void add_list(Build& build, CLI::App* noun, const KindInfo& kind) {
    auto o = std::make_shared<ListOptions>();
    CLI::App* list = build.verb(noun, "list", fmt::format("List {}", kind.plural),
                                [o, &kind](Session& s) { return list_kind(s, kind, *o); });
    list->alias("ls");
    add_list_options(list, o, &kind);
}

void add_show(Build& build, CLI::App* noun, const KindInfo& kind) {
    auto name = std::make_shared<std::string>();
    CLI::App* show =
        build.verb(noun, "show", fmt::format("Show a {}", kind.name), [name, &kind](Session& s) -> Result<int> {
            TRY(object, s.get(s.path_of(kind, *name)));
            show_one(s, object);
            return 0;
        });
    show->alias("get")->alias("info");
    show->add_option("name", *name, "Name or id")->required();
}

Result<int> delete_names(Session& session, const KindInfo& kind, const std::vector<std::string>& names, bool now) {
    for (const std::string& name : names) {
        const std::string target = session.path_of(kind, name) + (now ? "?now=true" : "");
        const std::string kept = kind.soft_delete && !now
                                     ? fmt::format(" (axle {} restore ID brings it back while it is kept)", kind.name)
                                     : "";
        TRY(code, change(session, "DELETE", target, nullptr, fmt::format("{} {} is deleted{}", kind.name, name, kept)));
        if (code != 0) return code;
    }
    return 0;
}

void add_delete(Build& build, CLI::App* noun, const KindInfo& kind) {
    struct Options {
        std::vector<std::string> names;
        bool now = false;
    };
    auto o = std::make_shared<Options>();
    CLI::App* remove = build.verb(noun, "delete", fmt::format("Delete a {}", kind.name),
                                  [o, &kind](Session& s) { return delete_names(s, kind, o->names, o->now); });
    remove->alias("rm");
    remove->add_option("name", o->names, "Names or ids")->required();
    if (kind.soft_delete) remove->add_flag("--now", o->now, "For good, at once");
}

void add_label(Build& build, CLI::App* noun, const KindInfo& kind) {
    struct Options {
        std::string name;
        std::vector<std::string> labels;
    };
    auto o = std::make_shared<Options>();
    CLI::App* label = build.verb(
        noun, "label", "Set labels (tier=web) or take them away (tier-)", [o, &kind](Session& s) -> Result<int> {
            json labels = json::object();
            for (const std::string& text : o->labels) {
                const std::size_t equals = text.find('=');
                if (equals != std::string::npos)
                    labels[text.substr(0, equals)] = text.substr(equals + 1);
                else if (text.ends_with('-'))
                    labels[text.substr(0, text.size() - 1)] = nullptr;
                else
                    return fail(usage(fmt::format("\"{}\" is neither KEY=VALUE nor KEY-", text)));
            }
            const json patch = {{"labels", labels}};
            return change(s, "PATCH", s.path_of(kind, o->name), &patch,
                          fmt::format("{} {} is labelled", kind.name, o->name));
        });
    label->add_option("name", o->name, "Name or id")->required();
    label->add_option("labels", o->labels, "KEY=VALUE or KEY-")->required();
}

// "limits.memory" -> "limits/memory"; a / in a key (hostSelector.axle/host) is one of the key.
std::string pointer_of(const std::string& path) {
    std::string out;
    for (const char c : path) out += c == '.' ? "/" : c == '/' ? "~1" : c == '~' ? "~0" : std::string(1, c);
    return out;
}

// Fields of spec by path: cpus=4 limits.memory=8GiB description=.
Result<json> patch_of(const std::vector<std::string>& settings) {
    json patch = json::object();
    for (const std::string& text : settings) {
        const std::size_t equals = text.find('=');
        if (equals == std::string::npos || equals == 0)
            return fail(usage(fmt::format("\"{}\" is not FIELD=VALUE", text), "for example: cpus=4 memory=2GiB"));
        const std::string pointer = "/spec/" + pointer_of(text.substr(0, equals));
        const std::string value = text.substr(equals + 1);
        json parsed = json::parse(value, nullptr, false);
        if (value.empty())
            parsed = nullptr;
        else if (parsed.is_discarded())
            parsed = value;
        if (!put_at(patch, pointer, std::move(parsed)))
            return fail(usage(fmt::format("\"{}\" lies in a field that is set as a whole beside it", text)));
    }
    return patch;
}

void add_set(Build& build, CLI::App* noun, const KindInfo& kind) {
    struct Options {
        std::string name;
        std::vector<std::string> settings, limits;
    };
    auto o = std::make_shared<Options>();
    CLI::App* set = build.verb(noun, "set", "Change fields of spec: cpus=4 memory=2GiB; FIELD= unsets one",
                               [o, &kind](Session& s) -> Result<int> {
                                   for (const std::string& limit : o->limits) o->settings.push_back("limits." + limit);
                                   TRY(patch, patch_of(o->settings));
                                   return change(s, "PATCH", s.path_of(kind, o->name), &patch,
                                                 fmt::format("{} {} is changed", kind.name, o->name));
                               });
    set->add_option("name", o->name, "Name or id")->required();
    CLI::Option* settings = set->add_option("settings", o->settings, "FIELD=VALUE");
    if (kind.kind == Kind::project)
        set->add_option("--limit", o->limits, "vms=10, cpus=20, memory=64GiB, disk=1TiB; WHAT= lifts it");
    else
        settings->required();
}

void add_action(Build& build, const KindInfo& kind, const char* action, const char* help, const char* sentence) {
    auto name = std::make_shared<std::string>();
    CLI::App* noun = build.noun(kind.name, kind.doc);
    CLI::App* verb = build.verb(noun, action, help, [name, &kind, action, sentence](Session& s) {
        return change(s, "POST", s.path_of(kind, *name) + "/actions/" + action, nullptr,
                      fmt::format("{} {} {}", kind.name, *name, sentence));
    });
    verb->add_option("name", *name, "Name or id")->required();
}

void add_restore(Build& build, const KindInfo& kind) {
    struct Options {
        std::string id, name;
    };
    auto o = std::make_shared<Options>();
    CLI::App* noun = build.noun(kind.name, kind.doc);
    CLI::App* restore = build.verb(
        noun, "restore", fmt::format("Bring back a deleted {}", kind.name), [o, &kind](Session& s) -> Result<int> {
            std::string id = o->id;
            if (!Uuid::parse(id)) {  // deleted ones are found by id only: look for the name among them
                TRY(items, s.list(kind, {{"filter", "deletion,name=" + id}, {"deleted", "true"}}));
                if (items.size() != 1)
                    return fail(
                        error(Code::not_found, "{} {} called {}",
                              items.empty() ? fmt::format("no deleted {}", kind.name)
                                            : fmt::format("{} deleted {}", items.size(), kind.plural),
                              items.empty() ? "is" : "are", id)
                            .with_hint(fmt::format("name it by id: axle {} list --deleted -o wide", kind.name)));
                id = items[0].value("id", id);
            }
            json arguments = json::object();
            if (!o->name.empty()) arguments["name"] = o->name;
            const std::string off = kind.kind == Kind::vm ? fmt::format(", and off; to start it: axle vm start {}",
                                                                        o->name.empty() ? o->id : o->name)
                                                          : "";
            return change(s, "POST", s.path_of(kind, id) + "/actions/restore", &arguments,
                          fmt::format("{} {} is back{}", kind.name, o->id, off));
        });
    restore->add_option("id", o->id, "Id, or the name that it had")->required();
    restore->add_option("--name", o->name, "New name, where the old one is taken");
}

void add_general_get(Build& build) {
    struct Options {
        std::string kind;
        std::vector<std::string> names;
        std::shared_ptr<ListOptions> list = std::make_shared<ListOptions>();
    };
    auto o = std::make_shared<Options>();
    CLI::App* get =
        build.verb(&build.app, "get", "Show objects: axle get vms, axle get vm web1", [o](Session& s) -> Result<int> {
            const std::size_t slash = o->kind.find('/');
            if (slash != std::string::npos) {
                o->names.insert(o->names.begin(), o->kind.substr(slash + 1));
                o->kind.resize(slash);
            }
            TRY(kind, kind_of(o->kind));
            if (o->names.empty()) return list_kind(s, *kind, *o->list);
            json items = json::array();
            for (const std::string& name : o->names) {
                TRY(object, s.get(s.path_of(*kind, name)));
                items.push_back(std::move(object));
            }
            if (items.size() == 1 && s.flags().output != Output::table)
                show_one(s, items[0]);
            else
                show_list(s, *kind, items);
            return 0;
        });
    get->add_option("kind", o->kind, "Kind, or kind/name")->required();
    get->add_option("names", o->names, "Names or ids");
    add_list_options(get, o->list, nullptr);
}

void add_general_delete(Build& build) {
    struct Options {
        std::string kind;
        std::vector<std::string> names;
        bool now = false;
    };
    auto o = std::make_shared<Options>();
    CLI::App* remove =
        build.verb(&build.app, "delete", "Delete objects: axle delete vm web1", [o](Session& s) -> Result<int> {
            const std::size_t slash = o->kind.find('/');
            if (slash != std::string::npos) {
                o->names.insert(o->names.begin(), o->kind.substr(slash + 1));
                o->kind.resize(slash);
            }
            TRY(kind, kind_of(o->kind));
            if (o->names.empty()) return fail(usage("delete wants a kind and names", "axle delete vm web1"));
            return delete_names(s, *kind, o->names, o->now);
        });
    remove->alias("rm");
    remove->add_option("kind", o->kind, "Kind, or kind/name")->required();
    remove->add_option("names", o->names, "Names or ids");
    remove->add_flag("--now", o->now, "For good, at once");
}

void add_query(Build& build) {
    struct Options {
        std::string kind, filter;
    };
    auto o = std::make_shared<Options>();
    CLI::App* query =
        build.verb(&build.app, "query", "Find objects of all projects: axle query vms 'status.phase=running'",
                   [o](Session& s) -> Result<int> {
                       TRY(kind, kind_of(o->kind));
                       TRY(items, s.list_at(fmt::format("/v1/{}", kind->plural), {{"filter", o->filter}}));
                       show_list(s, *kind, items);
                       return 0;
                   });
    query->add_option("kind", o->kind, "Kind")->required();
    query->add_option("filter", o->filter, "Filter");
}

void add_drain(Build& build) {
    struct Options {
        std::vector<std::string> names;
        std::int64_t parallel = 2;
    };
    auto o = std::make_shared<Options>();
    CLI::App* noun = build.noun("host", info_of(Kind::host).doc);
    const char* help = "Move the VMs of hosts to other hosts, and place none there";
    CLI::App* verb = build.verb(noun, "drain", help, [o](Session& s) -> Result<int> {
        return act_on_each(s, info_of(Kind::host), o->names, "drain", {{"parallel", o->parallel}}, "is empty");
    });
    verb->add_option("name", o->names, "Names or ids")->required();
    verb->add_option("--parallel", o->parallel, "How many VMs at once (2)");
}

void add_undrain(Build& build) {
    struct Options {
        std::vector<std::string> names;
        bool take_back = false;
    };
    auto o = std::make_shared<Options>();
    CLI::App* noun = build.noun("host", info_of(Kind::host).doc);
    const char* help = "Keep what is there, and place VMs there again";
    CLI::App* verb = build.verb(noun, "undrain", help, [o](Session& s) {
        return act_on_each(s, info_of(Kind::host), o->names, "undrain", {{"takeBack", o->take_back}},
                           o->take_back ? "has its VMs back" : "takes VMs again");
    });
    verb->add_option("name", o->names, "Names or ids")->required();
    verb->add_flag("--return", o->take_back, "Bring back the VMs that the drain has moved away");
}

}  // namespace

void add_kind_commands(Build& build) {
    add_general_get(build);
    add_general_delete(build);
    add_query(build);
    for (const KindInfo& kind : all_kinds()) {
        CLI::App* noun = build.noun(kind.name, kind.doc);
        noun->alias(kind.plural);
        add_list(build, noun, kind);
        add_show(build, noun, kind);
        if (kind.kind == Kind::task) continue;
        add_delete(build, noun, kind);
        add_label(build, noun, kind);
        if (kind.kind != Kind::token && kind.kind != Kind::jointoken && kind.kind != Kind::sshkey)
            add_set(build, noun, kind);
        if (kind.soft_delete) add_restore(build, kind);
    }
    add_action(build, info_of(Kind::host), "cordon", "Place no new VMs there", "takes no new VMs");
    add_action(build, info_of(Kind::host), "uncordon", "Place VMs there again", "takes VMs again");
    add_drain(build);
    add_undrain(build);
    add_action(build, info_of(Kind::task), "cancel", "Stop working on it", "is being cancelled");
}

}  // namespace axle::cli
