// Who reads along what is logged: for tests of what a log says.
#pragma once
#include <functional>

#include "common/base/log.hpp"

namespace axle::log {

// Told of each line that is written, beside where it goes; on any thread, one line after another. It must not log.
using Sink = std::function<void(Level level, std::string_view message)>;
// For the whole process, from now on; empty: nobody. After the call the sink before it is not told any more.
void set_sink(Sink sink);

}  // namespace axle::log
