#include "orchestrator/core/admit.hpp"

#include "common/model/format.hpp"

namespace axle {
namespace {

struct Target {
    Uuid project{};
    std::string name;
};

// Why the thing named isn't found, with what there is.
std::string not_found_text(const World& world, Kind kind, const Uuid& project, const std::string& project_name,
                           const std::string& name) {
    std::string text = project ? fmt::format("no {} \"{}\" in project \"{}\"", text_of(kind), name, project_name)
                               : fmt::format("no {} \"{}\"", text_of(kind), name);
    const auto& names = world.names_of(kind);
    std::string known;
    int count = 0;
    for (auto n = names.lower_bound({project, ""}); n != names.end() && n->first.project == project && count < 5;
         ++n, ++count)
        known += (count > 0 ? ", " : "") + n->first.name;
    return text + (known.empty() ? "; there is none yet" : fmt::format("; there is {}", known));
}

bool is_shared(const Object& object) {
    if (object.kind() == Kind::image) return static_cast<const Image&>(object).spec.shared;
    if (object.kind() == Kind::network) return static_cast<const NetworkObject&>(object).spec.shared;
    return false;
}

ObjectPtr look_up(Admission& a, const Object& from, const std::string& at, Kind kind, const std::string& text) {
    const World& world = a.tx.world();
    const bool wide = info_of(kind).cluster_wide;
    Uuid project = wide ? Uuid{} : from.meta.project.id;
    std::string name = text, project_name = wide ? "" : from.meta.project.name;
    ObjectPtr found;
    if (const auto slash = text.find('/'); slash != std::string::npos && !wide) {
        project_name = text.substr(0, slash);
        name = text.substr(slash + 1);
        const ObjectPtr other = world.named(Kind::project, {}, project_name);
        project = other ? other->meta.id : Uuid{};
        found = other ? world.named(kind, project, name) : nullptr;
    } else if (const auto id = Uuid::parse(text)) {
        found = world.get(kind, *id);
        if (found && found->is_deleted()) found = nullptr;
    } else {
        found = world.named(kind, project, name);
    }
    if (found && !wide && found->meta.project.id != from.meta.project.id && !is_shared(*found)) found = nullptr;
    if (!found) a.refuse(at, "no-such-object", not_found_text(world, kind, project, project_name, name));
    return found;
}

constexpr std::size_t kLabelMax = 256, kAnnotationsMax = 65536, kSetsMax = 16;

using Entries = std::map<std::string, std::string>;
void check_entries(Admission& a, const char* under, const Entries& entries, const Entries* was, std::size_t value_max) {
    for (const auto& [key, value] : entries) {
        if (was != nullptr && was->contains(key) && was->at(key) == value) continue;
        const std::string at = child_pointer(under, key);
        if (key.starts_with("axle/")) a.refuse(at, "reserved", "keys that begin with axle/ are the cloud's own");
        if (!is_label_key(key))
            a.refuse(at, "malformed",
                     "a key has 1 to 63 letters, digits, '.', '_' and '-', none of these three at its ends, after an "
                     "optional prefix like example.com/");
        if (value.size() > value_max)
            a.refuse(at, "too-long", fmt::format("has {} bytes, at most {} are taken", value.size(), value_max));
    }
}

void check_labels(Admission& a, const Object& object, const Object* before) {
    const Meta& meta = object.meta;
    check_entries(a, "/labels", meta.labels, before != nullptr ? &before->meta.labels : nullptr, kLabelMax);
    check_entries(a, "/annotations", meta.annotations, before != nullptr ? &before->meta.annotations : nullptr,
                  kAnnotationsMax);
    std::size_t bytes = 0;
    for (const auto& [key, value] : meta.annotations) bytes += key.size() + value.size();
    if (bytes > kAnnotationsMax)
        a.refuse("/annotations", "too-long",
                 fmt::format("have {} bytes together, at most {} are taken", bytes, kAnnotationsMax));
    if (meta.applied.size() > kSetsMax && (before == nullptr || before->meta.applied.size() < meta.applied.size()))
        a.refuse("", "too-many", fmt::format("{} apply sets hold fields of it already", kSetsMax));
}

void check_unchangeable(Admission& a, const Object& object, const Object& before) {
    for (const FieldChange& change :
         diff_values(*info_of(object.kind()).spec, before.spec_data(), object.spec_data(), "/spec")) {
        if (change.change != Change::never || change.before.empty()) continue;
        a.refuse(
            change.pointer, "unchangeable",
            fmt::format("can't be changed after the {} was made; it is {}", text_of(object.kind()), change.before));
    }
}

}  // namespace

void resolve_references(Admission& a, Object& object) {
    for_each_ref(object, [&](const std::string& at, Kind kind, Ref& ref) {
        if (!ref || ref.id) return;
        const ObjectPtr found = look_up(a, object, at, kind, ref.name);
        if (!found) return;
        ref.id = found->meta.id;
        const bool same_project = found->meta.project.id == object.meta.project.id || info_of(kind).cluster_wide;
        ref.name = same_project ? found->meta.name : found->meta.project.name + "/" + found->meta.name;
    });
}

std::string how_to_detach(const World& world, const Volume& volume) {
    const Vm* vm = world.find<Vm>(volume.status.attached_to.id);
    if (vm == nullptr) return "delete the VM that has it";
    for (const auto& [name, disk] : vm->spec.disks) {
        if (disk.volume.id == volume.meta.id) return fmt::format("axle vm detach {} {}", vm->meta.name, name);
    }
    return fmt::format("axle vm show {}", vm->meta.name);
}

Result<> admit(Admission& a, Object& object, const Object* before) {
    check_labels(a, object, before);
    resolve_references(a, object);
    if (before != nullptr) check_unchangeable(a, object, *before);
    if (!a.mistakes.empty()) return {};
    switch (object.kind()) {
        case Kind::vm:
            return admit_vm(a, static_cast<Vm&>(object), static_cast<const Vm*>(before));
        case Kind::volume:
            return admit_volume(a, static_cast<Volume&>(object), static_cast<const Volume*>(before));
        case Kind::network:
            return admit_network(a, static_cast<NetworkObject&>(object), static_cast<const NetworkObject*>(before));
        case Kind::image:
            return admit_image(a, static_cast<Image&>(object), static_cast<const Image*>(before));
        case Kind::portforward:
            return admit_portforward(a, static_cast<PortForward&>(object), static_cast<const PortForward*>(before));
        case Kind::pool:
            return admit_pool(a, static_cast<Pool&>(object), static_cast<const Pool*>(before));
        default:
            return {};
    }
}

Result<> check_limits(Transaction& tx, const Uuid& project, const Usage& before) {
    return check_usage(tx.world(), project, tx.world().used_by_project(project), before);
}

Result<> check_usage(const World& world, const Uuid& project_id, const Usage& used, const Usage& before) {
    const Project* project = world.find<Project>(project_id);
    if (project == nullptr) return {};
    const Amounts& limits = project->spec.limits;
    struct Row {
        const char* what;
        std::optional<std::int64_t> limit;
        std::int64_t used, before;
        bool bytes;
    };
    for (const Row& row :
         {Row{"vms", limits.vms, used.vms, before.vms, false}, Row{"cpus", limits.cpus, used.cpus, before.cpus, false},
          Row{"memory", limits.memory, used.memory, before.memory, true},
          Row{"disk", limits.disk, used.disk, before.disk, true}}) {
        if (!row.limit || row.used <= *row.limit || row.used <= row.before) continue;
        const auto show = [&](std::int64_t v) { return row.bytes ? format_bytes(v) : std::to_string(v); };
        Error e = error(Code::quota, "project {} may have {} {}, with this it would have {}", project->meta.name,
                        show(*row.limit), row.what, show(row.used));
        e.hint = fmt::format("delete something, or raise the limit: axle project set {} --limit {}=…",
                             project->meta.name, row.what);
        return fail(std::move(e));
    }
    return {};
}

const Pool* default_pool(const World& world) {
    const Pool* only = nullptr;
    for (const auto& [key, id] : world.names_of(Kind::pool)) {
        const Pool* pool = world.find<Pool>(id);
        if (pool->spec.is_default) return pool;
        only = world.names_of(Kind::pool).size() == 1 ? pool : nullptr;
    }
    return only;
}

Result<> admit_pool(Admission& a, Pool& pool, const Pool* before) {
    for (const auto& [key, id] : a.tx.world().names_of(Kind::pool)) {
        const Pool* other = a.tx.world().find<Pool>(id);
        if (before != nullptr && other->meta.id == before->meta.id) continue;
        const std::string mine = pool.spec.path + "/", theirs = other->spec.path + "/";
        if (mine.starts_with(theirs) || theirs.starts_with(mine))
            a.refuse("/spec/path", "conflict",
                     fmt::format("overlaps pool {} at {}", other->meta.name, other->spec.path));
        if (pool.spec.is_default && other->spec.is_default)
            a.refuse("/spec/default", "conflict", fmt::format("pool {} is the default already", other->meta.name));
    }
    return {};
}

}  // namespace axle
