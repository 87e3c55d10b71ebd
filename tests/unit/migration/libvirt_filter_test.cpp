#include "agent/migration/libvirt_filter.hpp"

#include <doctest/doctest.h>

#include "agent/hypervisor/domain_xml.hpp"
#include "agent/hypervisor/live_move.hpp"
#include "agent/migration/xdr.hpp"
#include "tests/unit/hypervisor/plan.hpp"

namespace axle::test {
namespace {

constexpr std::uint32_t kRemote = 0x20008086;

std::string frame(std::uint32_t procedure, const std::string& arguments, std::uint32_t program = kRemote,
                  std::uint32_t type = 0) {
    XdrWriter head;
    head.word(static_cast<std::uint32_t>(28 + arguments.size())).word(program).word(1).word(procedure);
    return head.word(type).word(7).word(0).take() + arguments;
}
std::string open_call(const std::string& what = "qemu:///system", std::uint32_t flags = 0) {
    return frame(1, XdrWriter().word(1).bytes(what).word(flags).take());
}
using Texts = std::vector<std::pair<std::string, std::string>>;
void add(XdrWriter& out, const Texts& texts) {
    out.word(static_cast<std::uint32_t>(texts.size()));
    for (const auto& [name, value] : texts) out.bytes(name).word(7).bytes(value);
}
std::string cookie(const std::string& inside = "") {
    return "<qemu-migration>\n" + inside + "</qemu-migration>\n" + std::string(1, '\0');
}
std::string prepare_call(const Texts& texts, const std::string& with = cookie(), std::uint32_t flags = 1) {
    XdrWriter out;
    add(out, texts);
    return frame(303, out.bytes(with).word(flags).take());
}
std::string finish_call(const Texts& texts, const std::string& with = cookie(), std::uint32_t cancelled = 0) {
    XdrWriter out;
    add(out, texts);
    return frame(306, out.bytes(with).word(1).word(cancelled).take());
}

// What libvirt would read.
struct Read {
    Texts texts;
    std::string cookie;
    std::uint32_t procedure = 0, serial = 0, flags = 0;
};
Read read(const std::string& bytes) {
    XdrReader in(bytes);
    Read out;
    CHECK(*in.word() == bytes.size());
    CHECK(*in.word() == kRemote);
    CHECK(*in.word() == 1);
    out.procedure = *in.word();
    CHECK(*in.word() == 0);
    out.serial = *in.word();
    CHECK(*in.word() == 0);
    const std::uint32_t count = *in.word();
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::string name(*in.bytes(80));
        CHECK(*in.word() == 7);
        out.texts.emplace_back(name, *in.bytes(1 << 20));
    }
    out.cookie = *in.bytes(1 << 20);
    out.flags = *in.word();
    return out;
}

MoveIn sample_move(bool copies = true) {
    MoveIn in{.plan = sample_plan(), .move = {.role = MoveRole::incoming, .ticket = "t"}};
    if (copies) in.move.copies = {in.plan.disks[0].document.volume};
    return in;
}
LibvirtFilter make(bool copies = true) {
    return {sample_move(copies), {.memory = "/run/memory.sock", .disks = "/run/disk.sock"}};
}
// One that stands where a migration is to be prepared.
LibvirtFilter opened(bool copies = true) {
    LibvirtFilter filter = make(copies);
    REQUIRE(filter.feed(open_call()));
    return filter;
}

const std::string kForeignXml =
    "<domain type='qemu'><name>other</name><devices><disk type='block'>"
    "<source dev='/dev/sda'/></disk></devices></domain>";

}  // namespace

TEST_CASE("what a migration asks besides passes as it is, however it is cut") {
    const std::string calls = frame(66, "") + open_call() + frame(60, XdrWriter().word(3).take()) +
                              frame(1, "", 0x6b656570, 2) + frame(2, "");
    for (const std::size_t cut : {std::size_t{1}, std::size_t{3}, std::size_t{27}, std::size_t{28}, calls.size()}) {
        CAPTURE(cut);
        LibvirtFilter filter = make();
        std::string passed;
        for (std::size_t at = 0; at < calls.size(); at += cut) {
            const auto got = filter.feed(std::string_view(calls).substr(at, cut));
            REQUIRE(got);
            passed += *got;
        }
        CHECK(passed == calls);
    }
}

