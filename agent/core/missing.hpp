// What a guest's start has to wait for.
#pragma once
#include <string>

namespace axle {

struct Missing {
    std::string what;    // a sentence; empty: nothing
    bool comes = false;  // it is being made, and nothing is known to be in its way
};

}  // namespace axle
