// Cached images: got by the cheapest way there is, verified before they get their name.
#include <cerrno>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/storage/paths.hpp"
#include "agent/storage/pool_directory.hpp"
#include "common/base/digest.hpp"
#include "common/base/ensure.hpp"
#include "common/base/file.hpp"
#include "common/base/io.hpp"
#include "common/base/new_file.hpp"
#include "common/base/now.hpp"
#include "common/base/pieces.hpp"
#include "common/base/space.hpp"
#include "common/disk/qcow2.hpp"

namespace axle {
namespace {

constexpr milliseconds kProgressEvery{200};

// Tells how far it is, not more often than anybody can read.
class Progress {
  public:
    explicit Progress(const std::function<void(std::int64_t)>& tell) : tell_(tell), last_(boot_now()) {}
    void add(std::int64_t bytes) {
        done_ += bytes;
        if (!tell_ || boot_now() - last_ < kProgressEvery) return;
        last_ = boot_now();
        tell_(done_);
    }

  private:
    const std::function<void(std::int64_t)>& tell_;
    BootTime last_;
    std::int64_t done_ = 0;
};

Result<> check_digest(const ImageDocument& image, const std::string& found) {
    if (found == image.digest) return {};
    return fail(error(Code::corrupt, "image {}: {} has the digest {}", image.digest, image.source, found)
                    .with_hint("the source was damaged or changed: import the image again"));
}

// The image under a temporary name with no byte copied: a second name, or a clone of its blocks. False: neither works.
Result<bool> link_or_clone(NewFile& file, const std::string& source, int source_fd) {
    if (io::link(source.c_str(), file.temporary().c_str()) == 0) return true;
    const Fd clone(io::open(file.temporary().c_str(), O_RDWR | O_CREAT | O_EXCL, 0600));
    if (!clone) return fail(system_error("create " + file.temporary(), errno));
    return ::ioctl(clone.get(), FICLONE, source_fd) == 0;
}

Result<> copy(const PoolDocument& pool, const ImageDocument& image, const PoolSettings& settings, int source,
              Progress& progress) {
    TRY(free, free_bytes(pool.path));
    if (free < image.size + settings.least_free) return fail(no_space(pool, image.size, free, settings.least_free));
    TRY(file, NewFile::create(image_path(pool, image.digest), settings.tag, 0444));
    Digest digest;
    TRY_VOID(read_through(source, image.source, [&](std::string_view piece) -> Result<> {
        digest.update(piece);
        progress.add(static_cast<std::int64_t>(piece.size()));
        return file.write(piece);
    }));
    TRY_VOID(check_digest(image, digest.finish_hex()));
    return file.publish();
}

Result<> fetch_from_path(const PoolDocument& pool, const ImageDocument& image, const PoolSettings& settings,
                         Progress& progress) {
    const Fd source(::open(image.source.c_str(), O_RDONLY | O_CLOEXEC));
    if (!source) return fail(std::move(system_error("open " + image.source, errno)).in("image " + image.digest));
    TRY(file, NewFile::reserve(image_path(pool, image.digest), settings.tag));
    TRY(linked, link_or_clone(file, image.source, source.get()));
    if (!linked) return copy(pool, image, settings, source.get(), progress);
    KILL_POINT("image.linked");
    Digest digest;
    TRY_VOID(read_through(source.get(), image.source, [&](std::string_view piece) -> Result<> {
        digest.update(piece);
        progress.add(static_cast<std::int64_t>(piece.size()));
        return {};
    }));
    TRY_VOID(check_digest(image, digest.finish_hex()));
    if (::chmod(file.temporary().c_str(), 0444) != 0) return fail(system_error("protect " + file.temporary(), errno));
    return file.publish();
}

// What came of an image is kept until all of it is there: a connection that breaks, or an agent that is killed, costs
// no byte twice. Before it gets its name all of it is read and compared with the digest.
Result<> fetch_from_elsewhere(const PoolDocument& pool, const ImageDocument& image, const PoolSettings& settings,
                              const std::function<void(std::int64_t)>& tell) {
    if (!settings.fetch || !image.source.starts_with("orchestrator:"))
        return fail(error(Code::unavailable, "image {}: this agent can't fetch from \"{}\"", image.digest, image.source)
                        .with_hint("upgrade the agent"));
    TRY(free, free_bytes(pool.path));
    const std::string partial = partial_path(pool, image.digest);
    struct stat st {};
    std::int64_t have = ::stat(partial.c_str(), &st) == 0 ? st.st_size : 0;
    if (image.size != 0 && have > image.size) have = 0;
    if (free < image.size - have + settings.least_free)
        return fail(no_space(pool, image.size - have, free, settings.least_free));
    TRY_VOID(settings.fetch({.digest = image.digest, .path = partial, .have = have, .progress = tell}));
    const Fd file(::open(partial.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return fail(system_error("open " + partial, errno));
    Digest digest;
    TRY_VOID(read_through(file.get(), partial, [&](std::string_view piece) -> Result<> {
        digest.update(piece);
        return {};
    }));
    if (auto right = check_digest(image, digest.finish_hex()); !right) {
        TRY_VOID(remove_file_durably(partial));
        return right;
    }
    if (::fchmod(file.get(), 0444) != 0) return fail(system_error("protect " + partial, errno));
    TRY_VOID(sync_file(partial));
    KILL_POINT("image.fetched");
    const std::string path = image_path(pool, image.digest);
    if (::rename(partial.c_str(), path.c_str()) != 0) return fail(system_error("name " + path, errno));
    return sync_directory(images_directory(pool));
}

// One that is there was verified before it got its name; its size tells whether somebody truncated it.
Result<bool> is_there(const PoolDocument& pool, const ImageDocument& image) {
    const std::string path = image_path(pool, image.digest);
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) {
        if (errno == ENOENT) return false;
        return fail(system_error("look at " + path, errno));
    }
    if (image.size != 0 && st.st_size != image.size)
        return fail(
            error(Code::corrupt, "{} has {} bytes, the image {}", path, st.st_size, image.size)
                .with_hint("volumes on this image are damaged: restore the file from the orchestrator's images"));
    TRY_VOID(sync_directory(images_directory(pool)));
    return true;
}

}  // namespace

Result<> fetch_image_file(const PoolDocument& pool, const ImageDocument& image, const PoolSettings& settings,
                          const std::function<void(std::int64_t)>& tell) {
    TRY_VOID(verify_pool(pool));
    if (!is_digest(image.digest)) return fail(Code::invalid, "\"{}\" is no sha256 digest of an image", image.digest);
    TRY(there, is_there(pool, image));
    if (there) return {};
    if (!image.source.starts_with('/')) return fetch_from_elsewhere(pool, image, settings, tell);
    Progress progress(tell);
    auto fetched = fetch_from_path(pool, image, settings, progress);
    if (!fetched && fetched.error().code == Code::conflict) return {};  // another way was faster
    return fetched;
}

Result<> remove_image_file(const PoolDocument& pool, const std::string& digest) {
    TRY_VOID(verify_pool(pool));
    if (!is_digest(digest)) return fail(Code::invalid, "\"{}\" is no sha256 digest of an image", digest);
    TRY(volumes, list_volume_files(pool));
    for (const VolumeFile& volume : volumes) {
        if (volume.format == DiskFormat::raw) continue;
        const std::string path = volume_path(pool, {.id = volume.id});
        const auto header = read_qcow2(path);
        // Whether a header that can't be read needs the image, nobody knows.
        if (!header || header->backing_file.find(digest) != std::string::npos)
            return fail(Code::conflict, "image {} is in use by volume {}", digest, volume.id.str());
    }
    TRY_VOID(remove_file_durably(partial_path(pool, digest)));
    return remove_file_durably(image_path(pool, digest));
}

}  // namespace axle
