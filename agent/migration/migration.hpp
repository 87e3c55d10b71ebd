// The seam to moving guests between hosts: streams of bytes over the agents' own mutual TLS, and what libvirt does over
// them. It decides nothing: who runs the guest is agreed in agent/core, step by step and durably (RELIABILITY 5.4).
// Production: peer_migration.hpp. Tests and simulator: fake_migration.hpp. tests/contract/migration holds both to this.
//
// Called on the core thread; each answer comes on the core thread, later, exactly once. Nothing of this is durable:
// after a restart of the agent no streams are open, none are expected, and the core begins anew with what it observes.
#pragma once
#include <functional>
#include <string>

#include "agent/hypervisor/hypervisor.hpp"

namespace axle {

// What a target lets in.
struct MoveIn {
    DomainPlan plan;  // as this host would start the guest; its definition and taps are there, its disks made
    VmMove move;      // role incoming
};
// What a source sends.
struct MoveOut {
    DomainPlan plan;  // of the running guest (live), or of the one that is off
    VmMove move;      // role outgoing
};
struct MoveProgress {
    std::int64_t done = 0, total = 0;  // bytes of memory and disks
    std::int64_t downtime_ms = 0;      // expected, later measured
};

class Migration {
  public:
    virtual ~Migration() = default;

    // Target. From the answer on, streams are taken from host move.peer that shows the ticket: of libvirt's calls those
    // that a migration of this guest makes, with the XML of our own plan; memory and disk streams to its own QEMU; or,
    // of a move that isn't live, the bytes of the disks in move.copies, each of which is durable here before the source
    // is told so. The guest comes up paused and stays so. Expected already with the same ticket: success.
    virtual void expect(MoveIn in, Done done) = 0;
    // Target. Nothing more is let in; open streams are cut. Not expected: success.
    virtual void dismiss(VmId vm, Done done) = 0;
    // Target. Set once. The source has said, over its own stream, that it durably handed over: a hint that saves the
    // way over the orchestrator; it may be lost or repeated. It was shown the ticket.
    virtual void on_handed_over(std::function<void(VmId, Epoch)> told) = 0;

    // Source. Moves the running guest (live), or copies the disks of one that is off. Success: the guest stands paused
    // on the target and no longer exists here (its definition does), or all copies are durable there. Any error:
    // observe; libvirt lets it run on here. Code::conflict after cancel(). progress: at most some two calls a second.
    virtual void send(MoveOut out, std::function<void(MoveProgress)> progress, Done done) = 0;
    // Source. Asks for an early end; the answer of send() tells what came of it. None under way: success.
    virtual void cancel(VmId vm, Done done) = 0;
    // Source. Tells the target that the guest was durably handed over. An error says nothing: the orchestrator tells
    // it, too.
    virtual void tell_handed_over(MoveOut out, Done done) = 0;
};

}  // namespace axle
