#include "agent/migration/volume_copy.hpp"

#include "common/base/digest.hpp"
#include "common/base/new_file.hpp"
#include "common/base/pieces.hpp"
#include "common/base/space.hpp"
#include "common/base/units.hpp"

namespace axle {
namespace {

// Synced on the way: else the last sync of a large file takes longer than the sender waits for its answer.
constexpr std::int64_t kSyncEvery = std::int64_t{256} << 20;

Result<> write_all(NewFile& file, http::BodyStream& body, std::int64_t size, Digest& digest) {
    std::int64_t done = 0, synced = 0;
    for (;;) {
        TRY(piece, body.read());
        if (piece.empty()) break;
        digest.update(piece);
        if (!is_zero(piece)) TRY_VOID(file.write_at(done, piece));
        done += static_cast<std::int64_t>(piece.size());
        if (done - synced < kSyncEvery) continue;
        TRY_VOID(sync_file(file.temporary()));
        synced = done;
    }
    if (done == size) return {};
    return fail(Code::corrupt, "{} of {} bytes of the disk came", done, size);
}

}  // namespace

Result<> receive_volume(const std::string& path, http::BodyStream& body, const std::string& sha256,
                        const PoolSettings& settings) {
    const auto size = body.length();
    if (!size) return fail(Code::malformed, "a disk must be sent with its length");
    TRY_VOID(check_space(parent_of(path), settings.least_free, *size));
    TRY(file, NewFile::create(path, settings.tag));
    Digest digest;
    TRY_VOID(write_all(file, body, *size, digest));
    const std::string got = digest.finish_hex();
    if (got != sha256)
        return fail(error(Code::corrupt, "the disk came altered: its sha256 is {}, not {}", got, sha256)
                        .with_hint("it is sent anew; if that happens again, look at both hosts' memory and disks"));
    TRY_VOID(file.resize(*size));  // a hole at the end
    TRY_VOID(give_to_guests(file.temporary(), settings));
    return file.replace();
}

}  // namespace axle
