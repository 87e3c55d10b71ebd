// Files of the store are damaged, cut off, or taken away: it says so, changes nothing, and never shows wrong data.
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "common/base/digest.hpp"
#include "common/base/file.hpp"
#include "tests/crash/store/workload.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle::test {
namespace {

namespace fs = std::filesystem;

constexpr Revision kRevisions = 200;

// A store whose first half lies in tables and whose second half lies in the log.
void fill(const std::string& dir) {
    for (const Revision until : {kRevisions / 2, kRevisions}) {
        Running run;
        REQUIRE(run.open(store_options(dir)));
        for (Revision r = run.store->durable() + 1; r <= until; ++r) run.store->commit(batch_of(r, 300));
        REQUIRE(run.wait_for(until));
    }
}

std::vector<std::string> files_of(const std::string& dir, const std::string& begin, const std::string& end) {
    std::vector<std::string> found;
    const auto names = list_directory(dir + "/store/db");
    REQUIRE(names);
    for (const auto& name : *names)
        if (name.starts_with(begin) && name.ends_with(end)) found.push_back(dir + "/store/db/" + name);
    return found;
}

// Of all that holds data; RocksDB's own log of messages and its lock are not.
std::string digest_of(const std::string& dir) {
    std::string all;
    const auto names = list_directory(dir + "/store/db");
    REQUIRE(names);
    for (const auto& name : *names)
        if (!name.starts_with("LOG")) all += name + sha256_hex(*read_file(dir + "/store/db/" + name));
    return sha256_hex(all);
}

void flip(const std::string& path, std::uint64_t at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char old = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(old ^ 0x5a));
}

// What a person sees of a store that may be damaged: refused or read-only with a sentence, or reads fail, or all is
// right.
enum class Seen_as { refused, read_only, unreadable, whole };
Seen_as look(const std::string& dir) {
    const std::string before = digest_of(dir);
    Running run;
    const auto opened = run.open(store_options(dir));
    if (!opened) {
        CHECK(opened.error().code == Code::corrupt);
        CHECK(opened.error().message.find(dir) != std::string::npos);
        CHECK(opened.error().hint.find("backup") != std::string::npos);
        CHECK(digest_of(dir) == before);
        return Seen_as::refused;
    }
    if (run.store->state().read_only) {
        CHECK(run.store->state().read_only->reason == "lost-tail");
        CHECK(digest_of(dir) == before);
        return Seen_as::read_only;
    }
    const std::string flaw = flaw_of(*run.store, kRevisions);
    if (flaw == "") return Seen_as::whole;
    CAPTURE(flaw);
    CHECK(flaw.find("can't be read") != std::string::npos);  // said by an error, not shown as missing or wrong
    return Seen_as::unreadable;
}

// On a fresh copy each time.
Seen_as after(const std::string& original, const std::function<void(const std::string& dir)>& harm) {
    const TempDir dir;
    fs::copy(original, dir.path(), fs::copy_options::recursive);
    harm(dir.path());
    return look(dir.path());
}

struct Filled {
    TempDir dir;
    Filled() { fill(dir.path()); }
};
const std::string& filled() {
    static const Filled one;
    return one.dir.path();
}

