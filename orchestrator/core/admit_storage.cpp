// Volumes and images.
#include <algorithm>

#include "common/model/format.hpp"
#include "orchestrator/core/admit.hpp"
#include "orchestrator/core/catalogue.hpp"

namespace axle {

void complete_volume(Admission& a, VolumeSpec& spec, const std::string& at, std::optional<std::int64_t> default_size) {
    World& world = a.tx.world();
    if (!spec.pool) {
        const Pool* pool = default_pool(world);
        if (pool == nullptr) {
            a.refuse(at + "/pool", "required",
                     world.names_of(Kind::pool).empty()
                         ? "there is no pool yet: axle pool create main --path /var/lib/axle/pools/main"
                         : "there are several pools and none is the default: name one");
            return;
        }
        spec.pool = {pool->meta.id, pool->meta.name};
    }
    if (!spec.image) {
        if (spec.size == 0) spec.size = default_size.value_or(0);
        if (spec.size == 0)
            a.refuse(at + "/size", "required", "a disk that isn't made from an image needs a size, e.g. 10GiB");
        return;
    }
    const Image* image = world.find<Image>(spec.image.id);
    if (image->status.phase == ImagePhase::failed) {
        a.refuse(at + "/image", "not-ready",
                 fmt::format("image {} could not be imported: axle image show {}", image->meta.name, image->meta.name));
        return;
    }
    if (spec.size == 0) spec.size = std::max(default_size.value_or(0), image->status.virtual_size);
    if (image->status.phase != ImagePhase::ready) return;  // completed when it is: volume_controller
    spec.image_digest = image->status.digest;
    if (spec.size < image->status.virtual_size)
        a.refuse(at + "/size", "out-of-range",
                 fmt::format("is {}, the disk in image {} has {}", format_bytes(spec.size), image->meta.name,
                             format_bytes(image->status.virtual_size)));
    if (spec.format == DiskFormat::raw)
        a.refuse(at + "/format", "unsupported",
                 "a disk that starts from an image is an overlay, which only qcow2 can be");
}

Result<> admit_volume(Admission& a, Volume& volume, const Volume* before) {
    if (before != nullptr) {
        if (volume.spec.size == 0) volume.spec.size = before->spec.size;
        if (volume.spec.size < before->spec.size)
            a.refuse("/spec/size", "out-of-range",
                     fmt::format("is {}, the disk has {}: a disk is never made smaller", format_bytes(volume.spec.size),
                                 format_bytes(before->spec.size)));
        return {};
    }
    complete_volume(a, volume.spec, "/spec", std::nullopt);
    volume.status = {};
    return {};
}

// What can be said of it without asking its server.
static void check_source(Admission& a, const std::string& url) {
    if (url.empty() || find_in_catalogue(url) != nullptr) return;
    if (auto why = why_not(Format::url, url)) {
        std::string known;
        for (const CatalogueEntry& entry : catalogue()) known += (known.empty() ? "" : ", ") + std::string(entry.name);
        return a.refuse("/spec/url", "malformed",
                        fmt::format("{}, or a name of the catalogue: {}; for a file of yours leave it out and upload "
                                    "(axle image create NAME --file PATH)",
                                    *why, known));
    }
    const std::string_view rest = std::string_view(url).substr(url.find("//") + 2);
    if (rest.substr(0, rest.find_first_of("/?#")).find('@') != std::string_view::npos)
        a.refuse("/spec/url", "malformed",
                 "holds a user or password, which everybody would see who may read the image: offer it without, with a "
                 "checksum, or upload it");
}

Result<> admit_image(Admission& a, Image& image, const Image* before) {
    const std::string& sum = image.spec.checksum;
    const auto is_hex = [](std::string_view text) {
        return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    };
    const bool fine = sum.empty() ||
                      (sum.starts_with("sha256:") && sum.size() == 71 && is_hex(std::string_view(sum).substr(7))) ||
                      (sum.starts_with("sha512:") && sum.size() == 135 && is_hex(std::string_view(sum).substr(7)));
    if (!fine)
        a.refuse("/spec/checksum", "malformed",
                 "must be sha256: or sha512: and the digest in lower-case hexadecimal digits");
    if (before != nullptr) return {};
    check_source(a, image.spec.url);
    image.status = {};
    image.status.by_administrator = a.by_administrator;
    image.status.phase = image.spec.url.empty() ? ImagePhase::uploading : ImagePhase::pending;
    return {};
}

}  // namespace axle
