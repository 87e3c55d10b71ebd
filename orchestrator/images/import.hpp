// One import from its first byte to the published file. Blocks: workers only.
//
//   <directory>/<digest>.qcow2            an image: normalised, 0444
//   <directory>/incoming/<id>.download    what is being downloaded, and <id>.download.json
//   <directory>/incoming/upload-*         what the API receives
//   <directory>/incoming/<id>.upload      an upload that is whole and was taken
//   <directory>/incoming/<id>.unpacked    out of a compressed one
//   <directory>/incoming/<id>.converted   becomes the image
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "common/base/clock.hpp"
#include "common/disk/format.hpp"
#include "orchestrator/core/importer.hpp"
#include "orchestrator/images/shelf.hpp"

namespace axle {

struct ImportSettings {
    std::string directory;                                   // of the images
    std::int64_t source_size_max = std::int64_t{256} << 30;  // bytes downloaded, uploaded or unpacked
    std::int64_t virtual_size_max = std::int64_t{16} << 40;
    std::int64_t keep_free = 0;  // bytes of the file system that stay free
    milliseconds convert_limit{2 * 3'600'000};
    unsigned confined_uid = 65534, confined_gid = 65534;
    // True: a cancel is the end of the service, and what came is kept for its next start.
    std::shared_ptr<const std::atomic<bool>> stopping = std::make_shared<std::atomic<bool>>(false);
    std::shared_ptr<Shelf> shelf = std::make_shared<Shelf>();
};

// What was received, whole.
struct ImportSource {
    std::string path;
    std::string checksum;  // that it must have: "sha256:HEX", "sha512:HEX" or empty
};

std::string incoming_directory(const ImportSettings& settings);
std::string library_path(const ImportSettings& settings, const std::string& digest);

// Whether our own reader lets a file near QEMU, and as which format ("qcow2", "raw"). Blocks on reading its head.
Result<std::string> accept_image(const std::string& path, const ImportSettings& settings);

// In two parts, because one waits for the network and the other needs the processor. After a failure of either nothing
// is left but what a later try can go on with.
Result<ImportSource> receive_image(const ImportRequest& request, const ImportSettings& settings,
                                   const std::stop_token& cancel, const TellProgress& tell);
// Durable when it answers; the same again finds the image and makes nothing twice. The source is left where it
// succeeded, until its owner has recorded that (forget_import). A success holds a claim on the shelf, which its
// receiver releases.
Result<Imported> import_image(const ImportRequest& request, const ImportSource& source, const ImportSettings& settings,
                              const std::stop_token& cancel, const TellProgress& tell);

// What a crash left: everything in incoming/ but what came of images that are being imported, and downloads of failed
// ones that were written to within the last days.
Result<> sweep_incoming(const ImportSettings& settings, const UnfinishedImports& unfinished, WallTime now);
Result<> forget_import(const ImportSettings& settings, const Uuid& image);

}  // namespace axle
