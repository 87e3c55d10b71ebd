// What a request's first line asks for: its route, and the parameters that name fields.
#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "common/http/target_reader.hpp"
#include "orchestrator/api/render.hpp"
#include "orchestrator/api/route.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle;

// "METHOD TARGET"
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view line(reinterpret_cast<const char*>(data), size);
    const auto blank = line.find(' ');
    if (blank == std::string_view::npos) return 0;
    const std::string_view method = line.substr(0, blank), target = line.substr(blank + 1);
    const std::string_view path = target.substr(0, target.find('?'));
    (void)api::is_streamed(method, path);
    const auto route = api::find_route(method, path);
    if (!route) return test::told(false);
    http::Request request;
    static const http::TargetReader reader;
    if (!reader.read(target, request)) return test::told(false);
    if (route->kind == nullptr) return test::told(true);
    for (const auto& [name, value] : request.query) {
        (void)api::parse_fields(value, *route->kind);
        (void)api::parse_sort(value, *route->kind);
    }
    return test::told(true);
}
