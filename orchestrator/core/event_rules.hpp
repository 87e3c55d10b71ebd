// What of a change people read in the history (axle events): one place for all kinds, so that no path through the core
// can forget to tell. Pure.
#pragma once
#include <string>
#include <vector>

#include "common/model/object.hpp"

namespace axle {

struct EventText {
    bool warning = false;
    std::string reason;   // CamelCase, stable: "Running", "NoAddress", "TaskFailed"
    std::string message;  // names the object, cause, numbers
};

// `before` null: it was made; `after` null: it is gone. Not both.
std::vector<EventText> events_of(const Object* before, const Object* after);

// As it stands in the store: {"v":1,"at":…,"type":"normal"|"warning","reason":…,"kind":…,"id":…,"name":…,"project":ID,
// "projectName":…,"message":…}. What happens to a task is told of its target.
std::string event_record(const EventText& event, const Object& object, const std::string& at);

}  // namespace axle
