// Brings images in, in a simulation: takes its time, fails for URLs that contain "bad", keeps what it has over crashes:
// the files of images and the uploads.
#pragma once
#include <map>
#include <set>
#include <string>

#include "common/base/digest.hpp"
#include "common/base/units.hpp"
#include "orchestrator/core/importer.hpp"
#include "tests/support/virtual_clock.hpp"

namespace axle::test {

class SimulatedImporter final : public Importer {
  public:
    SimulatedImporter(std::set<std::string>& files, std::set<Uuid>& uploads, VirtualClock& clock, SeededRandom& random)
        : files_(files), uploads_(uploads), clock_(clock), random_(random) {}

    void import(ImportRequest request, std::function<void(std::int64_t, std::int64_t)> progress,
                std::function<void(Result<Imported>)> done) override {
        running_[request.image] = done;
        clock_.after(milliseconds{random_.between(1, 3'000)}, [progress] { progress(100, 200); });
        clock_.after(milliseconds{random_.between(3'000, 20'000)}, [this, request] {
            auto mine = running_.extract(request.image);
            if (!mine) return;
            if (request.url.empty() && !uploads_.contains(request.image))
                return mine.mapped()(fail(error(Code::not_found, "its bytes aren't there").with_reason("interrupted")));
            if (request.url.find("bad") != std::string::npos)
                return mine.mapped()(fail(Code::unavailable, "{}: connection refused", request.url));
            const std::string digest = sha256_hex(request.url.empty() ? request.image.str() : request.url);
            files_.insert(digest);
            mine.mapped()(Imported{.digest = digest, .size = kMiB, .virtual_size = kGiB, .source_format = "qcow2"});
        });
    }
    void cancel(Uuid image) override {
        auto mine = running_.extract(image);
        uploads_.erase(image);
        if (!mine) return;
        clock_.post(
            [done = mine.mapped()] { done(fail(error(Code::conflict, "cancelled").with_reason("cancelled"))); });
    }
    void forget(Uuid image) override { uploads_.erase(image); }
    void remove(std::string digest) override { files_.erase(digest); }
    std::string path(const std::string& digest) const override { return "/images/" + digest; }

  private:
    std::set<std::string>& files_;
    std::set<Uuid>& uploads_;
    VirtualClock& clock_;
    SeededRandom& random_;
    std::map<Uuid, std::function<void(Result<Imported>)>> running_;
};

}  // namespace axle::test
