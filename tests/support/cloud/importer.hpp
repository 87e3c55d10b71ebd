// Brings images in, in a simulation: takes its time, refuses URLs that contain "bad", fails half the tries of those
// with "flaky" and all of those with "away" while the network is away, keeps what it has over crashes: the files of
// images and the uploads.
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

    void import(ImportRequest request, TellProgress progress, std::function<void(Result<Imported>)> done) override {
        running_[request.image] = done;
        ++tries;
        clock_.after(milliseconds{random_.between(1, 3'000)}, [progress] {
            progress({ImportStep::downloading, 100, 200});
        });
        clock_.after(milliseconds{3'000}, [progress] { progress({ImportStep::converting, 0, 200}); });
        clock_.after(milliseconds{random_.between(4'000, 20'000)}, [this, request] {
            auto mine = running_.extract(request.image);
            if (!mine) return;
            if (request.url.empty() && !uploads_.contains(request.image))
                return mine.mapped()(fail(error(Code::not_found, "its bytes aren't there").with_reason("interrupted")));
            if (request.url.find("bad") != std::string::npos)
                return mine.mapped()(fail(Code::invalid, "{}: no image", request.url));
            const bool flaky = request.url.find("flaky") != std::string::npos && random_.between(0, 1) == 0;
            if (flaky || (away && request.url.find("away") != std::string::npos))
                return mine.mapped()(fail(Code::unavailable, "{}: HTTP 503", request.url));
            const std::string digest = sha256_hex(request.url.empty() ? request.image.str() : request.url);
            files_.insert(digest);
            mine.mapped()(Imported{.digest = digest, .size = kMiB, .virtual_size = kGiB, .source_format = "qcow2"});
        });
    }
    void cancel(Uuid image) override {
        auto mine = running_.extract(image);
        forget(image);
        if (!mine) return;
        clock_.post(
            [done = mine.mapped()] { done(fail(error(Code::conflict, "cancelled").with_reason("cancelled"))); });
    }
    void forget(Uuid image) override {
        uploads_.erase(image);
        forgotten.insert(image);
    }
    void remove(std::string digest, std::function<void(Result<>)> done) override {
        clock_.after(milliseconds{20}, [this, digest, done] {
            files_.erase(digest);
            clock_.after(milliseconds{20}, [done] { done({}); });
        });
    }
    std::string path(const std::string& digest) const override { return "/images/" + digest; }
    bool away = true;
    int tries = 0;
    std::set<Uuid> forgotten;

  private:
    std::set<std::string>& files_;
    std::set<Uuid>& uploads_;
    VirtualClock& clock_;
    SeededRandom& random_;
    std::map<Uuid, std::function<void(Result<Imported>)>> running_;
};

}  // namespace axle::test
