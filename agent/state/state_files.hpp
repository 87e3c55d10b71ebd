// The seam to the agent's own durable memory: small text files under /var/lib/axle/agent (DESIGN 8), one a document.
// Production: directory_state_files.hpp. Tests: memory_state_files.hpp, which can lose what was not yet answered.
//
// Called on the core thread, answered on it in the order of the calls. Success means: on disk, survives a power cut.
// Any error but no_space ends the process after the answer; on start it recovers from what is there.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace axle {

struct StateFile {
    std::string name;  // "desired/vm-<id>.json", "ended/<task>.json": one level of folder, no dots at the start
    std::string content;
};

class StateFiles {
  public:
    virtual ~StateFiles() = default;
    virtual void load(std::function<void(Result<std::vector<StateFile>>)> answer) = 0;  // everything, at start
    virtual void put(std::string name, std::string content, std::function<void(Result<>)> done) = 0;
    virtual void remove(std::string name, std::function<void(Result<>)> done) = 0;  // not there: success
};

}  // namespace axle
