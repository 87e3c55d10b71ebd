// What a fuzz target tells of its input: whether the parser took it. The replay of a corpus asks that of each sample as
// it lies there, so that samples don't turn into noise unnoticed when a format changes.
#pragma once

namespace axle::test {

enum class Input { untold, taken, refused };
inline Input last_input = Input::untold;

// What LLVMFuzzerTestOneInput returns.
inline int told(bool taken) {
    last_input = taken ? Input::taken : Input::refused;
    return 0;
}

}  // namespace axle::test
