#include "orchestrator/core/changes.hpp"

#include <fmt/format.h>

#include "common/model/pointer.hpp"

namespace axle {

std::vector<FieldChange> meta_changes(const Object* before, const Object& after) {
    std::vector<FieldChange> out;
    using Entries = std::map<std::string, std::string>;
    const Entries none;
    const auto quoted = [](const std::string& s) {
        std::string text;
        write_json_string(text, s);
        return text;
    };
    const auto compare = [&](const char* what, const Entries& was, const Entries& is) {
        for (const auto& [key, value] : was) {
            const auto now = is.find(key);
            if (now != is.end() && now->second == value) continue;
            out.push_back(
                {child_pointer(what, key), quoted(value), now == is.end() ? "" : quoted(now->second), Change::live});
        }
        for (const auto& [key, value] : is) {
            if (!was.contains(key)) out.push_back({child_pointer(what, key), "", quoted(value), Change::live});
        }
    };
    compare("/labels", before != nullptr ? before->meta.labels : none, after.meta.labels);
    compare("/annotations", before != nullptr ? before->meta.annotations : none, after.meta.annotations);
    return out;
}

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
        auto changes = meta_changes(before, *after);
        for (auto& change : diff_values(*info.spec, before->spec_data(), after->spec_data(), "/spec"))
            changes.push_back(std::move(change));
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
