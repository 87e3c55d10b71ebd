#include "orchestrator/api/watch.hpp"

#include <charconv>

#include <nlohmann/json.hpp>

namespace axle::api {

using nlohmann::json;

Selection::Verdict Selection::judge(const ChangeEvent& event) const {
    if (!wants(event.kind, event.project)) return Verdict::skip;
    if (event.object == nullptr)
        return filter.empty() || event.before == nullptr || filter.matches(*event.before) ? Verdict::removed
                                                                                          : Verdict::skip;
    if (filter.empty() || filter.matches(*event.object)) return Verdict::put;
    return event.before != nullptr && filter.matches(*event.before) ? Verdict::gone : Verdict::skip;
}

namespace {

// The object as it was before, as far as the record tells: former values of changed paths put back.
json former(const json& record) {
    json before = record.value("object", json::object());
    const auto was = record.find("was");
    if (was == record.end()) return before;
    for (const auto& [pointer, value] : was->items()) {
        if (value.is_null())
            erase_at(before, pointer);
        else
            put_at(before, pointer, value);  // not through what is no longer an object: the rest still counts
    }
    return before;
}

}  // namespace

Selection::Verdict Selection::judge(const json& record) const {
    const KindInfo* kind = find_kind(record.value("kind", ""));
    const auto of_project = Uuid::parse(record.value("project", ""));
    if (kind == nullptr || !wants(kind->kind, of_project.value_or(Uuid{}))) return Verdict::skip;
    // A record of a removal doesn't hold the object: who asked with a filter may hear of one that it never saw.
    if (record.value("op", "") == "delete") return Verdict::removed;
    const json& object = record.contains("object") ? record["object"] : record;
    if (filter.empty() || filter.matches(object)) return Verdict::put;
    // Names and deletion aren't among the former values: where metadata may have changed, better one `gone` too many.
    const bool metadata = object.value("revision", Revision{0}) == record.value("revision", Revision{0});
    return metadata || filter.matches(former(record)) ? Verdict::gone : Verdict::skip;
}

std::string event_text(Selection::Verdict verdict, Revision revision, std::string_view history,
                       std::string_view record) {
    const char* name = verdict == Selection::Verdict::put       ? "put"
                       : verdict == Selection::Verdict::removed ? "delete"
                                                                : "gone";
    std::string out;
    out.reserve(record.size() + 80);
    fmt::format_to(std::back_inserter(out), "event: {}\nid: {}-{}\ndata: ", name, revision, history);
    out += record;  // one line: our own JSON has no raw line breaks
    out += "\n\n";
    return out;
}

std::string bookmark_text(Revision revision, std::string_view history) {
    return fmt::format("event: bookmark\nid: {0}-{1}\ndata: {{\"revision\":{0}}}\n\n", revision, history);
}

Result<Revision> parse_watch_id(std::string_view text, std::string_view history) {
    Revision revision = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), revision);
    const std::string_view rest(read.ptr, static_cast<std::size_t>(text.data() + text.size() - read.ptr));
    if (read.ec != std::errc{} || (!rest.empty() && !rest.starts_with('-')))
        return fail(
            error(Code::malformed, "since must be a revision or the id of an event, is \"{}\"", text.substr(0, 80))
                .with_reason("bad-parameter"));
    if (!rest.empty() && rest.substr(1) != history)
        return fail(error(Code::gone, "revision {} is of an earlier history of this cloud", revision)
                        .with_reason("other-history")
                        .with_hint("list again, and watch from the list's revision"));
    return revision;
}

Watch::Watch(std::shared_ptr<Api::Context> context, Login l, Selection s, Revision since, Places::Ticket place)
    : last(since),
      login(std::move(l)),
      selection(std::move(s)),
      history(context->history()),
      context_(std::move(context)),
      place_(std::move(place)) {}

void Watch::changed(const ChangeEvent& event) {
    if (event.revision <= last) return;
    last = event.revision;
    const auto verdict = selection.judge(event);
    if (verdict != Selection::Verdict::skip) write(event_text(verdict, event.revision, history, *event.record));
}

void Watch::reached(Revision revision) {
    if (revision > last) last = revision;
}

void Watch::open(http::Stream stream) {
    stream_ = std::move(stream);
    opened_ = true;
    if (!waiting_.empty()) stream_.write(std::exchange(waiting_, {}));
}

void Watch::write(std::string text) {
    if (!opened_) {
        waiting_ += text;
        return;
    }
    stream_.write(std::move(text));
}

void Watch::tick() {
    if (!opened_) return;
    // A token that was deleted sees nothing more, and after accept-loss the numbers mean something else.
    if (!still_holds(login, *context_->deps.service.access(), wall_now()) || context_->history() != history)
        return stream_.close();
    stream_.write(bookmark_text(last, history));
}

}  // namespace axle::api
