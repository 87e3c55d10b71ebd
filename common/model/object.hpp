// A resource: what every kind has in common (DESIGN 4). Objects are immutable once they are in the world: a change is
// made on a clone, which is then put whole.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/codec.hpp"
#include "common/model/type.hpp"

namespace axle {

enum class Kind : std::uint8_t {
    project,
    flavor,
    sshkey,
    image,
    pool,
    network,
    volume,
    placementgroup,
    vm,
    portforward,
    zone,
    host,
    token,
    jointoken,
    task
};
constexpr std::size_t kKinds = 15;
constexpr EnumNames<Kind, kKinds> names(Kind) {
    return {{{Kind::project, "project"},
             {Kind::flavor, "flavor"},
             {Kind::sshkey, "sshkey"},
             {Kind::image, "image"},
             {Kind::pool, "pool"},
             {Kind::network, "network"},
             {Kind::volume, "volume"},
             {Kind::placementgroup, "placementgroup"},
             {Kind::vm, "vm"},
             {Kind::portforward, "portforward"},
             {Kind::zone, "zone"},
             {Kind::host, "host"},
             {Kind::token, "token"},
             {Kind::jointoken, "jointoken"},
             {Kind::task, "task"}}};
}

// When a soft-deleted object goes for good. Times are cluster time (ms), which no wall clock can make jump.
struct Deletion {
    std::int64_t at = 0;          // wall clock, for display
    std::int64_t expunge_at = 0;  // cluster time
    bool final = false;           // expunging: agents are removing what is left; no way back
};
template <class V>
void describe(Deletion& v, V&& field) {
    field("at", v.at, {.doc = "When it was deleted.", .unit = Unit::time});
    field("expungeAt", v.expunge_at, {.internal = true});
    field("final", v.final, {.doc = "It is being removed for good and can't be restored."});
}

struct Meta {
    Uuid id{};
    std::string name;
    Ref project;  // empty for cluster-wide kinds
    std::map<std::string, std::string> labels;
    std::map<std::string, std::string> annotations;
    std::uint64_t revision = 0;         // of the last change of spec or metadata: the ETag
    std::uint64_t status_revision = 0;  // of the last change of anything
    std::int64_t generation = 1;        // counts changes of spec
    std::int64_t created = 0;           // wall clock, ms
    std::optional<Deletion> deletion;
    std::map<std::string, std::vector<std::string>> applied;  // apply set -> the fields (pointers) that it set
    std::string created_by_set;                               // apply set that made it; empty: made otherwise
};
template <class V>
void describe(Meta& v, V&& field) {
    field("name", v.name, {.doc = "Unique among the living of its kind and project.", .required = true});
    field("project", v.project, {.doc = "Project that it belongs to.", .ref = "project"});
    field("labels", v.labels,
          {.doc = "Short facts to select by, e.g. tier: web. Keys that begin with axle/ are the cloud's own.",
           .max = 64});
    field("annotations", v.annotations, {.doc = "Notes of yours; the cloud doesn't look at them.", .max = 64});
    field("id", v.id, {.doc = "UUIDv7, for ever."});
    field("revision", v.revision, {.doc = "Of the last change of spec or metadata; the ETag."});
    field("statusRevision", v.status_revision, {.internal = true});
    field("generation", v.generation, {.doc = "Counts the changes of spec."});
    field("created", v.created, {.doc = "When it was created.", .unit = Unit::time});
    field("deletion", v.deletion, {.doc = "Set while it is deleted and can still be restored."});
    field("applied", v.applied, {.internal = true});
    field("createdBySet", v.created_by_set, {.internal = true});
}

struct Object {
    Meta meta;
    virtual ~Object() = default;
    virtual Kind kind() const = 0;
    virtual const void* spec_data() const = 0;
    virtual const void* status_data() const = 0;
    virtual std::unique_ptr<Object> clone() const = 0;
    void* spec_data() { return const_cast<void*>(static_cast<const Object*>(this)->spec_data()); }
    void* status_data() { return const_cast<void*>(static_cast<const Object*>(this)->status_data()); }
    bool is_deleted() const { return meta.deletion.has_value(); }
    bool is_final() const { return meta.deletion && meta.deletion->final; }  // is being removed for good
};
using ObjectPtr = std::shared_ptr<const Object>;

template <Kind K, typename Spec, typename Status>
struct ObjectOf final : Object {
    static constexpr Kind kKind = K;
    using SpecType = Spec;
    using StatusType = Status;
    Spec spec;
    Status status;
    Kind kind() const override { return K; }
    using Object::spec_data;
    using Object::status_data;
    const void* spec_data() const override { return &spec; }
    const void* status_data() const override { return &status; }
    std::unique_ptr<Object> clone() const override { return std::make_unique<ObjectOf>(*this); }
};

struct NoStatus {};
template <class V>
void describe(NoStatus&, V&&) {}

struct KindInfo {
    Kind kind;
    const char* name;    // "vm": in documents and on the command line
    const char* plural;  // "vms": in URLs
    const char* doc;
    bool cluster_wide;
    bool soft_delete;   // a delete keeps it for the retention time
    bool dotted_names;  // names may have dots
    const Type* spec;
    const Type* status;
    std::unique_ptr<Object> (*make)();
};
const KindInfo& info_of(Kind kind);
const std::vector<KindInfo>& all_kinds();
const KindInfo* find_kind(std::string_view name_or_plural);

// The whole object as people see it: apiVersion, kind, name, ..., spec, status.
void write_object(const Object& object, std::string& out);
// As it stands in the store: {"v":1,"meta":…,"spec":…,"status":…}.
std::string store_form(const Object& object, const SecretCodec& secrets);
Result<std::unique_ptr<Object>> from_store_form(Kind kind, std::string_view text, const SecretCodec& secrets);

// Calls with each reference in spec: its pointer ("/spec/nics/eth0/network"), the kind that it must name, and the
// reference.
void for_each_ref(Object& object, const std::function<void(const std::string& pointer, Kind kind, Ref& ref)>& call);

// One field that differs between two specs or status of a kind, as the API writes it (JSON; empty: absent; secrets:
// "***"). What the API doesn't show is left out.
struct FieldChange {
    std::string pointer;
    std::string before, after;
    Change change = Change::live;
};
std::vector<FieldChange> diff_values(const Type& type, const void* before, const void* after, const std::string& at);

}  // namespace axle
