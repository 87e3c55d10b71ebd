// What is said about room: plain values.
#pragma once
#include <cstdint>
#include <string>

namespace axle {

struct Fit {
    std::string host;
    std::int64_t count = 0;  // as many more of them, at most 100,000
    std::string limit;       // why not one more
};
struct Refuge {
    std::string vm;
    std::string host;    // that has room for it; empty: none has
    std::string reason;  // then
};

}  // namespace axle
