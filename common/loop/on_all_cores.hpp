// Much of the same kind of work at once, for whoever has nothing else to do until it is done.
#pragma once
#include <cstddef>
#include <functional>

namespace axle {

// Does work(0) to work(count - 1), each once, in any order, on as many threads as there are cores (at most 8; a few of
// them on the caller's alone). Back when all are done. What work() touches belongs to its number, or is only read; it
// throws nothing.
void on_all_cores(std::size_t count, const std::function<void(std::size_t number)>& work);

}  // namespace axle