TEST_CASE("prepare gets the XML, name, sockets and flags of our own plan, whatever it came with") {
    LibvirtFilter filter = opened();
    const auto passed = filter.feed(prepare_call({{"destination_xml", kForeignXml},
                                                  {"destination_name", "other"},
                                                  {"persistent_xml", kForeignXml},
                                                  {"migrate_uri", "tcp:0.0.0.0"},
                                                  {"listen_address", "0.0.0.0"}},
                                                 cookie("<name>axle</name>"), 0xffffffff));
    REQUIRE_MESSAGE(passed, passed.error().message);
    const Read got = read(*passed);
    const DomainPlan plan = sample_plan();
    CHECK(got.procedure == 303);
    CHECK(got.serial == 7);
    CHECK(got.flags == live_move_flags(true));
    CHECK(got.cookie == cookie("<name>axle</name>"));
    const Texts expected = {{"destination_xml", incoming_domain_xml(plan)},
                            {"destination_name", domain_name(plan.document.id)},
                            {"migrate_uri", "unix:///run/memory.sock"},
                            {"disks_uri", "unix:///run/disk.sock"},
                            {"migrate_disks", "vda"}};
    CHECK(got.texts == expected);
}

TEST_CASE("without copies there is no word of disks") {
    LibvirtFilter filter = opened(false);
    const auto passed = filter.feed(prepare_call({{"migrate_disks", "vda"}, {"disks_uri", "tcp:0.0.0.0"}}));
    REQUIRE(passed);
    const Read got = read(*passed);
    CHECK(got.texts.size() == 3);
    CHECK(got.flags == live_move_flags(false));
}

TEST_CASE("finish is of our guest and with our flags") {
    LibvirtFilter filter = opened();
    REQUIRE(filter.feed(prepare_call({})));
    const auto passed = filter.feed(finish_call({{"destination_name", "other"}, {"persistent_xml", kForeignXml}}));
    REQUIRE(passed);
    const Read got = read(*passed);
    CHECK(got.procedure == 306);
    CHECK(got.texts == Texts{{"destination_name", domain_name(sample_plan().document.id)}});
    CHECK(got.flags == live_move_flags(true));
    CHECK_FALSE(filter.feed(finish_call({})));
}

TEST_CASE("a hostile source gets nothing through, and its stream is over") {
    struct Row {
        const char* name;
        std::string bytes;
    };
    const std::string keep_alive = frame(1, "", 0x6b656570, 2);
    for (const Row& row : {
             Row{"another call", frame(11, std::string(4, '\0'))},  // domain-define-xml
             Row{"another program", frame(1, "", 0x20008087)},
             Row{"a reply", frame(66, "", kRemote, 1)},
             Row{"stream data", frame(303, "x", kRemote, 3)},
             Row{"another hypervisor", open_call("lxc:///system")},
             Row{"opened twice", open_call()},
             Row{"a read-only connection asked for differently", open_call("qemu:///system", 2)},
             Row{"arguments where there are none", frame(2, std::string(4, '\0'))},
             Row{"finish before prepare", finish_call({})},
             Row{"a keep-alive with a load", frame(1, std::string(4, '\0'), 0x6b656570, 2)},
             Row{"a definition in the cookie", prepare_call({}, cookie("<persistent><domain/></persistent>"))},
             Row{"an entity in the cookie", prepare_call({}, "<!DOCTYPE x>" + cookie())},
             Row{"a cookie in UTF-16", prepare_call({}, std::string("\xff\xfe<\0q\0", 6))},
             Row{"a cookie that goes on behind its end", prepare_call({}, cookie() + cookie("<persistent/>"))},
             Row{"a frame of 4 GiB", std::string("\xff\xff\xff\xff", 4)},
             Row{"a frame of nothing", std::string(4, '\0')},
             Row{"a frame shorter than its head", std::string("\0\0\0\x10", 4)},
             Row{"parameters without end", frame(303, XdrWriter().word(0xffffffff).take())},
             Row{"a text that reaches beyond the frame",
                 frame(303, XdrWriter().word(1).bytes("x").word(7).word(1000).take())},
             Row{"a parameter of no type", frame(303, XdrWriter().word(1).bytes("x").word(99).word(0).take())},
             Row{"prepare with a tail", frame(303, XdrWriter().word(0).bytes("").word(0).word(0).take())},
         }) {
        CAPTURE(row.name);
        LibvirtFilter filter = opened();
        CHECK_FALSE(filter.feed(row.bytes));
        CHECK_FALSE(filter.feed(keep_alive));
    }
}

TEST_CASE("of every way to cut a call short nothing comes out") {
    const std::string whole = prepare_call({{"destination_name", "x"}}, cookie());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        LibvirtFilter filter = opened();
        const auto passed = filter.feed(std::string_view(whole).substr(0, size));
        REQUIRE(passed);
        CHECK(passed->empty());
    }
    // The same with a head that says so.
    for (std::size_t size = 0; size + 1 < whole.size() - 28; ++size) {
        LibvirtFilter filter = opened();
        CHECK_FALSE(filter.feed(frame(303, whole.substr(28, size))));
    }
}

TEST_CASE("a migration is prepared once") {
    LibvirtFilter filter = opened();
    REQUIRE(filter.feed(prepare_call({})));
    CHECK_FALSE(filter.feed(prepare_call({})));
}

}  // namespace axle::test
