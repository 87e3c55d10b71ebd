// What a method and a path ask for. Derived from the tables of kinds and actions: nothing is written for each kind but
// what streams it has. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "common/model/object.hpp"

namespace axle::api {

enum class Op {
    list,
    create,
    get,
    replace,
    patch,
    remove,
    action,
    vm_console,
    vm_vnc,
    vm_log,
    vm_screenshot,
    vm_forward,
    vm_explain,
    image_content,
    apply,
    watch,
    events,
    openapi,
    explain,
    status,
    version,
    authority,
    accept_loss,
    accept_clock,
    capacity,
    unclaimed,
    join_info,
    healthz,
    readyz,
    metrics,
    options  // only tells what is allowed
};
const char* name_of(Op op);  // for metrics: "list", "vm-console"

struct Route {
    Op op = Op::get;
    const KindInfo* kind = nullptr;
    std::string project;        // as it stands in the path
    bool all_projects = false;  // list of a project's kind over all of them
    std::string name;           // or id
    std::string rest;           // action's name, explain's path
    std::vector<std::string> allow;
};

// `path` is decoded; `raw` is the path as it was sent (an encoded slash stays inside its segment).
// Error: Code::not_found, or reason "method-not-allowed" with the methods in the hint.
Result<Route> find_route(std::string_view method, std::string_view raw);
bool needs_login(Op op);

std::vector<std::string> actions_of(Kind kind);
bool may_create(Kind kind);  // through the API; tasks make themselves

// Of Server: PUT of an image's content is streamed.
bool is_streamed(std::string_view method, std::string_view raw_path);

}  // namespace axle::api
