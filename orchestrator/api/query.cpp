// Lists and single objects. The core picks pointers to immutable objects, a worker writes them out.
#include <nlohmann/json.hpp>

#include "orchestrator/api/exchange.hpp"
#include "orchestrator/api/filter.hpp"
#include "orchestrator/api/render.hpp"

namespace axle::api {
namespace {

constexpr std::int64_t kPageMax = 1000, kPage = 100;
constexpr std::size_t kSortedMax = 200'000;  // objects that one sorted list looks at

struct ListRun {
    ListQuery query;
    std::vector<Path> fields;
    std::vector<SortKey> sort;
    std::size_t limit = 0;
    std::size_t offset = 0;  // sorted: of the page
    Listing gathered;
};
using ListRunPtr = std::shared_ptr<ListRun>;

// "tier=web,env in (a,b)" of ?labels= is the filter "labels.tier=web,labels.env in (a,b)".
std::string as_label_filter(std::string_view text) {
    std::string out;
    int depth = 0;
    bool begins = true;
    for (const char c : text) {
        if (begins && c != ' ' && c != '!') {
            out += "labels.";
            begins = false;
        }
        depth += c == '(' ? 1 : c == ')' ? -1 : 0;
        out += c;
        if (c == ',' && depth == 0) begins = true;
    }
    return out;
}

Result<> read_filter(const Exchange& x, ListQuery& query) {
    std::string text = x.text("filter");
    if (const std::string labels = as_label_filter(x.text("labels")); !labels.empty())
        text += (text.empty() ? "" : ",") + labels;
    TRY(filter, Filter::parse(text, {x.route.kind}));
    if (!filter.empty()) query.matches = [filter = std::move(filter)](const Object& o) { return filter.matches(o); };
    return {};
}

Result<> read_continue(const Exchange& x, ListRun& run) {
    std::string text = x.text("continue");
    if (text.empty()) return {};
    if (run.sort.empty() && text.starts_with("n:")) return run.query.after = text.substr(2), Result<>{};
    if (!run.sort.empty() && text.starts_with("s:") && text.size() < 12 &&
        text.find_first_not_of("0123456789", 2) == std::string::npos && text.size() > 2)
        return run.offset = std::stoul(text.substr(2)), Result<>{};
    return fail(error(Code::malformed, "the parameter continue is not of a page of this list")
                    .with_reason("bad-parameter")
                    .with_hint("begin again without it"));
}

Result<ListRunPtr> read_list(const Exchange& x) {
    TRY_VOID(x.only_parameters({"limit", "continue", "sort", "fields", "filter", "labels", "deleted", "project"}));
    auto run = std::make_shared<ListRun>();
    run->query.who = x.who();
    run->query.kind = x.route.kind->kind;
    run->query.project = x.route.project.empty() ? x.text("project") : x.route.project;
    TRY(limit, x.number("limit", kPage, 1, kPageMax));
    run->limit = static_cast<std::size_t>(limit);
    TRY(fields, parse_fields(x.text("fields"), *x.route.kind));
    run->fields = std::move(fields);
    TRY(sort, parse_sort(x.text("sort"), *x.route.kind));
    run->sort = std::move(sort);
    TRY(deleted, x.flag("deleted"));
    run->query.with_deleted = deleted;
    TRY_VOID(read_filter(x, run->query));
    TRY_VOID(read_continue(x, *run));
    run->query.limit = run->sort.empty() ? run->limit : static_cast<std::size_t>(kPageMax);
    return run;
}

void answer_list(Exchange& x, ListRun& run) {
    std::vector<ObjectPtr>& objects = run.gathered.objects;
    std::string next = run.gathered.next.empty() ? "" : "n:" + run.gathered.next;
    if (!run.sort.empty()) {
        sort_objects(objects, run.sort);
        const std::size_t from = std::min(run.offset, objects.size()),
                          until = std::min(from + run.limit, objects.size());
        next = until < objects.size() ? fmt::format("s:{}", until) : "";
        objects = {objects.begin() + static_cast<std::ptrdiff_t>(from),
                   objects.begin() + static_cast<std::ptrdiff_t>(until)};
    }
    std::string out;
    out.reserve(256 + objects.size() * 1024);
    out += fmt::format(R"({{"apiVersion":"axle/v1","kind":"{}List","revision":{},"history":"{}",)", x.route.kind->name,
                       run.gathered.revision, x.context().history());
    if (!next.empty()) {
        out += "\"continue\":";
        write_json_string(out, next);
        out += ',';
    }
    out += "\"items\":[";
    for (std::size_t i = 0; i < objects.size(); ++i) {
        if (i > 0) out += ',';
        write_chosen(*objects[i], run.fields, out);
    }
    out += "]}";
    x.answer(json_response(200, std::move(out)));
}

// A sorted list needs all of them: page by page, so that the core is never held for long.
void run_list(Exchange& x, const ListRunPtr& run) {  // core thread
    x.service().list(run->query, [self = x.shared_from_this(), run](Result<Listing> listing) {
        if (!listing) {
            return self->on_worker([e = std::move(listing.error())](Exchange& then) { then.refuse(e); });
        }
        auto& all = run->gathered;
        all.revision = listing->revision;
        all.next = listing->next;
        all.objects.insert(all.objects.end(), listing->objects.begin(), listing->objects.end());
        if (!run->sort.empty() && !all.next.empty() && all.objects.size() < kSortedMax) {
            run->query.after = all.next;
            return self->on_core([run](Exchange& then) { run_list(then, run); });
        }
        self->on_worker([run](Exchange& then) { answer_list(then, *run); });
    });
}

}  // namespace

void handle_list(const ExchangePtr& x) {
    auto run = read_list(*x);
    if (!run) return x->refuse(run.error());
    x->on_core([run = *run](Exchange& then) { run_list(then, run); });
}

void handle_get(const ExchangePtr& x) {
    if (auto fine = x->only_parameters({"fields"}); !fine) return x->refuse(fine.error());
    auto fields = parse_fields(x->text("fields"), *x->route.kind);
    if (!fields) return x->refuse(fields.error());
    x->on_core([fields = std::move(*fields)](Exchange& core_side) {
        core_side.service().get(
            core_side.who(), core_side.target(),
            [self = core_side.shared_from_this(), fields = std::move(fields)](Result<Viewed> viewed) {
                self->on_worker([fields, viewed = std::move(viewed)](Exchange& then) {
                    if (!viewed) return then.refuse(viewed.error());
                    const std::string etag = etag_of(viewed->object->meta.revision, then.context().history());
                    if (then.request.headers.lists("If-None-Match", etag)) {
                        http::Response unchanged{.status = 304};
                        unchanged.headers.set("ETag", etag);
                        return then.answer(std::move(unchanged));
                    }
                    std::string out;
                    write_chosen(*viewed->object, fields, out);
                    http::Response response = json_response(200, std::move(out));
                    response.headers.set("ETag", etag);
                    then.answer(std::move(response));
                });
            });
    });
}

}  // namespace axle::api
