// Reads the header of a qcow2 file that anybody may have written (docs/interop/qcow2.txt of QEMU). Our own reader with
// limits: nothing of QEMU opens a file before this has accepted it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "common/base/units.hpp"

namespace axle {

struct Qcow2Header {
    std::uint32_t version = 0;  // 2 or 3
    std::uint32_t cluster_bits = 0;
    std::uint64_t size = 0;  // virtual, bytes
    std::uint32_t encryption = 0;
    std::uint32_t l1_entries = 0;
    std::uint64_t l1_offset = 0;
    std::uint64_t refcount_table_offset = 0;
    std::uint32_t refcount_table_clusters = 0;
    std::uint32_t snapshots = 0;  // internal ones
    std::uint64_t snapshots_offset = 0;
    std::uint64_t incompatible = 0, compatible = 0, autoclear = 0;  // feature bits
    std::uint32_t refcount_order = 4;
    std::uint32_t compression = 0;
    std::string backing_file, backing_format;
    std::string data_file;
    bool dirty() const { return (incompatible & 1) != 0; }
    bool marked_corrupt() const { return (incompatible & 2) != 0; }
    bool has_data_file() const { return (incompatible & 4) != 0 || !data_file.empty(); }
    std::uint64_t cluster_size() const { return std::uint64_t{1} << cluster_bits; }
};

// head: the first bytes of the file, at least the whole header with its extensions and the backing file's name (they
// lie in the first cluster; 64 KiB are enough for what we and qemu-img write). Code::malformed names the field that is
// out of bounds. Pure.
Result<Qcow2Header> parse_qcow2(std::string_view head);

// Reads the first 64 KiB of a file, and those of its first cluster if that is larger. Blocks.
Result<Qcow2Header> read_qcow2(const std::string& path);

struct UploadLimits {
    std::int64_t virtual_size_max = 16 * kTiB;
    std::uint32_t snapshots_max = 64;
};

// Whether a confined QEMU may be let near a file that a stranger gave: it refers to no other file, isn't encrypted,
// needs no feature that we don't know, and its tables lie within it. Code::invalid says what is wrong. Pure.
Result<> check_upload(const Qcow2Header& header, std::int64_t file_size, const UploadLimits& limits);

}  // namespace axle
