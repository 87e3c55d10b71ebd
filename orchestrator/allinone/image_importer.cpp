#include "orchestrator/allinone/image_importer.hpp"

#include <filesystem>
#include <thread>

#include "common/base/digest.hpp"
#include "common/base/file.hpp"
#include "common/base/process.hpp"
#include "common/loop/workers.hpp"

namespace axle {
namespace {

class InterimImporter final : public Importer {
  public:
    InterimImporter(std::string folder, Executor& core) : folder_(std::move(folder)), core_(core) {}
    void import(ImportRequest request, std::function<void(std::int64_t, std::int64_t)>, std::function<void(Result<Imported>)> done) override {
        auto shared = std::make_shared<std::function<void(Result<Imported>)>>(std::move(done));
        const bool ok = workers_.submit([this, request, shared] {
            auto r = std::make_shared<Result<Imported>>(work(request));
            core_.post([shared, r] { (*shared)(std::move(*r)); });
        });
        static_cast<void>(ok);
    }
    void cancel(Uuid) override {}
    void remove(std::string digest) override { std::filesystem::remove(path(digest)); }
    std::string path(const std::string& digest) const override { return folder_ + "/" + digest + ".qcow2"; }

  private:
    Result<Imported> work(const ImportRequest& r) {
        const std::string out = folder_ + "/tmp-" + r.image.str();
        TRY(x, run_checked({.program = "qemu-img", .arguments = {"convert", "-O", "qcow2", r.file.empty() ? r.url : r.file, out}}));
        static_cast<void>(x);
        TRY(bytes, read_file(out, INT64_C(1) << 32));
        Imported i{.digest = sha256_hex(bytes), .size = static_cast<std::int64_t>(bytes.size())};
        for (std::size_t k = 24; k < 32; ++k) i.virtual_size = i.virtual_size << 8 | static_cast<unsigned char>(bytes[k]);
        i.source_format = "qcow2";
        std::filesystem::permissions(out, static_cast<std::filesystem::perms>(0444));
        std::filesystem::rename(out, path(i.digest));
        return i;
    }
    std::string folder_;
    Executor& core_;
    Workers workers_{"images", {.threads = 1}};
};

}  // namespace

Result<std::unique_ptr<Importer>> make_image_importer(const std::string& state_directory, Executor& core) { return std::unique_ptr<Importer>(new InterimImporter(state_directory + "/images", core)); }

}  // namespace axle
