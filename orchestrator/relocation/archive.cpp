#include "orchestrator/relocation/archive.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <functional>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.hpp"

namespace axle {
namespace {

constexpr const char* kSealMember = "seal";
constexpr std::int64_t kSealBytes = 65;  // 64 digits and a line end
constexpr std::size_t kPiece = 1 << 18;

using Each = std::function<Result<>(std::string_view)>;

// Exactly so many bytes from there on, in pieces. Code::malformed where the file ends before.
Result<> read_pieces(const Fd& fd, const std::string& path, std::int64_t offset, std::int64_t bytes, const Each& each) {
    std::string piece(std::min<std::size_t>(kPiece, static_cast<std::size_t>(bytes)), '\0');
    while (bytes > 0) {
        const auto wish = std::min(piece.size(), static_cast<std::size_t>(bytes));
        const ssize_t n = ::pread(fd.get(), piece.data(), wish, offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(system_error("read " + path, errno));
        if (n == 0) return fail(Code::malformed, "{} ends at byte {}, more was to come", path, offset);
        TRY_VOID(each(std::string_view(piece).substr(0, static_cast<std::size_t>(n))));
        offset += n;
        bytes -= n;
    }
    return {};
}

Result<Fd> open_to_read(const std::string& path) {
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail(system_error("open " + path, errno));
    return fd;
}

Result<std::string> read_all(const Fd& fd, const std::string& path, std::int64_t offset, std::int64_t bytes) {
    std::string out;
    TRY_VOID(read_pieces(fd, path, offset, bytes, [&](std::string_view piece) -> Result<> {
        out += piece;
        return {};
    }));
    return out;
}

// Header by header, hashing all that stands before the seal.
Result<> read_members(const Fd& fd, Archive& archive) {
    Digest digest;
    const auto hash = [&](std::string_view piece) -> Result<> {
        digest.update(piece);
        return {};
    };
    for (std::int64_t at = 0;;) {
        TRY(block, read_all(fd, archive.path, at, kTarBlock));
        TRY(member, read_tar_header(block));
        if (member.path.empty()) return fail(Code::malformed, "{} has no seal", archive.path);
        at += static_cast<std::int64_t>(kTarBlock);
        if (member.path == kSealMember) {
            if (member.size != kSealBytes) return fail(Code::malformed, "the seal of {} is none", archive.path);
            TRY(seal, read_all(fd, archive.path, at, kSealBytes));
            if (seal == digest.finish_hex() + "\n") return {};
            return fail(Code::malformed, "the bytes of {} are not those that were sealed", archive.path);
        }
        digest.update(block);
        TRY_VOID(read_pieces(fd, archive.path, at, member.size + tar_padding(member.size), hash));
        archive.bytes += member.size;
        archive.members.push_back({member, at});
        at += member.size + tar_padding(member.size);
    }
}

}  // namespace

Result<> ArchiveWriter::put(std::string_view bytes) {
    digest_.update(bytes);
    return file_.write(bytes);
}

Result<> ArchiveWriter::put_zeros(std::int64_t count) {
    return put(std::string(static_cast<std::size_t>(count), '\0'));
}

Result<> ArchiveWriter::add(const std::string& path, std::string_view content) {
    const auto size = static_cast<std::int64_t>(content.size());
    TRY(header, write_tar_header({.path = path, .size = size}));
    TRY_VOID(put(header));
    TRY_VOID(put(content));
    return put_zeros(tar_padding(size));
}

Result<> ArchiveWriter::add_file(const std::string& path, const std::string& from) {
    TRY(fd, open_to_read(from));
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return fail(system_error("look at " + from, errno));
    TRY(header, write_tar_header({.path = path, .mode = st.st_mode & 0777U, .size = st.st_size}));
    TRY_VOID(put(header));
    TRY_VOID(read_pieces(fd, from, 0, st.st_size, [this](std::string_view piece) { return put(piece); }));
    return put_zeros(tar_padding(st.st_size));
}

Result<> ArchiveWriter::seal() {
    TRY(header, write_tar_header({.path = kSealMember, .size = kSealBytes}));
    const std::string hash = digest_.finish_hex() + "\n";
    TRY_VOID(file_.write(header));
    TRY_VOID(file_.write(hash));
    return file_.write(std::string(static_cast<std::size_t>(tar_padding(kSealBytes)) + 2 * kTarBlock, '\0'));
}

Result<Archive> open_archive(const std::string& path) {
    TRY(fd, open_to_read(path));
    Archive archive{.path = path};
    auto read = read_members(fd, archive);
    if (!read && read.error().code == Code::malformed)
        return fail(
            error(Code::malformed, "{} is not whole, or no archive of a cloud: {}", path, read.error().message)
                .with_hint("copy it once more from where it was made; sha256sum tells whether both are the same"));
    if (!read) return fail(std::move(read.error()));
    return archive;
}

Result<std::string> content_of(const Archive& archive, const std::string& member, std::int64_t limit) {
    const auto found = std::ranges::find(archive.members, member, [](const ArchiveMember& m) { return m.file.path; });
    if (found == archive.members.end() || found->file.size > limit)
        return fail(Code::malformed, "{} holds no {}", archive.path, member);
    TRY(fd, open_to_read(archive.path));
    return read_all(fd, archive.path, found->offset, found->file.size);
}

Result<> extract(const Archive& archive, const ArchiveMember& member, const std::string& to) {
    TRY(from, open_to_read(archive.path));
    const Fd fd(io::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, member.file.mode));
    if (!fd) return fail(system_error("create " + to, errno));
    TRY_VOID(read_pieces(from, archive.path, member.offset, member.file.size, [&](std::string_view piece) -> Result<> {
        while (!piece.empty()) {
            const ssize_t n = io::write(fd.get(), piece.data(), piece.size());
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return fail(system_error("write " + to, errno));
            piece.remove_prefix(static_cast<std::size_t>(n));
        }
        return {};
    }));
    if (io::fsync(fd.get()) != 0) return fail(system_error("sync " + to, errno));
    return {};
}

}  // namespace axle
