// Steps from one schema of the stored records to the next. Append only, never renamed, never changed once released:
// a store that stopped in the middle of one goes on with the same code.
//
// A store's schema is 1 + the number of migrations that it has been through.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/store/store.hpp"

namespace axle {

// Reads a table from a key on, in order, until `each` says false.
using ScanTable = std::function<Result<>(
    Table table, std::string_view from, const std::function<bool(std::string_view key, std::string_view value)>& each)>;

struct MigrationPart {
    std::vector<Write> writes;  // some hundred at most: one synced batch, together with the cursor
    std::string cursor;         // where the next part begins
    bool done = false;
};
struct SchemaStep {
    std::string name;  // kebab-case; logged
    // Called with the cursor of the part before ("" at first) until it is done. The same cursor gives the same part.
    std::function<Result<MigrationPart>(const ScanTable& scan, const std::string& cursor)> next_part;
};

const std::vector<SchemaStep>& migrations();
std::uint32_t schema_after(const std::vector<SchemaStep>& list);

// Code::conflict, with what to do, if the store was written by a newer version.
Result<> check_schema(std::uint32_t stored, const std::vector<SchemaStep>& list);

}  // namespace axle
