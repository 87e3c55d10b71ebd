// Content of images that comes through the API: who may send it and when, and the commit that takes it.
#include "common/base/units.hpp"
#include "orchestrator/core/orchestrator.hpp"
#include "orchestrator/core/tasks.hpp"

namespace axle {

Result<ObjectPtr> Orchestrator::find_for_upload(const Principal& who, const Locator& what) {
    TRY(found, find(who, what));
    if (!may_change(who, Kind::image, found->meta.project.id)) return fail(forbidden(who, "upload", Kind::image));
    TRY_VOID(pipeline_.check_writable());
    if (const Space space = pipeline_.store().space(); space.below_reserve)
        return fail(error(Code::no_space, "the orchestrator's disk is full ({} free): it takes no uploads",
                          format_bytes(space.free_bytes))
                        .with_hint("free some space under /var/lib/axle"));
    const Image& image = static_cast<const Image&>(*found);
    const ImagePhase phase = image.status.phase;
    if (image.is_deleted()) return fail(Code::conflict, "image {} is deleted, it takes no content", image.meta.name);
    if (!image.spec.url.empty())
        return fail(
            error(Code::conflict, "image {} is imported from {}, it takes no content", image.meta.name, image.spec.url)
                .with_hint("upload to a new image: axle image create NAME --file PATH"));
    if (phase != ImagePhase::uploading && phase != ImagePhase::failed)
        return fail(Code::conflict, "image {} is {}, it takes no content", image.meta.name, text_of(phase));
    return found;
}

void Orchestrator::check_upload(Principal who, Locator what, Answered<Viewed> answer) {
    auto found = find_for_upload(who, what);
    if (!found) return answer_durably<Viewed>(std::move(answer), fail(std::move(found.error())));
    answer_durably<Viewed>(std::move(answer), Viewed{std::move(*found), pipeline_.head()});
}

// One commit takes it; the controller of images then sees one that is to be imported.
void Orchestrator::image_uploaded(Principal who, Locator what, Answered<Mutated> answer) {
    auto found = find_for_upload(who, what);
    if (!found) return answer_durably<Mutated>(std::move(answer), fail(std::move(found.error())));
    const Uuid id = (*found)->meta.id;
    const std::set<Uuid> open = pipeline_.world().tasks_of(id);
    Transaction tx = pipeline_.begin();
    tx.update_status<Image>(id, [](Image& i) {
        i.status.phase = ImagePhase::importing;
        i.status.conditions.clear();
    });
    const ObjectPtr now = tx.world().get(Kind::image, id);
    const Uuid task = open.empty() ? make_task(tx, TaskGoal::image_import, *now, who.name) : *open.begin();
    pipeline_.commit(tx);
    answer_durably<Mutated>(std::move(answer), Mutated{.object = now, .task = task});
}

UnfinishedImports Orchestrator::unfinished_imports() const {
    UnfinishedImports unfinished;
    for (const auto& [id, object] : pipeline_.world().all(Kind::image)) {
        const ImagePhase phase = static_cast<const Image&>(*object).status.phase;
        if (object->is_deleted()) continue;
        if (phase == ImagePhase::importing || phase == ImagePhase::pending) unfinished.importing.insert(id);
        if (phase == ImagePhase::failed) unfinished.failed.insert(id);
    }
    return unfinished;
}

}  // namespace axle
