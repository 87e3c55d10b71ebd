// Writes an empty qcow2 file, blank or over a backing file: header, refcounts, and an L1 table that is a hole. In
// process, at most a millisecond of own work at any size. The file, in clusters:
//
//   | header | refcount table | refcount blocks | L1 table (all zero, sparse) |
#pragma once
#include <cstdint>
#include <string>

#include "common/base/new_file.hpp"
#include "common/base/result.hpp"

namespace axle {

struct Qcow2Plan {
    std::int64_t size = 0;     // virtual, bytes
    std::string backing_file;  // as the header names it, relative to the file itself or absolute; empty: none
    std::string backing_format = "qcow2";
    unsigned cluster_bits = 16;
};

// Everything of the file that isn't zero, from its beginning, and the length that the file has.
struct Qcow2Bytes {
    std::string head;
    std::int64_t file_size = 0;
};

// Code::invalid for a size of nothing or beyond what an L1 table can hold, or a backing file over 1023 bytes. Pure.
Result<Qcow2Bytes> lay_out_qcow2(const Qcow2Plan& plan);

// Into a new file, which the caller publishes. Blocks.
Result<> write_qcow2(NewFile& file, const Qcow2Plan& plan);

// Whether a file is, byte for byte, as write_qcow2 left it: nothing has been written to the disk in it. Blocks.
Result<bool> is_untouched_qcow2(const std::string& path, const Qcow2Plan& plan);

}  // namespace axle
