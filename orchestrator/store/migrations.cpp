#include "orchestrator/store/migrations.hpp"

namespace axle {

const std::vector<SchemaStep>& migrations() {
    static const std::vector<SchemaStep> list = {};
    return list;
}

std::uint32_t schema_after(const std::vector<SchemaStep>& list) {
    return static_cast<std::uint32_t>(1 + list.size());
}

Result<> check_schema(std::uint32_t stored, const std::vector<SchemaStep>& list) {
    const std::uint32_t known = schema_after(list);
    if (stored <= known && stored > 0) return {};
    return fail(error(Code::conflict, "the store has schema {}, this version of Axle ({}) knows schemas up to {}",
                      stored, AXLE_VERSION, known)
                    .with_hint("install the version that wrote the store, or a newer one; going back needs the backup "
                               "that was made before the upgrade; nothing was changed")
                    .with_reason("newer-schema"));
}

}  // namespace axle
