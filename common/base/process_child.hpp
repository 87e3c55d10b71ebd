// The start of a program, between fork and exec. Not for use outside common/base.
#pragma once
#include <sys/types.h>

#include "common/base/confinement_child.hpp"
#include "common/base/file.hpp"
#include "common/base/process.hpp"

namespace axle {

// A program that runs, in a process group of its own. Whoever has it waits for it.
struct StartedProcess {
    pid_t pid = -1;
    Fd pidfd, output, errors;  // output and errors don't block
};

// Code::not_found when there is no such program; otherwise the step that failed and the system's words.
Result<StartedProcess> start_process(const ProcessSpec& spec);

}  // namespace axle
