// The seam to whatever brings images in (orchestrator/images). Core thread; answers come on it, later, once.
#pragma once
#include <functional>
#include <string>

#include "common/base/id.hpp"
#include "common/base/result.hpp"

namespace axle {

struct ImportRequest {
    Uuid image;
    std::string url;                 // http(s) URL or a name of the catalogue; empty: an uploaded file
    std::string file;                // uploaded: temporary file, which the importer takes over
    bool from_this_machine = false;  // an administrator asked: the URL may lead to loopback, too
    std::string checksum;            // "sha256:HEX", "sha512:HEX" or empty
};
struct Imported {
    std::string digest;  // sha256 of the normalised qcow2
    std::int64_t size = 0, virtual_size = 0;
    std::string source_format;
};

class Importer {
  public:
    virtual ~Importer() = default;
    // Durable when it answers. The same image again resumes what a crash interrupted. progress: bytes done and in all
    // (0: unknown).
    virtual void import(ImportRequest request, std::function<void(std::int64_t done, std::int64_t all)> progress,
                        std::function<void(Result<Imported>)> done) = 0;
    virtual void cancel(Uuid image) = 0;  // its import then answers Code::conflict with reason "cancelled"
    virtual void remove(std::string digest) = 0;
    virtual std::string path(const std::string& digest) const = 0;
};

}  // namespace axle
