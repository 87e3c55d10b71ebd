// The seam to whatever brings images in (orchestrator/images). Core thread; answers come on it, later, once.
#pragma once
#include <functional>
#include <set>
#include <string>

#include "common/base/id.hpp"
#include "common/base/result.hpp"

namespace axle {

struct ImportRequest {
    Uuid image, project;
    std::string url;                 // http(s) URL or a name of the catalogue; empty: it was uploaded
    bool from_this_machine = false;  // an administrator asked: the URL may lead to loopback, too
    std::string checksum;            // "sha256:HEX", "sha512:HEX" or empty
};
struct Imported {
    std::string digest;  // sha256 of the normalised qcow2
    std::int64_t size = 0, virtual_size = 0;
    std::string source_format;
};

// Name of an upload that came in whole, in the directory that the API and the importer share. It stays until the image
// is known to be ready.
inline std::string upload_name(const Uuid& image) {
    return image.str() + ".upload";
}

// Images whose bytes are still of use, for the sweep at a start.
struct UnfinishedImports {
    std::set<Uuid> importing, failed;
};

// Where an import stands; bytes of its present step, all 0: unknown.
enum class ImportStep { downloading, checking, unpacking, converting };
constexpr const char* text_of(ImportStep step) {
    constexpr const char* kTexts[] = {"downloading", "checking", "unpacking", "converting"};
    return kTexts[static_cast<int>(step)];
}
struct ImportProgress {
    ImportStep step = ImportStep::downloading;
    std::int64_t done = 0, all = 0;
};
using TellProgress = std::function<void(const ImportProgress&)>;

class Importer {
  public:
    virtual ~Importer() = default;
    // Durable when it answers. The same image again resumes what a crash interrupted. What came is kept after a success
    // (until forget) and where a later try can go on with it (unavailable, no_space). An upload that isn't there:
    // not_found, reason "interrupted".
    virtual void import(ImportRequest request, TellProgress progress, std::function<void(Result<Imported>)> done) = 0;
    // Its import then answers Code::conflict with reason "cancelled"; where none runs, what one left is removed.
    virtual void cancel(Uuid image) = 0;
    virtual void forget(Uuid image) = 0;  // removes what came of it; no import of it runs
    // The original of an image, durably. Gone already, or wanted again by an import: success.
    virtual void remove(std::string digest, std::function<void(Result<>)> done) = 0;
    virtual std::string path(const std::string& digest) const = 0;
};

}  // namespace axle
