// Streams to guests.
#include "orchestrator/core/orchestrator.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

// A nat network is the host's own: it surely reaches that. A bridged one only where the host has an address in it.
std::string address_to_reach(const World& world, const Vm& vm) {
    std::string other;
    for (const auto& [name, nic] : vm.spec.nics) {
        const auto given = vm.status.nics.find(name);
        if (given == vm.status.nics.end() || given->second.address.empty()) continue;
        const auto* network = world.find<NetworkObject>(nic.network.id);
        if (network != nullptr && network->spec.type == NetworkType::nat) return given->second.address;
        if (other.empty()) other = given->second.address;
    }
    return other;
}

}  // namespace

void Orchestrator::open_stream(StreamQuery query, StreamHandlers handlers, Answered<StreamId> answer) {
    auto found = find(query.who, query.vm);
    const bool reads_only = query.kind == StreamKind::log || query.kind == StreamKind::screenshot;
    if (found && !reads_only && !may_change(query.who, Kind::vm, (*found)->meta.project.id))
        found = fail(forbidden(query.who, "open a console of", Kind::vm));
    if (!found) return answer_durably<StreamId>(std::move(answer), fail(std::move(found.error())));
    const Vm& vm = static_cast<const Vm&>(**found);
    const bool running =
        vm.status.report.state == DomainState::running || vm.status.report.state == DomainState::paused;
    if (!vm.status.placement)
        return answer_durably<StreamId>(std::move(answer),
                                        fail(error(Code::conflict, "VM {} has no host yet", vm.meta.name)
                                                 .with_hint("axle vm explain " + vm.meta.name)));
    if (!running && query.kind != StreamKind::log)
        return answer_durably<StreamId>(
            std::move(answer), fail(error(Code::conflict, "VM {} is {}", vm.meta.name, text_of(vm.status.phase))
                                        .with_hint("axle vm start " + vm.meta.name)));
    const Uuid host = vm.status.placement->host.id;
    if (!links_.is_connected(host))
        return answer_durably<StreamId>(
            std::move(answer),
            fail(error(Code::unavailable,
                       "host {}, which has VM {}, is not connected: nothing reaches its guests from here",
                       vm.status.placement->host.name, vm.meta.name)
                     .with_hint("wait until it is back (axle host list, axle status); on that host itself: axle-agent "
                                "vm list")));
    std::string address = query.kind == StreamKind::tcp ? address_to_reach(pipeline_.world(), vm) : "";
    if (query.kind == StreamKind::tcp && address.empty())
        return answer_durably<StreamId>(
            std::move(answer),
            fail(error(Code::conflict, "VM {} has no address that is known here", vm.meta.name)
                     .with_hint(
                         "give a NIC of it an address, or put it into a nat network: axle explain vm.spec.nics")));
    const StreamId id = ++last_stream_;
    streams_[id] = {host, std::move(handlers)};
    StreamOpen open{.stream = id,
                    .kind = query.kind,
                    .address = std::move(address),
                    .port = query.port,
                    .follow = query.follow,
                    .tail = query.tail};
    open.vm = VmId{vm.meta.id};
    links_.send(host, std::move(open));
    answer_durably<StreamId>(std::move(answer), id);
}

void Orchestrator::stream_write(StreamId stream, std::string bytes) {
    if (const auto s = streams_.find(stream); s != streams_.end())
        links_.send(s->second.host, StreamData{stream, std::move(bytes)});
}

void Orchestrator::stream_close(StreamId stream) {
    if (auto s = streams_.extract(stream)) links_.send(s.mapped().host, StreamClose{stream, ""});
}

void Orchestrator::close_streams_of(const Uuid& host) {
    std::vector<StreamHandlers> closed;
    for (auto s = streams_.begin(); s != streams_.end();) {
        if (s->second.host != host) {
            ++s;
            continue;
        }
        closed.push_back(std::move(s->second.handlers));
        s = streams_.erase(s);
    }
    for (const StreamHandlers& handlers : closed) handlers.on_closed("the connection to the host was lost");
}

}  // namespace axle
