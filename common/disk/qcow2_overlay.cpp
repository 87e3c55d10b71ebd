#include "common/disk/qcow2_overlay.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace axle {
namespace {

constexpr std::uint32_t kHeaderLength = 112;
constexpr std::uint32_t kBackingFormat = 0xe2792aca;
constexpr std::size_t kBackingFileMax = 1023;
constexpr std::uint64_t kL1Max = 32 << 20;

struct Layout {
    std::uint64_t cluster, l1_entries, l1_clusters, refcount_blocks, refcount_table;
    std::uint64_t clusters() const { return 1 + refcount_table + refcount_blocks + l1_clusters; }
    std::uint64_t table_offset() const { return cluster; }
    std::uint64_t blocks_offset() const { return (1 + refcount_table) * cluster; }
    std::uint64_t l1_offset() const { return (1 + refcount_table + refcount_blocks) * cluster; }
};

std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) {
    return (a + b - 1) / b;
}

Layout layout_of(const Qcow2Plan& plan) {
    const std::uint64_t cluster = std::uint64_t{1} << plan.cluster_bits;
    Layout layout{.cluster = cluster, .l1_entries = 0, .l1_clusters = 0, .refcount_blocks = 1, .refcount_table = 1};
    layout.l1_entries = divide_up(static_cast<std::uint64_t>(plan.size), cluster / 8 * cluster);
    layout.l1_clusters = divide_up(layout.l1_entries * 8, cluster);
    // Refcounts count themselves, too: grow until they cover all.
    for (;;) {
        const std::uint64_t blocks = divide_up(layout.clusters(), cluster / 2);
        const std::uint64_t table = divide_up(blocks * 8, cluster);
        if (blocks == layout.refcount_blocks && table == layout.refcount_table) return layout;
        layout.refcount_blocks = std::max(blocks, layout.refcount_blocks);
        layout.refcount_table = std::max(table, layout.refcount_table);
    }
}

void put(std::string& bytes, std::uint64_t offset, std::uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) bytes[offset + i] = static_cast<char>(value >> (8 * (size - 1 - i)) & 0xff);
}

void put_header(std::string& bytes, const Qcow2Plan& plan, const Layout& layout) {
    put(bytes, 0, 0x514649fb, 4);
    put(bytes, 4, 3, 4);
    put(bytes, 20, plan.cluster_bits, 4);
    put(bytes, 24, static_cast<std::uint64_t>(plan.size), 8);
    put(bytes, 36, layout.l1_entries, 4);
    put(bytes, 40, layout.l1_offset(), 8);
    put(bytes, 48, layout.table_offset(), 8);
    put(bytes, 56, layout.refcount_table, 4);
    put(bytes, 96, 4, 4);  // refcounts of 16 bits
    put(bytes, 100, kHeaderLength, 4);
    if (plan.backing_file.empty()) return;
    std::uint64_t offset = kHeaderLength;
    put(bytes, offset, kBackingFormat, 4);
    put(bytes, offset + 4, plan.backing_format.size(), 4);
    bytes.replace(offset + 8, plan.backing_format.size(), plan.backing_format);
    offset += 8 + divide_up(plan.backing_format.size(), 8) * 8 + 8;  // and the end of the extensions, which is zero
    put(bytes, 8, offset, 8);
    put(bytes, 16, plan.backing_file.size(), 4);
    bytes.replace(offset, plan.backing_file.size(), plan.backing_file);
}

}  // namespace

Result<Qcow2Bytes> lay_out_qcow2(const Qcow2Plan& plan) {
    if (plan.cluster_bits < 9 || plan.cluster_bits > 21)
        return fail(Code::invalid, "a qcow2 file has clusters of 2^9 to 2^21 bytes, not 2^{}", plan.cluster_bits);
    if (plan.size <= 0 || plan.size % 512 != 0)
        return fail(Code::invalid, "a disk of {} bytes: it must be a positive multiple of 512", plan.size);
    if (plan.backing_file.size() > kBackingFileMax)
        return fail(error(Code::invalid, "the path of the image has {} bytes, a qcow2 file takes at most {}",
                          plan.backing_file.size(), kBackingFileMax)
                        .with_hint("put the pool into a directory with a shorter path"));
    const Layout layout = layout_of(plan);
    const std::uint64_t name_end = kHeaderLength + 24 + plan.backing_format.size() + plan.backing_file.size();
    if (name_end > layout.cluster || plan.backing_format.size() > 16)
        return fail(Code::invalid, "the path of the image has {} bytes, a cluster of {} doesn't hold it",
                    plan.backing_file.size(), layout.cluster);
    if (layout.l1_entries * 8 > kL1Max)
        return fail(Code::invalid, "a disk of {} bytes is larger than clusters of {} bytes allow", plan.size,
                    layout.cluster);
    Qcow2Bytes bytes{.head = std::string(layout.l1_offset(), '\0'),
                     .file_size = static_cast<std::int64_t>(layout.clusters() * layout.cluster)};
    put_header(bytes.head, plan, layout);
    for (std::uint64_t block = 0; block < layout.refcount_blocks; ++block)
        put(bytes.head, layout.table_offset() + block * 8, layout.blocks_offset() + block * layout.cluster, 8);
    for (std::uint64_t cluster = 0; cluster < layout.clusters(); ++cluster)
        put(bytes.head, layout.blocks_offset() + cluster * 2, 1, 2);
    return bytes;
}

Result<> write_qcow2(NewFile& file, const Qcow2Plan& plan) {
    TRY(bytes, lay_out_qcow2(plan));
    TRY_VOID(file.write_at(0, bytes.head));
    return file.resize(bytes.file_size);
}

Result<bool> is_untouched_qcow2(const std::string& path, const Qcow2Plan& plan) {
    TRY(bytes, lay_out_qcow2(plan));
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail(system_error("open " + path, errno));
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return fail(system_error("look at " + path, errno));
    if (st.st_size != bytes.file_size) return false;
    std::string expected = std::move(bytes.head);
    expected.resize(static_cast<std::size_t>(bytes.file_size), '\0');
    TRY(content, read_file(path, bytes.file_size));
    return content == expected;
}

}  // namespace axle
