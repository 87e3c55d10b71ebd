#include "orchestrator/core/changes.hpp"

#include <fmt/format.h>

namespace axle {

std::string change_record(Revision revision, const Object* before, const Object* after) {
    const Object& subject = after != nullptr ? *after : *before;
    const KindInfo& info = info_of(subject.kind());
    std::string out = fmt::format(R"({{"v":1,"revision":{},"op":"{}","kind":"{}","id":"{}","project":"{}","name":)",
                                  revision, after != nullptr ? "put" : "delete", info.name, subject.meta.id.str(),
                                  subject.meta.project.id ? subject.meta.project.id.str() : "");
    write_json_string(out, subject.meta.name);
    if (after != nullptr) {
        out += ",\"object\":";
        write_object(*after, out);
    }
    if (before != nullptr && after != nullptr) {
        auto changes = diff_values(*info.spec, before->spec_data(), after->spec_data(), "/spec");
        for (auto& change : diff_values(*info.status, before->status_data(), after->status_data(), "/status"))
            changes.push_back(std::move(change));
        out += ",\"was\":{";
        for (std::size_t i = 0; i < changes.size(); ++i) {
            if (i > 0) out += ',';
            write_json_string(out, changes[i].pointer);
            out += ':';
            out += changes[i].before.empty() ? "null" : changes[i].before;
        }
        out += '}';
    }
    out += '}';
    return out;
}

}  // namespace axle
