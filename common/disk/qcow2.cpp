#include "common/disk/qcow2.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/file.hpp"

namespace axle {
namespace {

constexpr std::uint32_t kMagic = 0x514649fb;           // "QFI\xfb"
constexpr std::uint64_t kKnownIncompatible = 0b11111;  // dirty, corrupt, data file, compression type, extended L2
constexpr std::uint64_t kL1Max = 32 << 20;             // bytes, as in QEMU
constexpr std::uint64_t kRefcountTableMax = 8 << 20;
constexpr std::uint32_t kBackingFileMax = 1023;
constexpr std::size_t kExtensionsMax = 64;

enum Extension : std::uint32_t { kEnd = 0, kBackingFormat = 0xe2792aca, kDataFile = 0x44415441 };

// Big-endian numbers out of bytes that may end anywhere.
class Bytes {
  public:
    explicit Bytes(std::string_view bytes) : bytes_(bytes) {}
    Result<std::uint64_t> number(std::size_t offset, std::size_t size, const char* field) const {
        if (offset + size > bytes_.size())
            return fail(Code::malformed, "qcow2 header: it ends after {} bytes, before the end of {}", bytes_.size(),
                        field);
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < size; ++i) value = value << 8 | static_cast<unsigned char>(bytes_[offset + i]);
        return value;
    }
    Result<std::string> text(std::uint64_t offset, std::uint64_t size, const char* field) const {
        if (offset > bytes_.size() || size > bytes_.size() - offset)
            return fail(Code::malformed, "qcow2 header: {} of {} bytes at {} lies beyond the first {} bytes", field,
                        size, offset, bytes_.size());
        return std::string(bytes_.substr(offset, size));
    }

