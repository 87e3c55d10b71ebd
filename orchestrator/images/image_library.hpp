// The images of the cloud in a directory of this machine: the real edge behind orchestrator/core/importer.hpp.
#pragma once
#include <functional>
#include <map>
#include <stop_token>
#include <string>

#include "common/base/clock.hpp"
#include "orchestrator/images/import.hpp"

namespace axle {

// Constructed and called on the core thread. Each project has its own lanes, "receive/…" for what waits for the network
// and "convert/…" for what needs the processor: a server that crawls holds up neither others nor what is here already.
// The destructor stops it; jobs that still wait in the workers then do nothing.
class ImageLibrary final : public Importer {
  public:
    using Submit = std::function<bool(const std::string& lane, std::function<void()> job)>;
    // Makes the directories; blocks, at start-up.
    static Result<> prepare(const ImportSettings& settings);
    // Sweeps what a crash left; blocks, at start-up, before anything is imported or uploaded.
    static Result<> sweep(const ImportSettings& settings, const UnfinishedImports& unfinished, WallTime now);

    ImageLibrary(Executor& core, Submit submit, ImportSettings settings);
    ~ImageLibrary() override;

    void import(ImportRequest request, TellProgress progress, std::function<void(Result<Imported>)> done) override;
    void cancel(Uuid image) override;
    void forget(Uuid image) override;
    void remove(std::string digest, std::function<void(Result<>)> done) override;
    std::string path(const std::string& digest) const override;
    // Where the API puts uploads; prepare() makes it.
    std::string upload_directory() const { return incoming_directory(settings_); }
    // What runs ends soon, can be resumed after a start, and isn't answered any more.
    void stop();

  private:
    using Answer = std::function<void(const Result<Imported>&)>;
    void convert(const ImportRequest& request, const ImportSource& source, const std::stop_token& cancel,
                 const TellProgress& tell, const Answer& answer);
    void refuse(const Answer& answer);
    void forgotten(const Uuid& image);

    Executor& core_;
    Submit submit_;
    ImportSettings settings_;
    std::map<Uuid, std::stop_source> running_;
    std::map<Uuid, std::function<void()>> forgetting_;  // and what is to be done then
    std::shared_ptr<std::atomic<bool>> stopping_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace axle
