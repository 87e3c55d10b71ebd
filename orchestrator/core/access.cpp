#include "orchestrator/core/access.hpp"

#include <algorithm>

namespace axle {
namespace {

bool in_project(const Principal& who, const Uuid& project) {
    return who.all_projects || std::ranges::find(who.projects, project) != who.projects.end();
}

}  // namespace

bool may_read(const Principal& who, Kind kind, const Uuid& project) {
    switch (kind) {
        case Kind::token:
        case Kind::jointoken:
            return who.is_administrator();
        case Kind::host:
            return who.all_projects;
        case Kind::flavor:
        case Kind::pool:
        case Kind::zone:
            return true;
        case Kind::task:
            return project ? in_project(who, project) : who.all_projects;
        default:
            return in_project(who, project);  // a project object is asked with its own id
    }
}

bool may_change(const Principal& who, Kind kind, const Uuid& project) {
    if (who.role == Role::viewer) return false;
    if (kind == Kind::task) return project ? in_project(who, project) : who.all_projects;
    if (info_of(kind).cluster_wide) return who.is_administrator();
    return in_project(who, project);
}

Error forbidden(const Principal& who, const char* verb, Kind kind) {
    const bool wide = info_of(kind).cluster_wide;
    return error(Code::forbidden, "{} is {} and may not {} a {}", who.name, text_of(who.role), verb, text_of(kind))
        .with_hint(wide ? "an administrator of all projects may: ask for a token with role admin"
                        : "ask for a token with role editor in this project");
}

Result<Ref> find_project(const World& world, const Principal& who, const std::string& text) {
    ObjectPtr found;
    if (const auto id = Uuid::parse(text))
        found = world.get(Kind::project, *id);
    else
        found = world.named(Kind::project, {}, text);
    if (!found || !in_project(who, found->meta.id))
        return fail(error(Code::not_found, "no project \"{}\"", text)
                        .with_hint("axle project list shows those that you may see"));
    return Ref{found->meta.id, found->meta.name};
}

std::shared_ptr<const AccessSnapshot> make_access_snapshot(const World& world) {
    auto snapshot = std::make_shared<AccessSnapshot>();
    for (const auto& [id, object] : world.all(Kind::token)) {
        const auto& token = static_cast<const Token&>(*object);
        Principal who{
            .name = "token:" + token.meta.name, .role = token.spec.role, .all_projects = token.spec.projects.empty()};
        for (const Ref& project : token.spec.projects) who.projects.push_back(project.id);
        snapshot->by_token_hash[token.status.hash] = {std::move(who), token.status.expires};
    }
    return snapshot;
}

}  // namespace axle