  private:
    std::string_view bytes_;
};

Result<> out_of_range(const char* field, std::uint64_t value, const std::string& allowed) {
    return fail(Code::malformed, "qcow2 header: {} is {}, not {}", field, value, allowed);
}

// One field into one member; the member's width is the field's.
template <typename T>
Result<> take(const Bytes& bytes, std::size_t offset, const char* field, T& into) {
    TRY(value, bytes.number(offset, sizeof(T), field));
    into = static_cast<T>(value);
    return {};
}

Result<> read_fixed(const Bytes& bytes, Qcow2Header& header) {
    TRY(magic, bytes.number(0, 4, "magic"));
    if (magic != kMagic) return fail(Code::malformed, "qcow2 header: the magic bytes are {:08x}, not 514649fb", magic);
    TRY_VOID(take(bytes, 4, "version", header.version));
    if (header.version != 2 && header.version != 3) return out_of_range("version", header.version, "2 or 3");
    TRY_VOID(take(bytes, 20, "cluster_bits", header.cluster_bits));
    if (header.cluster_bits < 9 || header.cluster_bits > 21)
        return out_of_range("cluster_bits", header.cluster_bits, "9 to 21");
    TRY_VOID(take(bytes, 24, "size", header.size));
    TRY_VOID(take(bytes, 32, "crypt_method", header.encryption));
    if (header.encryption > 2) return out_of_range("crypt_method", header.encryption, "0 to 2");
    TRY_VOID(take(bytes, 36, "l1_size", header.l1_entries));
    TRY_VOID(take(bytes, 40, "l1_table_offset", header.l1_offset));
    TRY_VOID(take(bytes, 48, "refcount_table_offset", header.refcount_table_offset));
    TRY_VOID(take(bytes, 56, "refcount_table_clusters", header.refcount_table_clusters));
    TRY_VOID(take(bytes, 60, "nb_snapshots", header.snapshots));
    return take(bytes, 64, "snapshots_offset", header.snapshots_offset);
}

// The part that version 3 added. length: of the whole header.
Result<> read_version_3(const Bytes& bytes, Qcow2Header& header, std::uint32_t& length) {
    TRY_VOID(take(bytes, 72, "incompatible_features", header.incompatible));
    TRY_VOID(take(bytes, 80, "compatible_features", header.compatible));
    TRY_VOID(take(bytes, 88, "autoclear_features", header.autoclear));
    TRY_VOID(take(bytes, 96, "refcount_order", header.refcount_order));
    if (header.refcount_order > 6) return out_of_range("refcount_order", header.refcount_order, "0 to 6");
    TRY_VOID(take(bytes, 100, "header_length", length));
    if (length < 104 || length % 8 != 0 || length > header.cluster_size())
        return out_of_range("header_length", length, "a multiple of 8 from 104 to the size of a cluster");
    if (length >= 112) {
        TRY(compression, bytes.number(104, 1, "compression_type"));
        header.compression = static_cast<std::uint32_t>(compression);
        if (compression > 1) return out_of_range("compression_type", compression, "0 or 1");
    }
    return {};
}

Result<> read_extensions(const Bytes& bytes, std::uint64_t offset, std::uint64_t end, Qcow2Header& header) {
    for (std::size_t count = 0; offset + 8 <= end; ++count) {
        if (count == kExtensionsMax) return out_of_range("number of header extensions", count + 1, "at most 64");
        TRY(type, bytes.number(offset, 4, "a header extension's type"));
        TRY(size, bytes.number(offset + 4, 4, "a header extension's length"));
        if (type == kEnd) return {};
        if (size > end - offset - 8)
            return fail(Code::malformed, "qcow2 header: extension {:08x} of {} bytes at {} runs over {}", type, size,
                        offset, end);
        if (type == kBackingFormat || type == kDataFile) {
            TRY(text, bytes.text(offset + 8, size, "a header extension"));
            (type == kDataFile ? header.data_file : header.backing_format) = text;
            if (type == kDataFile && text.empty()) header.incompatible |= 4;
        }
        offset += 8 + (size + 7) / 8 * 8;
    }
    return {};
}

Result<> read_backing_file(const Bytes& bytes, Qcow2Header& header, std::uint64_t& extensions_end) {
    TRY(offset, bytes.number(8, 8, "backing_file_offset"));
    TRY(size, bytes.number(16, 4, "backing_file_size"));
    if (offset == 0) return {};
    if (size > kBackingFileMax) return out_of_range("backing_file_size", size, "at most 1023");
    if (offset > header.cluster_size() || size > header.cluster_size() - offset)
        return out_of_range("backing_file_offset", offset, "within the first cluster");
    TRY(name, bytes.text(offset, size, "backing_file"));
    header.backing_file = name.empty() ? std::string("(empty name)") : name;
    extensions_end = std::min(extensions_end, offset);
    return {};
}

}  // namespace

Result<Qcow2Header> parse_qcow2(std::string_view head) {
    const Bytes bytes(head);
    Qcow2Header header;
    TRY_VOID(read_fixed(bytes, header));
    std::uint32_t length = 72;
    if (header.version == 3) TRY_VOID(read_version_3(bytes, header, length));
    std::uint64_t extensions_end = header.cluster_size();
    TRY_VOID(read_backing_file(bytes, header, extensions_end));
    TRY_VOID(read_extensions(bytes, length, extensions_end, header));
    return header;
}

Result<Qcow2Header> read_qcow2(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return fail(system_error("open " + path, errno));
    std::string head(64 << 10, '\0');
    std::size_t filled = 0;
    const auto fill = [&]() -> Result<> {
        while (filled < head.size()) {
            const ssize_t n = ::pread(fd.get(), head.data() + filled, head.size() - filled, static_cast<off_t>(filled));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return fail(system_error("read " + path, errno));
            if (n == 0) break;
            filled += static_cast<std::size_t>(n);
        }
        return {};
    };
    TRY_VOID(fill());
    const unsigned cluster_bits = filled > 23 ? static_cast<unsigned char>(head[23]) : 0;
    if (cluster_bits > 16 && cluster_bits <= 21 && filled == head.size()) {
        head.resize(std::size_t{1} << cluster_bits);
        TRY_VOID(fill());
    }
    auto parsed = parse_qcow2(std::string_view(head).substr(0, filled));
    if (!parsed) return fail(std::move(parsed.error()).in(path));
    return parsed;
}

