// The id file of a pool: only that of this very pool and cluster lets anything of the pool be touched.
#include <cstddef>
#include <cstdint>
#include <fstream>

#include "agent/storage/paths.hpp"
#include "agent/storage/pool_directory.hpp"
#include "common/base/ensure.hpp"
#include "tests/support/fuzz_input.hpp"
#include "tests/support/temp_dir.hpp"

using namespace axle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const test::TempDir directory;
    PoolDocument pool{.id = PoolId{*Uuid::parse("01900000-0000-7000-8000-000000000003")}, .name = "main"};
    pool.cluster = "01900000-0000-7000-8000-000000000009";
    pool.path = directory.path();
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    std::ofstream(pool_id_path(pool), std::ios::binary | std::ios::trunc) << text;
    const bool ours = verify_pool(pool).has_value();
    ENSURE(!ours || (text.find(pool.cluster) != text.npos && text.find(pool.id.str().substr(24)) != text.npos) ||
               text.find('\\') != text.npos,
           "a pool is not taken for ours unless it says so");
    return test::told(ours);
}
