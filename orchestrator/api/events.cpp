// GET /v1/events: what happened, newest first, or after what was read last, oldest first; from the store. What is in
// the records (core/event_rules.hpp) is passed on as it stands.
#include <nlohmann/json.hpp>

#include "common/base/base64.hpp"
#include "orchestrator/api/exchange.hpp"
#include "orchestrator/api/render.hpp"
#include "orchestrator/core/access.hpp"

namespace axle::api {
namespace {

using nlohmann::json;
constexpr std::size_t kLookedAtMax = 100'000;

struct Page {
    std::vector<json> events;
    std::string next;    // the page after this one
    std::string latest;  // of the newest event looked at: what comes later is asked for with it
};

std::string word(const json& record, const char* field) {
    const auto found = record.find(field);
    return found != record.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

struct Wanted {
    std::string kind, name, project, type, reason;
    Principal who;
    bool fits(const json& record) const {
        const auto is = [&](const std::string& wanted, const char* field) {
            return wanted.empty() || word(record, field) == wanted;
        };
        return is(kind, "kind") && (is(name, "name") || is(name, "id")) && is(type, "type") && is(reason, "reason") &&
               (is(project, "project") || is(project, "projectName")) && may_be_read(record);
    }

  private:
    bool may_be_read(const json& record) const {
        const KindInfo* info = find_kind(word(record, "kind"));
        const auto scope = Uuid::parse(word(record, info != nullptr && info->kind == Kind::project ? "id" : "project"));
        return may_read(who, info != nullptr ? info->kind : Kind::host, scope.value_or(Uuid{}));
    }
};

struct Span {
    std::string after, before;  // keys, both exclusive; empty: no bound
    bool oldest_first = false;
    std::size_t limit = 100;
};

Result<Page> scan_events(const Store& store, const Wanted& wanted, const Span& span) {
    Page page{.latest = span.after};
    std::size_t looked_at = 0;
    const std::string from = span.after.empty() ? "" : span.after + '\0';
    TRY_VOID(store.scan(Table::events, from, span.before, !span.oldest_first,
                        [&](std::string_view key, std::string_view value) {
                            if (key > page.latest) page.latest = key;
                            json record = json::parse(value, nullptr, false);
                            if (record.is_object() && wanted.fits(record)) {
                                record.erase("v");
                                page.events.push_back(std::move(record));
                            }
                            if (page.events.size() < span.limit && ++looked_at < kLookedAtMax) return true;
                            return page.next = key, false;
                        }));
    return page;
}

void answer_events(Exchange& x, Page page) {
    json out = {{"apiVersion", "axle/v1"}, {"kind", "eventList"}, {"items", std::move(page.events)}};
    if (!page.next.empty()) out["continue"] = base64_encode(page.next);
    out["latest"] = base64_encode(page.latest);
    x.answer(json_response(200, out.dump(-1, ' ', false, json::error_handler_t::replace)));
}

}  // namespace

void handle_events(const ExchangePtr& x) {
    if (auto fine = x->only_parameters({"limit", "continue", "after", "kind", "name", "project", "type", "reason"});
        !fine)
        return x->refuse(fine.error());
    const auto limit = x->number("limit", 100, 1, 1000);
    if (!limit) return x->refuse(limit.error());
    const auto before = base64_decode(x->text("continue")), after = base64_decode(x->text("after"));
    if (!before || !after)
        return x->refuse(
            error(Code::malformed, "the parameter {} is not of an answer of this list", before ? "after" : "continue"));
    const bool follows = x->request.parameter("after").has_value();
    if (follows && !before->empty())
        return x->refuse(error(Code::malformed, "after asks for what is newer, continue for what is older: give one"));
    const Span span{*after, *before, follows, static_cast<std::size_t>(*limit)};
    const Wanted wanted{x->text("kind"), x->text("name"),   x->text("project"),
                        x->text("type"), x->text("reason"), x->who()};
    auto page = scan_events(x->context().deps.store, wanted, span);
    if (!page) return x->refuse(page.error());
    answer_events(*x, std::move(*page));
}

}  // namespace axle::api
