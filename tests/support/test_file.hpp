// Files that lie beside the tests' code.
#pragma once

#include <string>

namespace axle {

// The absolute path of a file of the source tree, given below tests/, wherever the test is started.
std::string test_file(const std::string& relative);

}  // namespace axle
