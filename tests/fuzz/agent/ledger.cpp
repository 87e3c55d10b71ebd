// A file of the agent's state, in each folder: read, or named as unreadable; never more than that.
#include "agent/core/ledger.hpp"

#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"

using namespace axle;

namespace {

struct OneFile final : StateFiles {
    StateFile file;
    void load(std::function<void(Result<std::vector<StateFile>>)> answer) override {
        answer(std::vector<StateFile>{file});
    }
    void put(std::string, std::string, std::function<void(Result<>)> done) override { done({}); }
    void remove(std::string, std::function<void(Result<>)> done) override { done({}); }
};

}  // namespace

// The first byte chooses the file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr const char* kNames[] = {"desired/vm-x.json", "runs/x.json",  "local/x.json",    "moves/x.json",
                                      "made/x.json",       "known/x.json", "ended/x.json",    "seen.json",
                                      "connection.json",   "going-down",   "elsewhere/x.json"};
    if (size == 0) return 0;
    OneFile files;
    files.file = {kNames[data[0] % std::size(kNames)], std::string(reinterpret_cast<const char*>(data) + 1, size - 1)};
    Ledger ledger(files);
    bool loaded = false;
    ledger.load([&](Result<> done) { loaded = done.has_value(); });
    ENSURE(loaded, "a bad file doesn't end the start");
    return 0;
}
