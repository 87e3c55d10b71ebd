#include "orchestrator/core/links.hpp"

#include <algorithm>
#include <cmath>

#include "common/base/digest.hpp"
#include "orchestrator/core/planted.hpp"

namespace axle {

struct HostLinks::Link {
    struct Held {
        std::string hash;
        Epoch epoch;
        bool leaving = false;  // release or destroy was sent; the host has not confirmed yet
    };
    bool has(const DocumentRef& key, const Put& put) const {
        const auto found = held.find(key);
        return found != held.end() && found->second.hash == put.hash && found->second.epoch == put.epoch &&
               !found->second.leaving;
    }
    std::uint64_t id = 0;
    std::unique_ptr<Channel> channel;
    Uuid host{};  // zero until hello
    std::uint64_t connection = 0;
    std::map<DocumentRef, Held> held;
    std::set<DocumentRef> dirty;
    std::set<DocumentRef> networks_later;  // are dirty when it is time again
    std::optional<BootTime> networks_sent;
    std::set<DocumentRef> unknown;   // of what it holds, to this world: nobody's
    std::set<DocumentRef> nobodys;   // files on shared pools that it told of and no record has
    std::vector<UnknownThing> told;  // of these two, last
    bool flushing = false;
    bool confirm = false;          // while a hello is answered
    std::optional<HostLoad> load;  // the last one that it told
    std::function<void()> ended;
    LinkPeer peer;
    bool end_told = false;  // in the log
};

HostLinks::HostLinks(Pipeline& pipeline, Executor& core, Settings settings, LinkEvents events)
    : pipeline_(pipeline), core_(core), settings_(std::move(settings)), events_(std::move(events)) {}
HostLinks::~HostLinks() = default;

std::string HostLinks::seal(std::uint64_t incarnation, std::uint64_t revision) const {
    return sealed(fmt::format("seen {}.{}", incarnation, revision));
}

std::string HostLinks::run_seal(std::uint64_t incarnation, const std::string& run_id) const {
    return sealed(fmt::format("run {}.{}", incarnation, run_id));
}

std::string HostLinks::sealed(const std::string& text) const {
    return settings_.seal_key.empty() ? "" : hmac_sha256_hex(settings_.seal_key, text);
}

// The same for every message of a run: made once.
const std::string& HostLinks::own_run_seal() {
    const StoreState& state = pipeline_.store_state();
    if (own_run_.incarnation != state.incarnation || own_run_.id != state.run_id)
        own_run_ = {state.incarnation, state.run_id, run_seal(state.incarnation, state.run_id)};
    return own_run_.seal;
}

void HostLinks::attach(std::unique_ptr<Channel> channel, std::function<void()> ended, LinkPeer peer) {
    auto link = std::make_shared<Link>();
    link->id = ++last_link_;
    link->channel = std::move(channel);
    link->ended = std::move(ended);
    link->peer = std::move(peer);
    links_[link->id] = link;
    link->channel->on_message([this, weak = std::weak_ptr(link)](Message message) {
        if (const auto alive = weak.lock()) received(*alive, std::move(message));
    });
    link->channel->on_closed([this, weak = std::weak_ptr(link)](const std::string& why) {
        const auto alive = weak.lock();
        if (!alive) return;
        // The agent in our own process ends when we do.
        tell_end(*alive, why, alive->peer.local ? log::Level::info : log::Level::warning);
        closed(*alive);
    });
}

// Each end once, with whose it was as far as that is known.
void HostLinks::tell_end(Link& link, const std::string& why, log::Level level) {
    if (std::exchange(link.end_told, true)) return;
    const Uuid id = link.host ? link.host : link.peer.host;
    const Host* host = pipeline_.world().find<Host>(id);
    const std::string name = host != nullptr ? host->meta.name : id ? id.str() : "";
    const std::string whose = !name.empty() ? "host " + name : link.peer.local ? "this machine" : "an unknown host";
    const std::string from = link.peer.address.empty() ? "" : " at " + link.peer.address;
    const auto line =
        ends_.line(fmt::format("the connection of {}{} ended: {}", whose, from, why), pipeline_.clock().boot());
    if (line) log::write(level, *line, {{"HOST", name}});
}

void HostLinks::refuse(Link& link, const std::string& why) {
    tell_end(link, why, log::Level::warning);
    link.channel->close(why);
}

void HostLinks::received(Link& link, Message message) {
    if (const auto* hello = std::get_if<Hello>(&message)) return said_hello(link, *hello);
    if (!link.host) return refuse(link, "the first message must be hello");
    if (const auto* status = std::get_if<Status>(&message)) {
        if (status->gone) forget_held(link, *status);
        // It holds what we didn't know of: an earlier connection brought it, and it became durable after the hello.
        // Only of what the world knows: an agent that lies can't fill our memory, and is told to let go, no more.
        const DocumentRef key{status->kind, status->id};
        const bool known = !status->gone && key.kind != DocumentKind::image &&
                           farewell(pipeline_.world(), link.host, key, status->epoch).has_value();
        if (known && link.held.try_emplace(key, Link::Held{"", status->epoch}).second) mark(link.host, key);
        return events_.status(link.host, *status);
    }
    if (auto* report = std::get_if<UnclaimedReport>(&message)) {
        note_files(link, report->files);
        return events_.unclaimed(link.host, std::move(*report));
    }
    if (const auto* facts = std::get_if<Facts>(&message)) return events_.facts(link.host, facts->facts);
    if (const auto* beat = std::get_if<Heartbeat>(&message)) link.load = beat->load;
    if (const auto* news = std::get_if<TaskNews>(&message)) return events_.task(link.host, *news);
    if (const auto* data = std::get_if<StreamData>(&message)) return events_.stream_data(link.host, *data);
    if (const auto* end = std::get_if<StreamClose>(&message)) return events_.stream_closed(link.host, *end);
}

// Only what was asked to leave has left: a put may have followed the release that is confirmed here.
void HostLinks::forget_held(Link& link, const Status& gone) {
    const auto held = link.held.find({gone.kind, gone.id});
    const bool nobodys = link.unknown.erase({gone.kind, gone.id}) > 0;
    if (held != link.held.end() && (nobodys || (held->second.leaving && held->second.epoch <= gone.epoch)))
        link.held.erase(held);
}

void HostLinks::note_files(Link& link, const std::vector<Uuid>& files) {
    link.nobodys.clear();
    for (const Uuid& id : files) {
        if (link.nobodys.size() == kUnclaimedMax) break;
        if (pipeline_.world().find<Volume>(id) == nullptr) link.nobodys.insert({DocumentKind::volume, id});
    }
    tell_unknown(link);
}

// What nobody knows is told to its host, which then tells what it is.
void HostLinks::tell_unknown(Link& link) {
    std::set<DocumentRef> all = link.unknown;
    all.insert(link.nobodys.begin(), link.nobodys.end());
    std::vector<UnknownThing> things;
    for (const DocumentRef& key : all) things.push_back({key.kind, key.id});
    if (things == link.told) return;
    link.told = things;
    send(link.host, UnknownThings{std::move(things)});
}

Result<> HostLinks::check_hello(const Link& link, const Hello& hello) {
    if (link.peer.host && link.peer.host != hello.host)
        return fail(Code::forbidden, "the certificate is for host {}, the hello is of host {}", link.peer.host.str(),
                    hello.host.str());
    if (hello.protocol < kProtocolOldest || hello.protocol_oldest > kProtocol)
        return fail(error(Code::conflict,
                          "agent {} speaks the protocols {} to {}, orchestrator " AXLE_VERSION " speaks {} to {}",
                          hello.version, hello.protocol_oldest, hello.protocol, kProtocolOldest, kProtocol)
                        .with_hint("upgrade the older of the two"));
    return {};
}

// One host id, two agents: a copied disk, or a restored one beside its original. An agent that comes back after another
// had its place, or speaks under a lower number while the higher one is there, is proof of two.
void HostLinks::watch_twins(const Link& link, const Hello& hello, bool elder_is_newer) {
    if (hello.instance.empty()) return;
    Instances& known = instances_[hello.host];
    const bool other = !known.last.empty() && known.last != hello.instance;
    std::string twins;
    if (other && (elder_is_newer || known.before == hello.instance))
        twins = link.peer.address == known.address ? known.address
                                                   : fmt::format("{} and {}", known.address, link.peer.address);
    events_.twin(hello.host, twins);
    if (elder_is_newer) return;
    if (other) known.before = known.last;
    known.last = hello.instance;
    known.address = link.peer.address;
}

// The newest connection of a host wins. false: this is not the newest.
bool HostLinks::replaces_elder(Link& link, const Hello& hello) {
    const auto other = by_host_.find(hello.host);
    const bool elder_is_newer =
        other != by_host_.end() && other->second != &link && other->second->connection > hello.connection;
    watch_twins(link, hello, elder_is_newer);
    if (elder_is_newer) {
        refuse(link, "a newer connection of this host is there");
        return false;
    }
    if (other == by_host_.end() || other->second == &link) return true;
    // The end of the old connection is told before the beginning of the new one.
    Link& old = *other->second;
    refuse(old, "a newer connection of this host came");
    closed(old);
    return true;
}

void HostLinks::disconnect(const Uuid& host, const std::string& why) {
    const auto found = by_host_.find(host);
    if (found == by_host_.end()) return;
    Link& link = *found->second;
    tell_end(link, why, log::Level::info);  // it is wanted here
    link.channel->close(why);
    closed(link);
}

void HostLinks::said_hello(Link& link, const Hello& hello) {
    if (auto fits = check_hello(link, hello); !fits) return refuse(link, fits.error().message);
    if (!replaces_elder(link, hello)) return;
    if (auto taken = events_.hello(hello, link.peer); !taken) return refuse(link, taken.error().message);
    link.host = hello.host;
    link.connection = hello.connection;
    link.held.clear();
    link.unknown.clear();
    link.nobodys.clear();
    link.networks_later.clear();  // all is looked at now
    link.networks_sent.reset();
    link.load.reset();
    by_host_[link.host] = &link;
    const Host* host = pipeline_.world().find<Host>(link.host);
    send(link.host, Welcome{.protocol = std::min(kProtocol, hello.protocol),
                            .protocol_oldest = kProtocolOldest,
                            .version = AXLE_VERSION,
                            .host = host != nullptr ? host->meta.name : ""});
    for (const HeldDocument& document : hello.documents) {
        link.held[{document.kind, document.id}] = {document.hash, document.epoch};
        link.dirty.insert({document.kind, document.id});
    }
    for (const DocumentRef& key : wanted_on(pipeline_.world(), link.host)) link.dirty.insert(key);
    for (const DocumentRef& key : leaving_from(pipeline_.world(), link.host)) link.dirty.insert(key);
    link.confirm = true;
    flush(link);
    link.confirm = false;
}

void HostLinks::closed(Link& link) {
    const Uuid host = link.host;
    const auto current = by_host_.find(host);
    const bool was_current = current != by_host_.end() && current->second == &link;
    if (was_current) by_host_.erase(current);
    const std::uint64_t id = link.id;
    if (!links_.contains(id)) return;    // we closed it ourselves, and the channel says so too
    core_.post([keep = links_.at(id)] {  // not inside its own callback
        if (keep->ended) keep->ended();
    });
    links_.erase(id);
    if (was_current) events_.lost(host);
}

std::uint64_t HostLinks::connection_of(const Uuid& host) const {
    const auto found = by_host_.find(host);
    return found == by_host_.end() ? 0 : found->second->connection;
}

// Within what can be, whatever the host says; a thousandth is as exact as anybody wants to read it.
std::optional<HostLoad> HostLinks::load_of(const Uuid& host) const {
    const auto found = by_host_.find(host);
    if (found == by_host_.end() || !found->second->load) return std::nullopt;
    const HostLoad& told = *found->second->load;
    return HostLoad{.cpu = std::round(std::clamp(told.cpu, 0.0, 1.0) * 1000) / 1000,
                    .memory_free = std::max<std::int64_t>(0, told.memory_free)};
}

std::optional<DocumentRef> HostLinks::untold(const Uuid& host) const {
    const auto found = by_host_.find(host);
    if (found == by_host_.end()) return std::nullopt;
    const Link& link = *found->second;
    for (const DocumentRef& key : wanted_on(pipeline_.world(), host)) {
        const auto put = derive(pipeline_.world(), host, key, context(link));
        if (put && !link.has(key, *put)) return key;
    }
    return std::nullopt;
}

void HostLinks::send(const Uuid& host, Message message) {
    const auto found = by_host_.find(host);
    if (found == by_host_.end()) return;
    if (planted_in_core().tell_before_durable) return found->second->channel->send(std::move(message));
    pipeline_.when_durable(
        [weak = std::weak_ptr(links_.at(found->second->id)), message = std::move(message)]() mutable {
            if (const auto alive = weak.lock()) alive->channel->send(std::move(message));
        });
}

void HostLinks::changed(const ChangeEvent& event) {
    if (event.kind == Kind::host && !event.object) return removed(event.before->meta.id);
    for (const auto& [host, key] : affected_by(pipeline_.world(), event.before.get(), event.object.get()))
        mark(host, key);
}

// Nobody speaks for a host that is gone; the agent in our own process says hello again and is a new one.
void HostLinks::removed(const Uuid& host) {
    const auto found = by_host_.find(host);
    if (found == by_host_.end() || found->second->peer.local) return;
    core_.post([this, host] { disconnect(host, "this host was removed from the cloud"); });
}

void HostLinks::mark(const Uuid& host, const DocumentRef& key) {
    const auto found = by_host_.find(host);
    if (found == by_host_.end()) return;
    Link& link = *found->second;
    if (put_off(link, key)) return;
    link.dirty.insert(key);
    flush_soon(link);
}

// Of networks that it has; one that is new to it is wanted for a guest.
bool HostLinks::put_off(Link& link, const DocumentRef& key) {
    if (key.kind != DocumentKind::network || !link.networks_sent) return false;
    const auto held = link.held.find(key);
    if (held == link.held.end() || held->second.leaving) return false;
    const BootTime next = *link.networks_sent + kNetworksEvery, now = pipeline_.clock().boot();
    if (now >= next) return false;
    const bool first = link.networks_later.empty();
    link.networks_later.insert(key);
    if (!first) return true;
    pipeline_.clock().after(next - now, [this, weak = std::weak_ptr(links_.at(link.id))] {
        const auto alive = weak.lock();
        if (!alive) return;
        alive->dirty.merge(alive->networks_later);
        alive->networks_later.clear();
        flush_soon(*alive);
    });
    return true;
}

// Once for all changes of this turn.
void HostLinks::flush_soon(Link& link) {
    const auto listed = links_.find(link.id);  // not there: it was closed, and is about to go
    if (listed == links_.end() || std::exchange(link.flushing, true)) return;
    core_.post([this, weak = std::weak_ptr(listed->second)] {
        if (const auto alive = weak.lock()) flush(*alive);
    });
}

DeriveContext HostLinks::context(const Link& link) const {
    DeriveContext context{
        .cluster = settings_.cluster, .image_source = settings_.image_source, .head = pipeline_.head()};
    if (!link.peer.local)
        context.image_source = [](const std::string& digest) { return kImageFromOrchestrator + digest; };
    return context;
}

// Adds what the host lacks of one document. false: nothing.
bool HostLinks::describe_one(Link& link, const DocumentRef& key, Desired& desired) {
    const auto held = link.held.find(key);
    link.unknown.erase(key);
    if (auto put = derive(pipeline_.world(), link.host, key, context(link))) {
        if (link.has(key, *put)) {
            if (!link.confirm || key.kind != DocumentKind::vm) return false;
            desired.confirms.push_back({key.kind, key.id, put->epoch});
            return true;
        }
        link.held[key] = {put->hash, put->epoch};
        if (key.kind == DocumentKind::network) link.networks_sent = pipeline_.clock().boot();
        desired.puts.push_back(std::move(*put));
        return true;
    }
    const bool not_held = held == link.held.end();
    if (not_held ? !is_leaving(pipeline_.world(), link.host, key) : held->second.leaving) return false;
    const auto bye = farewell(pipeline_.world(), link.host, key, not_held ? Epoch{} : held->second.epoch);
    if (!bye) {  // nobody here knows it
        if (!not_held) link.unknown.insert(key);
        return false;
    }
    link.held[key] = {"", bye->epoch, true};
    if (bye->destroy)
        desired.destroys.push_back({key.kind, key.id, bye->epoch});
    else
        desired.releases.push_back({key.kind, key.id, bye->epoch});
    return true;
}

void HostLinks::flush(Link& link) {
    link.flushing = false;
    if (!links_.contains(link.id)) return;  // closed; the host may be there again on another
    const std::uint64_t incarnation = pipeline_.store_state().incarnation;
    Desired desired{.cluster = settings_.cluster,
                    .incarnation = incarnation,
                    .run_id = pipeline_.store_state().run_id,
                    .revision = pipeline_.head()};
    std::size_t count = 0, bytes = 0;
    while (!link.dirty.empty() && count < kDocumentsAtOnce && bytes < kBytesAtOnce) {
        const DocumentRef key = *link.dirty.begin();
        link.dirty.erase(link.dirty.begin());
        const std::size_t puts = desired.puts.size();
        if (describe_one(link, key, desired)) ++count;
        if (desired.puts.size() > puts) bytes += desired.puts.back().content.size();
    }
    if (count > 0) {
        desired.seal = seal(incarnation, desired.revision);
        desired.run_seal = own_run_seal();
        send(link.host, std::move(desired));
    }
    if (link.dirty.empty()) return tell_unknown(link);
    flush_soon(link);
}

}  // namespace axle
