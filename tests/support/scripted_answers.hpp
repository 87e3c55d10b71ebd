// What a host without a hypervisor answers: every document is so at once. For tests and figures of what lies above the
// agents.
#pragma once
#include <string>

#include "common/base/units.hpp"
#include "common/channel/messages.hpp"
#include "common/model/codec.hpp"

namespace axle::test {

inline Status answer_to(const Put& put, std::int64_t pool_free) {
    std::string content;
    if (put.kind == DocumentKind::vm) {
        const auto document = from_json_text<VmDocument>(put.content);
        VmReport report{.generation = document->generation, .start_serial = document->start_serial, .settled = true};
        report.state = document->power == Power::running  ? DomainState::running
                       : document->power == Power::paused ? DomainState::paused
                                                          : DomainState::shut_off;
        content = to_json_text(report);
    } else if (put.kind == DocumentKind::volume) {
        const auto document = from_json_text<VolumeDocument>(put.content);
        content = to_json_text(VolumeReport{.state = VolumeState::ready, .size = document->size, .allocated = kMiB});
    } else {
        content = to_json_text(SimpleReport{.ready = true, .size = pool_free * 2, .free = pool_free});
    }
    return {put.kind, put.id, put.epoch, false, std::move(content)};
}

}  // namespace axle::test
