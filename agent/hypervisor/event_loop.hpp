// libvirt's event implementation on one of our loops. Once a process, before the first connection.
//
// libvirt calls add, update and remove from any thread (every call from a worker touches the socket's handle): each
// only records what is wanted and wakes the loop, whose thread alone touches watches. Free callbacks run in the loop,
// never inside remove (libvirt holds its object locks there).
#pragma once
#include "common/loop/loop.hpp"

namespace axle {

// The loop must outlive every connection and keep running. A second call with another loop moves new registrations
// there.
void run_libvirt_events_on(Loop& loop);

}  // namespace axle
