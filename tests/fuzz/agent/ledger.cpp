// A file of the agent's state, in each folder: held, or named as unreadable, never both, and never more than that. What
// is held is written and read the same again.
#include "agent/core/ledger.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "common/model/codec.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle;

namespace {

struct OneFile final : StateFiles {
    StateFile file;
    void load(std::function<void(Result<std::vector<StateFile>>)> answer) override {
        answer(std::vector<StateFile>{file});
    }
    void put(std::string name, std::string content, std::function<void(Result<>)> done) override {
        file = {std::move(name), std::move(content)};
        done({});
    }
    void remove(std::string, std::function<void(Result<>)> done) override { done({}); }
};

const VmId kVm{*Uuid::parse("01900000-0000-7000-8000-000000000001")};
constexpr auto kSeen = [](Result<>) {};

// What lies in a folder. held: the ledger has it, as text that shows all of it. put: writes it again.
struct Folder {
    std::string name;
    std::function<std::string(const Ledger&)> held;
    std::function<void(Ledger&, const Ledger& from)> put;
};
template <typename T>
std::string text_of(const T* record) {
    return record != nullptr ? to_json_text(*record) : "";
}

const std::array<Folder, 10>& folders() {
    static const std::array<Folder, 10> all = {
        Folder{"desired/vm-" + kVm.str(),
               [](const Ledger& l) {
                   if (l.documents().empty()) return std::string{};
                   const DocumentRecord& record = l.documents().begin()->second;
                   return to_json_text(record) + "\n" + record.content;
               },
               [](Ledger& l, const Ledger& from) { l.put(from.documents().begin()->second, kSeen); }},
        Folder{"runs/" + kVm.str(),
               [](const Ledger& l) { return l.run(kVm) == RunRecord{.vm = kVm} ? "" : to_json_text(l.run(kVm)); },
               [](Ledger& l, const Ledger& from) { l.put(from.run(kVm), kSeen); }},
        Folder{"local/" + kVm.str(), [](const Ledger& l) { return text_of(l.local(kVm)); },
               [](Ledger& l, const Ledger& from) { l.put(*from.local(kVm), kSeen); }},
        Folder{"moves/" + kVm.str(), [](const Ledger& l) { return text_of(l.move(kVm)); },
               [](Ledger& l, const Ledger& from) { l.put(*from.move(kVm), kSeen); }},
        Folder{"made/" + kVm.str(), [](const Ledger& l) { return l.made(VolumeId{kVm}) ? "made" : ""; },
               [](Ledger& l, const Ledger&) { l.mark_made(VolumeId{kVm}, kSeen); }},
        Folder{"known/" + kVm.str(), [](const Ledger& l) { return l.known(PoolId{kVm}) ? "known" : ""; },
               [](Ledger& l, const Ledger&) { l.mark_known(PoolId{kVm}, kSeen); }},
        Folder{"tasks/" + kVm.str(),
               [](const Ledger& l) { return l.tasks().empty() ? "" : to_json_text(l.tasks().begin()->second); },
               [](Ledger& l, const Ledger& from) { l.put(from.tasks().begin()->second, kSeen); }},
        Folder{"agent/seen", [](const Ledger& l) { return l.seen().incarnation == 0 ? "" : to_json_text(l.seen()); },
               [](Ledger& l, const Ledger& from) { l.put(from.seen(), kSeen); }},
        Folder{"agent/connection",
               [](const Ledger& l) { return l.connection() == 0 ? "" : fmt::format("{}", l.connection()); },
               [](Ledger& l, const Ledger& from) { l.put(ConnectionRecord{from.connection()}, kSeen); }},
        Folder{"agent/going-down", [](const Ledger& l) { return l.going_down_boot(); },
               [](Ledger& l, const Ledger& from) { l.set_going_down(from.going_down_boot(), kSeen); }},
    };
    return all;
}

void load(Ledger& ledger) {
    bool loaded = false;
    ledger.load([&](Result<> done) { loaded = done.has_value(); });
    ENSURE(loaded, "a bad file doesn't end the start");
}

}  // namespace

// The first byte chooses the folder: 'a' for the first.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const Folder& folder = folders()[static_cast<std::uint8_t>(data[0] - 'a') % folders().size()];
    OneFile files;
    files.file = {folder.name, std::string(reinterpret_cast<const char*>(data) + 1, size - 1)};
    Ledger ledger(files);
    load(ledger);
    const std::string held = folder.held(ledger);
    ENSURE(held.empty() || ledger.unreadable().empty(), "what can't be read is not held");
    if (held.empty()) return test::told(false);
    OneFile written;
    Ledger writer(written), again(written);
    folder.put(writer, ledger);
    load(again);
    ENSURE(folder.held(again) == held, "what is held is written and read the same");
    return test::told(true);
}
