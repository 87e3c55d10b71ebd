// What the kernel tells in files of one value or a few lines.
#pragma once
#include <string>

namespace axle {

// Without blanks and ends of lines behind it; empty where it can't be read. Blocks shortly.
std::string kernel_text(const std::string& path);

}  // namespace axle
