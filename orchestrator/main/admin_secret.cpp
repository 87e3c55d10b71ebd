#include "orchestrator/main/admin_secret.hpp"

#include "common/base/file.hpp"

namespace axle {

Result<std::string> admin_secret(const std::string& path, Random& random) {
    auto text = read_file(path, 1024);
    if (text) {
        while (!text->empty() && text->back() == '\n') text->pop_back();
        return text;
    }
    if (text.error().code != Code::not_found) return text;
    std::string secret = "axle_";
    for (int i = 0; i < 4; ++i) secret += fmt::format("{:016x}", random.next());
    TRY_VOID(write_file_durably(path, secret + "\n", 0600));
    return secret;
}

}  // namespace axle
