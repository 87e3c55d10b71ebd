// How a watch begins: parameters, the project's id, then either the core's memory reaches back far enough, or the
// change log is read until it does.
#include <nlohmann/json.hpp>

#include "orchestrator/api/watch.hpp"
#include "orchestrator/core/access.hpp"

namespace axle::api {
namespace {

using nlohmann::json;
constexpr int kCatchUpsMax = 1000;

struct Opening {
    Selection selection;
    Revision since = 0;
    std::string project;  // name or id; empty: all
    std::shared_ptr<Watch> watch;
    http::Stream stream;
    bool streaming = false;  // the answer has begun: no status can be given any more
    int catch_ups = 0;
};
using OpeningPtr = std::shared_ptr<Opening>;

Result<std::bitset<kKinds>> parse_kinds(const std::string& text) {
    std::bitset<kKinds> out;
    if (text.empty()) return out.set();
    std::size_t at = 0;
    while (at <= text.size()) {
        const std::size_t comma = std::min(text.find(',', at), text.size());
        const std::string word = text.substr(at, comma - at);
        const KindInfo* kind = find_kind(word);
        if (kind == nullptr)
            return fail(error(Code::malformed, "the parameter kinds names \"{}\", which is no kind", word.substr(0, 80))
                            .with_reason("bad-parameter"));
        out.set(static_cast<std::size_t>(kind->kind));
        at = comma + 1;
    }
    return out;
}

Result<OpeningPtr> read_opening(Exchange& x) {
    TRY_VOID(x.only_parameters({"since", "kinds", "project", "filter"}));
    auto opening = std::make_shared<Opening>();
    TRY(kinds, parse_kinds(x.text("kinds")));
    opening->selection.kinds = kinds;
    std::vector<const KindInfo*> infos;
    for (const KindInfo& kind : all_kinds()) {
        if (kinds[static_cast<std::size_t>(kind.kind)]) infos.push_back(&kind);
    }
    TRY(filter, Filter::parse(x.text("filter"), infos));
    opening->selection.filter = std::move(filter);
    opening->project = x.text("project");
    const Revision now = x.context().deps.store.durable();
    std::string since =
        x.request.headers.value("Last-Event-ID");  // a browser resumes with it, whatever the address says
    if (since.empty()) since = x.text("since");
    opening->since = now;
    if (since.empty()) return opening;
    TRY(revision, parse_watch_id(since, x.context().history()));
    if (revision > now)
        return fail(error(Code::gone, "revision {} has not been yet, the newest is {}", revision, now)
                        .with_reason("other-history")
                        .with_hint("list again, and watch from the list's revision"));
    opening->since = revision;
    return opening;
}

Error too_old(Revision since, Revision oldest) {
    return error(Code::gone, "the history no longer reaches back to revision {}, its oldest change is {}", since,
                 oldest)
        .with_reason("history-trimmed")
        .with_hint("list again, and watch from the list's revision");
}

// The oldest record of the log; nullopt: it is empty.
Result<std::optional<Revision>> oldest_record(const Store& store) {
    std::optional<Revision> oldest;
    TRY_VOID(store.scan(Table::changes, "", "", false, [&](std::string_view key, std::string_view) {
        return oldest = parse_revision_key(key), false;
    }));
    return oldest;
}

void begin_stream(Exchange& x, Opening& opening) {
    if (opening.streaming) return;
    opening.streaming = true;
    opening.stream = x.reply().event_stream();
    x.note_answered(200);
    // A comment opens the way: the client sees at once that it is connected.
    opening.stream.write(": watching\n\n");
}

void subscribe(Exchange& x, const OpeningPtr& opening);

// A project is asked for with its own id.
bool may_see_record(const Principal& who, const json& record) {
    const KindInfo* kind = find_kind(record.value("kind", ""));
    if (kind == nullptr) return false;
    const char* of = kind->kind == Kind::project ? "id" : "project";
    return may_read(who, kind->kind, Uuid::parse(record.value(of, "")).value_or(Uuid{}));
}

// Reads the log from where the watch stands. Worker.
Result<> read_log(const Principal& who, Opening& opening, const Store& store) {
    Watch& watch = *opening.watch;
    bool reading = true;
    const auto tell = [&](std::string_view key, std::string_view value) {
        const auto revision = parse_revision_key(key);
        const json record = json::parse(value, nullptr, false);
        if (!revision || !record.is_object()) return true;
        watch.last = *revision;
        const auto verdict = watch.selection.judge(record);
        if (verdict == Selection::Verdict::skip || !may_see_record(who, record)) return true;
        return reading = opening.stream.write_when_room(event_text(verdict, *revision, watch.history, value));
    };
    TRY_VOID(store.scan(Table::changes, revision_key(watch.last + 1), "", false, tell));
    if (!reading) return fail(Code::unavailable, "the reader has gone");
    return {};
}

void catch_up(Exchange& x, const OpeningPtr& opening) {  // worker
    const Store& store = x.context().deps.store;
    const auto oldest = oldest_record(store);
    if (!opening->streaming) {
        if (!oldest) return x.refuse(oldest.error());
        if (!*oldest || opening->watch->last + 1 < **oldest)
            return x.refuse(too_old(opening->watch->last, oldest->value_or(store.durable())));
        begin_stream(x, *opening);
    }
    if (auto read = read_log(x.who(), *opening, store); !read) return opening->stream.abort(read.error().message);
    x.on_core([opening](Exchange& then) { subscribe(then, opening); });
}

// A reader that takes its time holds a thread: one of those that are there for it.
void catch_up_later(Exchange& x, const OpeningPtr& opening) {  // core thread
    if (x.context().slow.submit([self = x.shared_from_this(), opening] { catch_up(*self, opening); })) return;
    if (opening->streaming) return opening->stream.abort("too many read the history at once");
    x.on_worker([](Exchange& then) {
        then.refuse(error(Code::exhausted, "too many read the history at once").with_hint("try again in a moment"));
    });
}

void subscribe(Exchange& x, const OpeningPtr& opening) {  // core thread
    auto& watch = opening->watch;
    auto subscribed = x.service().subscribe(x.who(), watch->last, watch);
    if (!subscribed) {
        if (subscribed.error().code == Code::gone && ++opening->catch_ups < kCatchUpsMax)
            return catch_up_later(x, opening);
        if (opening->streaming) return opening->stream.abort(subscribed.error().message);
        return x.on_worker([e = std::move(subscribed.error())](Exchange& then) { then.refuse(e); });
    }
    watch->subscription = *subscribed;
    begin_stream(x, *opening);
    x.context().open_streams.push_back(watch);
    opening->stream.on_closed([context = x.shared_context(), watch](const std::string&) {
        context->deps.core.post([context, watch] { context->deps.service.unsubscribe(watch->subscription); });
    });
    watch->open(opening->stream);
    opening->stream = {};  // the watch's copy lives as long as the subscription
}

void open_watch(Exchange& x, const OpeningPtr& opening) {  // core thread
    auto place = x.context().streams.take(x.who().name);
    if (place == nullptr)
        return x.on_worker([](Exchange& then) {
            then.refuse(error(Code::exhausted, "{} has {} streams open, more are not given", then.who().name,
                              then.context().options.streams_max)
                            .with_hint("close some, or watch several kinds with one"));
        });
    opening->watch =
        std::make_shared<Watch>(x.shared_context(), x.login, opening->selection, opening->since, std::move(place));
    subscribe(x, opening);
}

}  // namespace

void handle_watch(const ExchangePtr& x) {
    auto opening = read_opening(*x);
    if (!opening) return x->refuse(opening.error());
    x->on_core([opening = *opening](Exchange& core_side) {
        if (opening->project.empty()) return open_watch(core_side, opening);
        core_side.service().get(
            core_side.who(), {Kind::project, "", opening->project},
            [self = core_side.shared_from_this(), opening](Result<Viewed> project) {
                if (!project)
                    return self->on_worker([e = std::move(project.error())](Exchange& then) { then.refuse(e); });
                opening->selection.project = project->object->meta.id;
                open_watch(*self, opening);
            });
    });
}

}  // namespace axle::api