TEST_CASE("a log whose tail was cut off is noticed by the witness, and nothing more is dropped from it") {
    for (const std::uint64_t bytes : {1, 400, 5000, 20'000}) {
        CAPTURE(bytes);
        CHECK(after(filled(), [&](const std::string& dir) {
                  const std::string log = files_of(dir, "", ".log").back();
                  const auto size = fs::file_size(log);
                  fs::resize_file(log, size > bytes ? size - bytes : 0);
              }) == Seen_as::read_only);
    }
}

TEST_CASE("a log that is damaged in the middle is noticed, and what stands behind the damage stays on the disk") {
    for (const double part : {0.1, 0.5, 0.9}) {
        CAPTURE(part);
        CHECK(after(filled(), [&](const std::string& dir) {
                  const std::string log = files_of(dir, "", ".log").back();
                  flip(log, static_cast<std::uint64_t>(static_cast<double>(fs::file_size(log)) * part));
              }) == Seen_as::read_only);
    }
}

TEST_CASE("a log that is gone is noticed") {
    const Seen_as seen = after(filled(), [](const std::string& dir) {
        for (const auto& log : files_of(dir, "", ".log")) fs::remove(log);
    });
    CHECK((seen == Seen_as::refused || seen == Seen_as::read_only));
}

TEST_CASE("a damaged table is refused or read as an error, never as wrong data") {
    int not_whole = 0;
    for (const double part : {0.0, 0.2, 0.5, 0.8, 0.99})
        not_whole += after(filled(), [&](const std::string& dir) {
                         for (const auto& table : files_of(dir, "", ".sst"))
                             flip(table, static_cast<std::uint64_t>(static_cast<double>(fs::file_size(table)) * part));
                     }) != Seen_as::whole;
    CHECK(not_whole >= 3);
}

TEST_CASE("a store with a file missing, cut off or damaged does not start, and says what to do") {
    const auto first = [](const std::string& dir, const char* begin, const char* end) {
        return files_of(dir, begin, end).front();
    };
    struct Row {
        const char* name;
        std::function<void(const std::string&)> harm;
    };
    for (const Row& row : {
             Row{"no CURRENT", [](const std::string& dir) { fs::remove(dir + "/store/db/CURRENT"); }},
             Row{"empty CURRENT", [](const std::string& dir) { fs::resize_file(dir + "/store/db/CURRENT", 0); }},
             Row{"no MANIFEST", [&](const std::string& dir) { fs::remove(first(dir, "MANIFEST", "")); }},
             Row{"empty MANIFEST", [&](const std::string& dir) { fs::resize_file(first(dir, "MANIFEST", ""), 0); }},
             Row{"damaged MANIFEST", [&](const std::string& dir) { flip(first(dir, "MANIFEST", ""), 60); }},
             Row{"no table", [&](const std::string& dir) { fs::remove(first(dir, "", ".sst")); }},
             Row{"short table", [&](const std::string& dir) { fs::resize_file(first(dir, "", ".sst"), 100); }},
             Row{"nothing in it",
                 [](const std::string& dir) {
                     fs::remove_all(dir + "/store/db");
                     fs::create_directory(dir + "/store/db");
                 }},
         }) {
        CAPTURE(std::string(row.name));
        CHECK(after(filled(), row.harm) == Seen_as::refused);
    }
}

TEST_CASE("an older copy put back is noticed") {
    const TempDir dir, older;
    fill(dir.path());
    fs::copy(dir / "store/db", older / "db", fs::copy_options::recursive);
    {
        Running run;
        REQUIRE(run.open(store_options(dir.path())));
        run.store->commit(batch_of(kRevisions + 1));
        REQUIRE(run.wait_for(kRevisions + 1));
    }
    fs::remove_all(dir / "store/db");
    fs::copy(older / "db", dir / "store/db", fs::copy_options::recursive);
    CHECK(look(dir.path()) == Seen_as::read_only);
}

TEST_CASE("a cut tail goes on after the loss is accepted, with what is left") {
    const TempDir dir;
    fs::copy(filled(), dir.path(), fs::copy_options::recursive);
    const std::string log = files_of(dir.path(), "", ".log").back();
    fs::resize_file(log, fs::file_size(log) - 3000);
    Running run;
    REQUIRE(run.open(store_options(dir.path())));
    REQUIRE(run.store->state().read_only);
    const Revision left = run.store->durable();
    const auto accepted = run.accept_loss();
    REQUIRE(accepted);
    CHECK(accepted->revision > kRevisions);
    CHECK(*run.store->get(Table::objects, "k/" + std::to_string(left)));
    run.store->commit(batch_of(accepted->revision + 1));
    REQUIRE(run.wait_for(accepted->revision + 1));
    run.store.reset();
    REQUIRE(run.open(store_options(dir.path())));
    CHECK_FALSE(run.store->state().read_only);
    CHECK(*run.store->get(Table::objects, "k/" + std::to_string(left)));
    CHECK(*run.store->get(Table::objects, "k/" + std::to_string(accepted->revision + 1)));
}

}  // namespace
}  // namespace axle::test
