// GET /v1/events: what happened, newest first, from the store. What is in the records (core/event_rules.hpp) is passed
// on as it stands.
#include <algorithm>

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
    std::string next;
};

std::string word(const json& record, const char* field) {
    const auto found = record.find(field);
    return found != record.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

struct Wanted {
    std::string kind, name, project, type, reason;
    bool fits(const json& record) const {
        const auto is = [&](const std::string& wanted, const char* field) {
            return wanted.empty() || word(record, field) == wanted;
        };
        return is(kind, "kind") && (is(name, "name") || is(name, "id")) && is(type, "type") && is(reason, "reason") &&
               (is(project, "project") || is(project, "projectName"));
    }
};

Result<Page> scan_events(const Store& store, const Wanted& wanted, const std::string& before, std::size_t limit) {
    Page page;
    std::size_t looked_at = 0;
    TRY_VOID(store.scan(Table::events, "", before, true, [&](std::string_view key, std::string_view value) {
        json record = json::parse(value, nullptr, false);
        if (record.is_object() && wanted.fits(record)) {
            record.erase("v");
            page.events.push_back(std::move(record));
        }
        if (page.events.size() < limit && ++looked_at < kLookedAtMax) return true;
        return page.next = base64_encode(key), false;
    }));
    return page;
}

void answer_events(Exchange& x, Page page) {
    json out = {{"apiVersion", "axle/v1"}, {"kind", "eventList"}, {"items", std::move(page.events)}};
    if (!page.next.empty()) out["continue"] = page.next;
    x.answer(json_response(200, out.dump(-1, ' ', false, json::error_handler_t::replace)));
}

}  // namespace

void handle_events(const ExchangePtr& x) {
    if (auto fine = x->only_parameters({"limit", "continue", "kind", "name", "project", "type", "reason"}); !fine)
        return x->refuse(fine.error());
    const auto limit = x->number("limit", 100, 1, 1000);
    if (!limit) return x->refuse(limit.error());
    const auto before = base64_decode(x->text("continue"));
    if (!before) return x->refuse(error(Code::malformed, "the parameter continue is not of a page of this list"));
    const Wanted wanted{x->text("kind"), x->text("name"), x->text("project"), x->text("type"), x->text("reason")};
    auto page = scan_events(x->context().deps.store, wanted, *before, static_cast<std::size_t>(*limit));
    if (!page) return x->refuse(page.error());
    std::erase_if(page->events, [&](const json& record) {
        const KindInfo* kind = find_kind(word(record, "kind"));
        const auto scope = Uuid::parse(word(record, kind != nullptr && kind->kind == Kind::project ? "id" : "project"));
        return !may_read(x->who(), kind != nullptr ? kind->kind : Kind::host, scope.value_or(Uuid{}));
    });
    answer_events(*x, std::move(*page));
}

}  // namespace axle::api
