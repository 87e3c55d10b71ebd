// Tasks: unfinished ones live in the core, ended ones are read from the store. Newest first.
#include <algorithm>

#include "common/model/fleet.hpp"
#include "orchestrator/api/exchange.hpp"
#include "orchestrator/api/filter.hpp"
#include "orchestrator/api/render.hpp"
#include "orchestrator/core/access.hpp"

namespace axle::api {
namespace {

constexpr std::size_t kLookedAtMax = 100'000;  // records that one page reads at most

std::string key_of(const std::string& id) {
    return "task/" + id;
}

Result<ObjectPtr> stored_task(const Store& store, const std::string& id) {
    TRY(text, store.get(Table::tasks, key_of(id)));
    if (!text) return fail(Code::not_found, "there is no task {}: ended ones are kept for 30 days", id);
    TRY(object, from_store_form(Kind::task, *text, {}));
    return ObjectPtr(std::move(object));
}

void answer_task(Exchange& x, const Object& task) {
    std::string out;
    write_object(task, out);
    http::Response response = json_response(200, std::move(out));
    response.headers.set("ETag", etag_of(task.meta.revision, x.context().history()));
    x.answer(std::move(response));
}

// It isn't in the core: it has ended, or never was. Worker.
void answer_from_store(Exchange& x, const Error& otherwise) {
    auto task = stored_task(x.context().deps.store, x.route.name);
    if (!task) return x.refuse(task.error().code == Code::not_found ? otherwise : task.error());
    if (!may_read(x.who(), Kind::task, (*task)->meta.project.id)) return x.refuse(otherwise);
    answer_task(x, **task);
}

void answer_or_look_further(Exchange& x, const Result<ObjectPtr>& task) {  // core thread
    x.on_worker([task](Exchange& then) {
        if (task) return answer_task(then, **task);
        if (task.error().code == Code::not_found) return answer_from_store(then, task.error());
        then.refuse(task.error());
    });
}

struct TaskPage {
    std::size_t limit = 0;
    std::string before;  // key: what comes before it; empty: the newest
    Filter filter;
    std::vector<Path> fields;
    std::vector<ObjectPtr> tasks;
    std::string next;
    std::size_t asked = 0;
};
using TaskPagePtr = std::shared_ptr<TaskPage>;

Result<TaskPagePtr> read_page(const Exchange& x) {
    TRY_VOID(x.only_parameters({"limit", "continue", "filter", "fields"}));
    auto page = std::make_shared<TaskPage>();
    TRY(limit, x.number("limit", 100, 1, 1000));
    page->limit = static_cast<std::size_t>(limit);
    TRY(filter, Filter::parse(x.text("filter"), {x.route.kind}));
    page->filter = std::move(filter);
    TRY(fields, parse_fields(x.text("fields"), *x.route.kind));
    page->fields = std::move(fields);
    const std::string from = x.text("continue");
    if (!from.empty() && !Uuid::parse(from))
        return fail(error(Code::malformed, "the parameter continue is not of a page of this list")
                        .with_reason("bad-parameter"));
    page->before = from.empty() ? "task0" : key_of(from);  // '0' follows '/'
    return page;
}

Result<> scan_page(const Store& store, const Principal& who, TaskPage& page) {
    std::size_t looked_at = 0;
    Result<> bad;
    TRY_VOID(store.scan(Table::tasks, "task/", page.before, true, [&](std::string_view key, std::string_view value) {
        auto task = from_store_form(Kind::task, value, {});
        if (!task) return bad = fail(std::move(task.error())), false;
        const bool seen = may_read(who, Kind::task, (*task)->meta.project.id);
        if (seen && page.filter.matches(**task)) page.tasks.emplace_back(std::move(*task));
        if (page.tasks.size() < page.limit && ++looked_at < kLookedAtMax) return true;
        return page.next = std::string(key.substr(5)), false;
    }));
    return bad;
}

void answer_page(Exchange& x, const TaskPage& page) {
    std::string out = R"({"apiVersion":"axle/v1","kind":"taskList",)";
    if (!page.next.empty()) out += "\"continue\":\"" + page.next + "\",";
    out += "\"items\":[";
    bool first = true;
    for (const ObjectPtr& task : page.tasks) {
        if (!first) out += ',';
        first = false;
        write_chosen(*task, page.fields, out);
    }
    out += "]}";
    x.answer(json_response(200, std::move(out)));
}

// Progress is soft: the core knows it, the store doesn't.
void refresh_page(Exchange& x, const TaskPagePtr& page) {  // core thread
    page->asked = 1;
    const auto answered = [self = x.shared_from_this(), page] {
        if (--page->asked == 0) self->on_worker([page](Exchange& then) { answer_page(then, *page); });
    };
    for (std::size_t i = 0; i < page->tasks.size(); ++i) {
        const ObjectPtr& task = page->tasks[i];
        if (is_terminal(static_cast<const Task&>(*task).status.phase)) continue;
        ++page->asked;
        x.service().get(x.who(), {Kind::task, "", task->meta.id.str()}, [page, i, answered](Result<Viewed> live) {
            if (live) page->tasks[i] = live->object;
            answered();
        });
    }
    answered();
}

}  // namespace

void handle_task_get(const ExchangePtr& x) {
    if (auto fine = x->only_parameters({"wait"}); !fine) return x->refuse(fine.error());
    const auto wait = x->wait_time();
    if (!wait) return x->refuse(wait.error());
    const auto id = Uuid::parse(x->route.name);
    if (!id)
        return x->refuse(
            error(Code::not_found, "a task is named by its id, \"{}\" is none", x->route.name.substr(0, 80)));
    x->route.name = id->str();
    if (wait->count() > 0) x->reply().set_deadline(*wait + milliseconds{15'000});
    x->on_core([id = *id, wait = *wait](Exchange& core_side) {
        auto self = core_side.shared_from_this();
        if (wait.count() > 0)
            return core_side.service().wait_task(
                core_side.who(), id, wait, [self](Result<ObjectPtr> task) { answer_or_look_further(*self, task); });
        core_side.service().get(core_side.who(), core_side.target(), [self](Result<Viewed> viewed) {
            answer_or_look_further(*self, viewed.map([](const Viewed& v) { return v.object; }));
        });
    });
}

void handle_task_list(const ExchangePtr& x) {
    auto page = read_page(*x);
    if (!page) return x->refuse(page.error());
    if (auto scanned = scan_page(x->context().deps.store, x->who(), **page); !scanned)
        return x->refuse(scanned.error());
    x->on_core([page = *page](Exchange& then) { refresh_page(then, page); });
}

}  // namespace axle::api