namespace {

Result<> check_references(const Qcow2Header& header) {
    if (!header.backing_file.empty())
        return fail(error(Code::invalid, "the image refers to a backing file ({:.80})", header.backing_file)
                        .with_hint("flatten it: qemu-img convert -O qcow2 IMAGE NEW"));
    if (header.has_data_file())
        return fail(error(Code::invalid, "the image refers to an external data file ({:.80})", header.data_file)
                        .with_hint("flatten it: qemu-img convert -O qcow2 IMAGE NEW"));
    if (header.encryption != 0)
        return fail(error(Code::invalid, "the image is encrypted (crypt_method {})", header.encryption)
                        .with_hint("decrypt it: qemu-img convert with the secret, to a plain qcow2"));
    if (const auto unknown = header.incompatible & ~kKnownIncompatible; unknown != 0)
        return fail(Code::invalid, "the image needs features that are unknown here (incompatible bits {:#x})", unknown);
    if (header.marked_corrupt())
        return fail(error(Code::invalid, "the image is marked corrupt by its last writer")
                        .with_hint("repair it: qemu-img check -r all IMAGE"));
    return {};
}

Result<> check_table(const char* name, std::uint64_t offset, std::uint64_t bytes, std::uint64_t cluster,
                     std::int64_t file_size) {
    const auto end = static_cast<std::uint64_t>(file_size);
    if (offset % cluster != 0)
        return fail(Code::invalid, "the image's {} at {} doesn't begin with a cluster of {} bytes", name, offset,
                    cluster);
    if (offset > end || bytes > end - offset)
        return fail(error(Code::invalid, "the image's {} of {} bytes at {} lies beyond the end of the file at {}", name,
                          bytes, offset, end)
                        .with_hint("the file seems truncated: compare its size and checksum with the source"));
    return {};
}

}  // namespace

Result<> check_upload(const Qcow2Header& header, std::int64_t file_size, const UploadLimits& limits) {
    TRY_VOID(check_references(header));
    if (header.size == 0) return fail(Code::invalid, "the image's disk has a size of 0 bytes");
    if (header.size > static_cast<std::uint64_t>(limits.virtual_size_max))
        return fail(Code::invalid, "the image's disk has {} bytes, at most {} are taken", header.size,
                    format_bytes(limits.virtual_size_max));
    if (header.snapshots > limits.snapshots_max)
        return fail(Code::invalid, "the image holds {} internal snapshots, at most {} are taken", header.snapshots,
                    limits.snapshots_max);
    const std::uint64_t l1_bytes = std::uint64_t{header.l1_entries} * 8;
    if (l1_bytes > kL1Max) return fail(Code::invalid, "the image's L1 table has {} entries", header.l1_entries);
    const std::uint64_t entry = (header.incompatible & 16) != 0 ? 16 : 8;  // of an L2 table
    const std::uint64_t per_l1_entry = header.cluster_size() / entry * header.cluster_size();
    const std::uint64_t needed = (header.size + per_l1_entry - 1) / per_l1_entry;
    if (header.l1_entries < needed)
        return fail(Code::invalid, "the image's L1 table has {} entries, its disk needs {}", header.l1_entries, needed);
    TRY_VOID(check_table("L1 table", header.l1_offset, l1_bytes, header.cluster_size(), file_size));
    const std::uint64_t refcounts = std::uint64_t{header.refcount_table_clusters} << header.cluster_bits;
    if (refcounts == 0 || refcounts > std::max(kRefcountTableMax, header.cluster_size()))
        return fail(Code::invalid, "the image's refcount table has {} clusters", header.refcount_table_clusters);
    TRY_VOID(check_table("refcount table", header.refcount_table_offset, refcounts, header.cluster_size(), file_size));
    if (header.snapshots > 0)
        TRY_VOID(check_table("snapshot table", header.snapshots_offset, std::uint64_t{header.snapshots} * 40,
                             header.cluster_size(), file_size));
    return {};
}

}  // namespace axle
