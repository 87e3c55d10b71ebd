// What a watch tells of a change, live and from the log; how events look.
#include "orchestrator/api/watch.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "common/http/url.hpp"
#include "common/model/compute.hpp"
#include "orchestrator/core/changes.hpp"

using namespace axle;
using namespace axle::api;
using Verdict = Selection::Verdict;

namespace {

std::shared_ptr<Vm> vm_in(VmPhase phase) {
    auto vm = std::make_shared<Vm>();
    vm->meta.name = "web1";
    vm->meta.id = *Uuid::parse("01900000-0000-7000-8000-000000000001");
    vm->meta.project.id = *Uuid::parse("01900000-0000-7000-8000-00000000000a");
    vm->meta.project.name = "default";
    vm->meta.revision = 3;
    vm->status.phase = phase;
    return vm;
}

ChangeEvent change(const ObjectPtr& before, const ObjectPtr& after) {
    const Object& subject = after ? *after : *before;
    return {.revision = 9,
            .kind = Kind::vm,
            .project = subject.meta.project.id,
            .object = after,
            .before = before,
            .record = std::make_shared<const std::string>(change_record(9, before.get(), after.get()))};
}

Selection selecting(const char* filter) {
    Selection out;
    out.filter = *Filter::parse(filter, {&info_of(Kind::vm)});
    return out;
}

}  // namespace

TEST_CASE("a change is told the same from memory and from the log") {
    const auto running = vm_in(VmPhase::running), stopped = vm_in(VmPhase::stopped);
    struct Row {
        const char* filter;
        ObjectPtr before, after;
        Verdict verdict;
    };
    for (const Row& row :
         {Row{"", nullptr, running, Verdict::put}, Row{"", stopped, running, Verdict::put},
          Row{"", running, nullptr, Verdict::removed}, Row{"status.phase=running", stopped, running, Verdict::put},
          Row{"status.phase=running", running, stopped, Verdict::gone},
          Row{"status.phase=running", stopped, stopped, Verdict::skip},
          Row{"status.phase=running", nullptr, stopped, Verdict::skip},
          Row{"status.phase=running", running, nullptr, Verdict::removed}}) {
        CAPTURE(row.filter);
        const Selection selection = selecting(row.filter);
        const ChangeEvent event = change(row.before, row.after);
        CAPTURE(*event.record);
        CHECK(selection.judge(event) == row.verdict);
        CHECK(selection.judge(nlohmann::json::parse(*event.record)) == row.verdict);
    }
}

TEST_CASE("kinds and projects are told apart") {
    const auto vm = vm_in(VmPhase::running);
    const ChangeEvent event = change(nullptr, vm);
    const auto record = nlohmann::json::parse(*event.record);
    Selection other_kind;
    other_kind.kinds.reset();
    other_kind.kinds.set(static_cast<std::size_t>(Kind::volume));
    CHECK(other_kind.judge(event) == Verdict::skip);
    CHECK(other_kind.judge(record) == Verdict::skip);
    Selection other_project;
    other_project.project = *Uuid::parse("01900000-0000-7000-8000-00000000000b");
    CHECK(other_project.judge(event) == Verdict::skip);
    CHECK(other_project.judge(record) == Verdict::skip);
    Selection same_project;
    same_project.project = vm->meta.project.id;
    CHECK(same_project.judge(event) == Verdict::put);
    CHECK(same_project.judge(record) == Verdict::put);
}

TEST_CASE("a record that isn't as expected is passed over") {
    const Selection all;
    for (const char* text :
         {"{}", R"({"kind":"cow","op":"put"})", R"({"kind":"vm","op":"put","was":{"/spec/a/b":"1"}})"}) {
        CAPTURE(text);
        CHECK_NOTHROW((void)all.judge(nlohmann::json::parse(text)));
    }
}

TEST_CASE("events are what a reader of server-sent events expects") {
    http::EventReader reader;
    const auto events = reader.feed(event_text(Verdict::gone, 9, "ab12", R"({"revision":9})") + ": hello\n\n" +
                                    bookmark_text(12, "ab12"));
    REQUIRE(events.size() == 2);
    CHECK(events[0].event == "gone");
    CHECK(events[0].id == "9-ab12");
    CHECK(events[0].data == R"({"revision":9})");
    CHECK(events[1].event == "bookmark");
    CHECK(events[1].id == "12-ab12");
    CHECK(*parse_watch_id("12-ab12", "ab12") == 12);
    CHECK(*parse_watch_id("12", "ab12") == 12);
    CHECK(parse_watch_id("12-other", "ab12").error().code == Code::gone);
    CHECK(parse_watch_id("x", "ab12").error().code == Code::malformed);
    CHECK(parse_watch_id("", "ab12").error().code == Code::malformed);
}

TEST_CASE("a change of labels and annotations stands among the former values, whatever is in them") {
    const auto before = vm_in(VmPhase::running), after = vm_in(VmPhase::running);
    before->meta.labels = {{"app.kubernetes.io/name", "shop"}, {"tier", "web"}};
    before->meta.annotations = {{"note", "say \"hi\"\nand go"}};
    after->meta.labels = {{"tier", "db"}, {"new", "1"}};
    const auto record = nlohmann::json::parse(*change(before, after).record, nullptr, false);
    REQUIRE(record.is_object());
    CHECK(record["was"] == nlohmann::json{{"/labels/app.kubernetes.io~1name", "shop"},
                                          {"/labels/tier", "web"},
                                          {"/labels/new", nullptr},
                                          {"/annotations/note", "say \"hi\"\nand go"}});
}
