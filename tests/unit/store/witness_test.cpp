#include "orchestrator/store/witness.hpp"

#include <doctest/doctest.h>

#include "tests/support/temp_dir.hpp"

namespace axle {
namespace {

using test::TempDir;

const Uuid kCluster = *Uuid::parse("0198f000-0000-7000-8000-000000000001");

WitnessRecord record(Revision revision) {
    return {.revision = revision, .incarnation = 3, .run_id = "00ff", .history = "ab12", .cluster = kCluster};
}

std::string file_of(std::uint64_t first, std::uint64_t second) {
    std::string content = write_witness_slot({.number = first, .record = record(first * 10)});
    content.resize(kWitnessSlotDistance, '\n');
    return content + write_witness_slot({.number = second, .record = record(second * 10)});
}

void put_file(const std::string& path, std::string_view content) {
    const auto written = write_file_durably(path, content);
    REQUIRE(written);
}

TEST_CASE("a slot reads as it was written") {
    for (const WitnessRecord& r : {record(42), WitnessRecord{.cluster = kCluster}, record(~Revision{0})}) {
        const std::string slot = write_witness_slot({.number = 7, .record = r});
        CHECK(slot.size() == kWitnessSlotBytes);
        const auto read = read_witness_slot(slot);
        REQUIRE(read);
        CHECK(read->number == 7);
        CHECK(read->record == r);
    }
}

TEST_CASE("a torn slot is no slot") {
    const std::string before = write_witness_slot({.number = 8, .record = record(80)});
    const std::string after = write_witness_slot({.number = 10, .record = record(1000)});
    for (std::size_t cut = 0; cut < kWitnessSlotBytes; ++cut) {
        CAPTURE(cut);
        const auto read = read_witness_slot(after.substr(0, cut) + before.substr(cut));
        if (read) CHECK((read->record == record(80) || read->record == record(1000)));
    }
}

TEST_CASE("a slot with one wrong character is no slot") {
    const std::string slot = write_witness_slot({.number = 8, .record = record(80)});
    const std::size_t length = slot.find_last_not_of(" \n") + 1;
    for (std::size_t i = 0; i < length; ++i) {
        CAPTURE(i);
        std::string wrong = slot;
        wrong[i] = static_cast<char>(wrong[i] ^ 1);
        CHECK_FALSE(read_witness_slot(wrong));
    }
}

TEST_CASE("the newer whole slot counts") {
    CHECK(newest_witness_slot(file_of(3, 4))->record.revision == 40);
    CHECK(newest_witness_slot(file_of(5, 4))->record.revision == 50);
    std::string torn = file_of(3, 4);
    torn[kWitnessSlotDistance + 20] = '?';
    CHECK(newest_witness_slot(torn)->record.revision == 30);
    torn[20] = '?';
    CHECK_FALSE(newest_witness_slot(torn));
    CHECK_FALSE(newest_witness_slot(""));
}

TEST_CASE("a witness remembers over reopening, with every write in the other slot") {
    const TempDir dir;
    const std::string path = dir / "identity/witness";
    for (Revision revision = 1; revision <= 5; ++revision) {
        auto witness = WitnessFile::open(path);
        REQUIRE(witness);
        if (revision > 1) CHECK((*witness)->record() == record(revision - 1));
        REQUIRE((*witness)->write(record(revision)));
    }
    const auto content = read_file(path);
    REQUIRE(content);
    CHECK(read_witness_slot(*content)->number == 5);
    CHECK(read_witness_slot(content->substr(kWitnessSlotDistance))->number == 4);
}

TEST_CASE("a torn write of the witness leaves the one before") {
    const TempDir dir;
    const std::string path = dir / "witness";
    std::string content = file_of(3, 4);
    content.replace(kWitnessSlotDistance, 40, std::string(40, '\0'));
    put_file(path, content);
    auto witness = WitnessFile::open(path);
    REQUIRE(witness);
    CHECK((*witness)->record() == record(30));
    REQUIRE((*witness)->write(record(31)));
    CHECK(newest_witness_slot(*read_file(path))->record == record(31));
}

TEST_CASE("a second process can't have the witness, and is told so") {
    const TempDir dir;
    auto first = WitnessFile::open(dir / "witness");
    REQUIRE(first);
    REQUIRE((*first)->write(record(1)));
    const auto second = WitnessFile::open(dir / "witness");
    REQUIRE_FALSE(second);
    CHECK(second.error().code == Code::busy);
    CHECK(second.error().message.find("in use by another process") != std::string::npos);
}

TEST_CASE("a witness that somebody else has written to is not written over") {
    const TempDir dir;
    auto witness = WitnessFile::open(dir / "witness");
    REQUIRE(witness);
    REQUIRE((*witness)->write(record(1)));
    put_file(dir / "witness", file_of(3, 4));
    const auto refused = (*witness)->write(record(2));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::conflict);
}

TEST_CASE("the witness is due a pause after the first sync that it doesn't know, and then rests") {
    WitnessPace pace(milliseconds{1000});
    CHECK_FALSE(pace.due({5000}));
    pace.synced({5000});
    pace.synced({5900});
    CHECK_FALSE(pace.due({5999}));
    CHECK(pace.due({6000}));
    pace.written();
    CHECK_FALSE(pace.due({60000}));
}

}  // namespace
}  // namespace axle
