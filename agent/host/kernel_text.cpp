#include "agent/host/kernel_text.hpp"

#include "common/base/file.hpp"

namespace axle {

std::string kernel_text(const std::string& path) {
    std::string text = read_file(path, 1 << 20).value_or("");
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
}

}  // namespace axle
