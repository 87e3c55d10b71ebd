// Arguments of the actions (POST …/actions/{action}); actions without a struct take none.
#pragma once
#include "common/model/compute.hpp"

namespace axle {

struct StopArguments {  // vm stop
    bool force = false;
};
template <class V>
void describe(StopArguments& v, V&& field) {
    field("force", v.force, {.doc = "Switch off at once, without asking the guest."});
}
struct RestoreArguments {  // vm, volume, image restore
    std::string name;
};
template <class V>
void describe(RestoreArguments& v, V&& field) {
    field("name", v.name, {.doc = "New name, where the old one is taken.", .max = 253, .format = Format::dotted_name});
}
struct AttachArguments {  // vm attach
    std::string disk;
    Ref volume;
    Ref image;
    std::optional<std::int64_t> size;
    Ref pool;
};
template <class V>
void describe(AttachArguments& v, V&& field) {
    field("disk", v.disk, {.doc = "Name of the disk in the VM, e.g. data.", .required = true, .format = Format::label});
    field("volume", v.volume, {.doc = "An existing volume; without it one is made.", .ref = "volume"});
    field("image", v.image, {.doc = "Image that the new volume starts from.", .ref = "image"});
    field("size", v.size, {.doc = "Size of the new volume.", .min = kMiB, .max = 64 * kTiB, .unit = Unit::bytes});
    field("pool", v.pool, {.doc = "Pool of the new volume.", .ref = "pool"});
}
struct DetachArguments {  // vm detach
    std::string disk;
};
template <class V>
void describe(DetachArguments& v, V&& field) {
    field("disk", v.disk, {.doc = "Name of the disk in the VM.", .required = true, .format = Format::label});
}
struct MigrateArguments {  // vm migrate
    std::string host;
    bool cold = false;
    std::int64_t bandwidth = 0;
};
template <class V>
void describe(MigrateArguments& v, V&& field) {
    field("host", v.host, {.doc = "Host that it goes to; without it the one that suits it best.", .max = 253});
    field("cold", v.cold,
          {.doc = "Shut the guest down, copy its disks, start it there; else it goes on meanwhile, if it runs."});
    field("bandwidth", v.bandwidth,
          {.doc = "Bytes a second at most; 0: no limit.", .min = 0, .max = kTiB, .unit = Unit::bytes});
}
struct UndrainArguments {  // host undrain
    bool take_back = false;
};
template <class V>
void describe(UndrainArguments& v, V&& field) {
    field("takeBack", v.take_back, {.doc = "Bring back the VMs that the drain has moved away."});
}
struct DrainArguments {  // host drain
    std::int64_t parallel = 2;
};
template <class V>
void describe(DrainArguments& v, V&& field) {
    field("parallel", v.parallel, {.doc = "How many VMs are moved at once.", .min = 1, .max = 64});
}
struct AdoptArguments {  // host adopt
    std::string id;
    std::string name;
    std::string project;
};
template <class V>
void describe(AdoptArguments& v, V&& field) {
    field("id", v.id, {.doc = "Id of the unclaimed thing (GET /v1/unclaimed).", .required = true, .max = 36});
    field("name", v.name,
          {.doc = "Name that it gets; default is the one that it had.", .max = 253, .format = Format::dotted_name});
    field("project", v.project, {.doc = "Project that it gets into; default is the one that it was in.", .max = 253});
}
struct RemoveUnclaimedArguments {  // host remove-unclaimed
    std::string id;
};
template <class V>
void describe(RemoveUnclaimedArguments& v, V&& field) {
    field("id", v.id, {.doc = "Id of the unclaimed thing (GET /v1/unclaimed).", .required = true, .max = 36});
}
struct NoArguments {};
template <class V>
void describe(NoArguments&, V&&) {}

struct ActionInfo {
    Kind kind;
    const char* name;
    const char* doc;
    const Type* arguments;
};
const std::vector<ActionInfo>& all_actions();
const ActionInfo* find_action(Kind kind, std::string_view name);

}  // namespace axle
