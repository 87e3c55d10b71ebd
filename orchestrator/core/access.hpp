// Who may do what (DESIGN 4, built-in roles): viewer reads, editor changes what is in projects, admin everything. A
// role holds in all projects or in some. Pure.
#pragma once
#include "orchestrator/core/service.hpp"
#include "orchestrator/core/world.hpp"

namespace axle {

bool may_read(const Principal& who, Kind kind, const Uuid& project);
bool may_change(const Principal& who, Kind kind, const Uuid& project);
// Code::forbidden that says what is needed.
Error forbidden(const Principal& who, const char* verb, Kind kind);
// A project by name or id that the principal may see; otherwise Code::not_found, whether it is there or not.
Result<Ref> find_project(const World& world, const Principal& who, const std::string& text);

std::shared_ptr<const AccessSnapshot> make_access_snapshot(const World& world);

}  // namespace axle
