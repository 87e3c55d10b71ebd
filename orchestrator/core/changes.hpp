// The change log's records, as they stand in Table::changes under revision_key(revision):
// {"v":1,"revision":7,"op":"put","kind":"vm","id":"…","project":"<id>","name":"…","object":{…as people see
// it…},"was":{"/spec/cpus":"1"}}
#pragma once
#include <string>

#include "common/model/object.hpp"
#include "orchestrator/store/store.hpp"

namespace axle {

// Labels and annotations that differ. before null: the object is new.
std::vector<FieldChange> meta_changes(const Object* before, const Object& after);

// after null: the object is gone. before null: it is new.
std::string change_record(Revision revision, const Object* before, const Object* after);

}  // namespace axle
