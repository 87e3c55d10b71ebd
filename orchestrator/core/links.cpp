#include "orchestrator/core/links.hpp"

#include <algorithm>

#include "common/base/log.hpp"

namespace axle {

struct HostLinks::Link {
    struct Held {
        std::string hash;
        Epoch epoch;
        bool leaving = false;  // release or destroy was sent; the host has not confirmed yet
    };
    std::uint64_t id = 0;
    std::unique_ptr<Channel> channel;
    Uuid host{};  // zero until hello
    std::uint64_t connection = 0;
    std::map<DocumentRef, Held> held;
    std::set<DocumentRef> dirty;
    bool flushing = false;
    bool confirm = false;  // while a hello is answered
    HostLoad load;
    std::function<void()> ended;
};

HostLinks::HostLinks(Pipeline& pipeline, Executor& core, std::string cluster,
                     std::function<std::string(const std::string&)> image_source, LinkEvents events)
    : pipeline_(pipeline),
      core_(core),
      cluster_(std::move(cluster)),
      image_source_(std::move(image_source)),
      events_(std::move(events)) {}
HostLinks::~HostLinks() = default;

void HostLinks::attach(std::unique_ptr<Channel> channel, std::function<void()> ended) {
    auto link = std::make_shared<Link>();
    link->id = ++last_link_;
    link->channel = std::move(channel);
    link->ended = std::move(ended);
    links_[link->id] = link;
    link->channel->on_message([this, weak = std::weak_ptr(link)](Message message) {
        if (const auto alive = weak.lock()) received(*alive, std::move(message));
    });
    link->channel->on_closed([this, weak = std::weak_ptr(link)](const std::string&) {
        if (const auto alive = weak.lock()) closed(*alive);
    });
}

void HostLinks::received(Link& link, Message message) {
    if (const auto* hello = std::get_if<Hello>(&message)) return said_hello(link, *hello);
    if (!link.host) return link.channel->close("the first message must be hello");
    if (const auto* status = std::get_if<Status>(&message)) {
        if (status->gone) forget_held(link, *status);
        return events_.status(link.host, *status);
    }
    if (const auto* facts = std::get_if<Facts>(&message)) return events_.facts(link.host, facts->facts);
    if (const auto* beat = std::get_if<Heartbeat>(&message)) link.load = beat->load;
    if (const auto* news = std::get_if<TaskNews>(&message)) return events_.task(link.host, *news);
    if (const auto* data = std::get_if<StreamData>(&message)) return events_.stream_data(*data);
    if (const auto* end = std::get_if<StreamClose>(&message)) return events_.stream_closed(*end);
}

// Only what was asked to leave has left: a put may have followed the release that is confirmed here.
void HostLinks::forget_held(Link& link, const Status& gone) {
    const auto held = link.held.find({gone.kind, gone.id});
    if (held != link.held.end() && held->second.leaving && held->second.epoch <= gone.epoch) link.held.erase(held);
}

void HostLinks::said_hello(Link& link, const Hello& hello) {
    // The end of the old connection is told before the beginning of the new one.
    if (const auto other = by_host_.find(hello.host); other != by_host_.end() && other->second != &link) {
        Link& old = *other->second;
        if (old.connection > hello.connection) return link.channel->close("a newer connection of this host is there");
        old.channel->close("a newer connection of this host came");
        closed(old);
    }
    if (auto taken = events_.hello(hello); !taken) {
        log::warning(taken.error().message, {{"HOST", hello.facts.hostname}});
        return link.channel->close(taken.error().message);
    }
    link.host = hello.host;
    link.connection = hello.connection;
    link.held.clear();
    by_host_[link.host] = &link;
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
const HostLoad* HostLinks::load_of(const Uuid& host) const {
    const auto found = by_host_.find(host);
    return found == by_host_.end() ? nullptr : &found->second->load;
}

void HostLinks::send(const Uuid& host, Message message) {
    const auto found = by_host_.find(host);
    if (found == by_host_.end()) return;
    pipeline_.when_durable(
        [weak = std::weak_ptr(links_.at(found->second->id)), message = std::move(message)]() mutable {
            if (const auto alive = weak.lock()) alive->channel->send(std::move(message));
        });
}

void HostLinks::changed(const ChangeEvent& event) {
    for (const auto& [host, key] : affected_by(pipeline_.world(), event.before.get(), event.object.get()))
        mark(host, key);
}

void HostLinks::mark(const Uuid& host, const DocumentRef& key) {
    const auto found = by_host_.find(host);
    if (found == by_host_.end()) return;
    Link& link = *found->second;
    link.dirty.insert(key);
    if (link.flushing) return;
    link.flushing = true;  // once for all changes of this turn
    core_.post([this, weak = std::weak_ptr(links_.at(link.id))] {
        if (const auto alive = weak.lock()) flush(*alive);
    });
}

DeriveContext HostLinks::context() const {
    return {.cluster = cluster_, .image_source = image_source_, .head = pipeline_.head()};
}

// Adds what the host lacks of one document. false: nothing.
bool HostLinks::describe_one(Link& link, const DocumentRef& key, Desired& desired) {
    const auto held = link.held.find(key);
    if (auto put = derive(pipeline_.world(), link.host, key, context())) {
        if (held != link.held.end() && held->second.hash == put->hash && held->second.epoch == put->epoch &&
            !held->second.leaving) {
            if (!link.confirm || key.kind != DocumentKind::vm) return false;
            desired.confirms.push_back({key.kind, key.id, put->epoch});
            return true;
        }
        link.held[key] = {put->hash, put->epoch};
        desired.puts.push_back(std::move(*put));
        return true;
    }
    const bool not_held = held == link.held.end();
    if (not_held ? !is_leaving(pipeline_.world(), link.host, key) : held->second.leaving) return false;
    const auto bye = farewell(pipeline_.world(), link.host, key, not_held ? Epoch{} : held->second.epoch);
    if (!bye) return false;  // unclaimed: nobody here knows it
    link.held[key] = {"", bye->epoch, true};
    if (bye->destroy)
        desired.destroys.push_back({key.kind, key.id, bye->epoch});
    else
        desired.releases.push_back({key.kind, key.id, bye->epoch});
    return true;
}

void HostLinks::flush(Link& link) {
    link.flushing = false;
    Desired desired{.cluster = cluster_,
                    .incarnation = pipeline_.store_state().incarnation,
                    .run_id = pipeline_.store_state().run_id,
                    .revision = pipeline_.head()};
    std::size_t count = 0;
    while (!link.dirty.empty() && count < kDocumentsAtOnce) {
        const DocumentRef key = *link.dirty.begin();
        link.dirty.erase(link.dirty.begin());
        if (describe_one(link, key, desired)) ++count;
    }
    if (count > 0) send(link.host, std::move(desired));
    if (link.dirty.empty()) return;
    link.flushing = true;
    core_.post([this, weak = std::weak_ptr(links_.at(link.id))] {
        if (const auto alive = weak.lock()) flush(*alive);
    });
}

}  // namespace axle
