#include "agent/migration/libvirt_filter.hpp"

#include <algorithm>

#include "agent/hypervisor/domain_xml.hpp"
#include "agent/hypervisor/live_move.hpp"
#include "agent/migration/xdr.hpp"

namespace axle {
namespace {

constexpr std::uint32_t kRemote = 0x20008086, kKeepAlive = 0x6b656570;
constexpr std::uint32_t kOpen = 1, kClose = 2, kSupportsFeature = 60, kAuthList = 66, kPrepare = 303, kFinish = 306;
constexpr std::uint32_t kTypeCall = 0, kTypeMessage = 2, kPing = 1, kPong = 2;
constexpr std::uint32_t kTypeString = 7;  // of a typed parameter
constexpr std::size_t kHead = 28;
constexpr std::size_t kFrameMax = 4 << 20;  // an XML and a cookie; libvirt's own limit is 32 MiB
constexpr std::size_t kParameters = 64, kFieldMax = 80, kTextMax = 2 << 20, kCookieMax = 1 << 20;

// A cookie is XML that libvirt's two ends exchange. Ours takes a definition from it only where a flag says so, which we
// don't set; that none is in it is the second lock. With no declarations and nothing but ASCII in it, what an element
// is called is what stands there.
Result<> check_cookie(std::string_view cookie) {
    if (cookie.empty()) return {};
    const auto refuse = [](const char* why) { return fail(Code::forbidden, "its cookie {}", why); };
    if (cookie.back() == '\0') cookie.remove_suffix(1);
    if (!cookie.starts_with("<qemu-migration>")) return refuse("is not one of a migration");
    const bool plain = std::ranges::all_of(
        cookie, [](char c) { return (c >= ' ' && c < 0x7f) || c == '\n' || c == '\t' || c == '\r'; });
    if (!plain) return refuse("holds bytes that are no text");
    for (const char* word : {"<!", "<?", "<persistent", "<domain"}) {
        if (cookie.find(word) != std::string_view::npos) return refuse("holds a definition or a declaration");
    }
    return {};
}

// Only to find its end.
Result<> skip_parameters(XdrReader& reader) {
    TRY(count, reader.word());
    if (count > kParameters) return fail(Code::malformed, "{} parameters, {} are allowed", count, kParameters);
    for (std::uint32_t i = 0; i < count; ++i) {
        TRY_VOID(reader.bytes(kFieldMax));
        TRY(type, reader.word());
        if (type == 0 || type > kTypeString) return fail(Code::malformed, "a parameter of type {}", type);
        if (type == kTypeString)
            TRY_VOID(reader.bytes(kTextMax));
        else
            TRY_VOID(reader.skip(type >= 3 && type <= 5 ? 8 : 4));
    }
    return {};
}

void add_text(XdrWriter& writer, std::string_view name, std::string_view value) {
    writer.bytes(name).word(kTypeString).bytes(value);
}

std::vector<std::string> copied_disks(const MoveIn& in, const std::string& xml) {
    std::vector<std::string> names;
    for (const auto& disk : in.plan.disks) {
        if (std::ranges::find(in.move.copies, disk.document.volume) == in.move.copies.end()) continue;
        if (auto name = disk_target(xml, disk.document.name)) names.push_back(std::move(*name));
    }
    return names;
}

}  // namespace

LibvirtFilter::LibvirtFilter(const MoveIn& in, MigrationSockets sockets)
    : name_(domain_name(in.plan.document.id)),
      xml_(incoming_domain_xml(in.plan)),
      sockets_(std::move(sockets)),
      copied_disks_(copied_disks(in, xml_)),
      flags_(live_move_flags(!in.move.copies.empty())) {}

Result<std::string> LibvirtFilter::feed(std::string_view bytes) {
    if (broken_) return fail(Code::forbidden, "this stream was refused before");
    waiting_ += bytes;
    std::string out;
    std::size_t at = 0;
    while (waiting_.size() - at >= 4) {
        const std::size_t length = *XdrReader(std::string_view(waiting_).substr(at)).word();
        if (length < kHead || length > kFrameMax) {
            broken_ = true;
            return fail(Code::malformed, "a call of {} bytes: {} to {} are allowed", length, kHead, kFrameMax);
        }
        if (waiting_.size() - at < length) break;
        auto passed = judge(std::string_view(waiting_).substr(at, length));
        if (!passed) {
            broken_ = true;
            return passed;
        }
        out += *passed;
        at += length;
    }
    waiting_.erase(0, at);
    return out;
}

Result<std::string> LibvirtFilter::judge(std::string_view whole) {
    XdrReader reader(whole.substr(4));
    Frame frame;
    for (std::uint32_t* word :
         {&frame.program, &frame.version, &frame.procedure, &frame.type, &frame.serial, &frame.status})
        *word = *reader.word();  // all in the head, whose length was checked
    frame.arguments = whole.substr(kHead);
    if (frame.program == kKeepAlive) {
        const bool good = (frame.procedure == kPing || frame.procedure == kPong) && frame.type == kTypeMessage &&
                          frame.status == 0 && frame.version == 1 && frame.arguments.empty();
        if (!good) return fail(Code::forbidden, "a keep-alive that is none");
        return std::string(whole);
    }
    if (frame.program != kRemote || frame.version != 1)
        return fail(Code::forbidden, "program {:#x}, version {}, has no place in a migration", frame.program,
                    frame.version);
    if (frame.type != kTypeCall || frame.status != 0)
        return fail(Code::forbidden, "a message of type {} and status {}, where calls are made", frame.type,
                    frame.status);
    return call(frame, whole);
}

Result<std::string> LibvirtFilter::call(const Frame& frame, std::string_view whole) {
    const auto sized = [&](std::size_t size) -> Result<std::string> {
        if (frame.arguments.size() == size) return std::string(whole);
        return fail(Code::malformed, "call {} with {} bytes of arguments, not {}", frame.procedure,
                    frame.arguments.size(), size);
    };
    switch (frame.procedure) {
        case kAuthList:
        case kClose:
            return sized(0);
        case kSupportsFeature:
            return sized(4);
        case kOpen: {
            XdrWriter expected;
            expected.word(1).bytes("qemu:///system").word(0);
            if (opened_ || frame.arguments != expected.take())
                return fail(Code::forbidden, "it opens something else than qemu:///system, or twice");
            opened_ = true;
            return std::string(whole);
        }
        case kPrepare:
            return prepare(frame);
        case kFinish:
            return finish(frame);
        default:
            return fail(Code::forbidden, "call {} has no place in a migration", frame.procedure);
    }
}

static std::string framed(std::uint32_t procedure, std::uint32_t serial, const std::string& arguments) {
    XdrWriter head;
    head.word(static_cast<std::uint32_t>(kHead + arguments.size())).word(kRemote).word(1).word(procedure);
    head.word(kTypeCall).word(serial).word(0);
    return head.take() + arguments;
}

Result<std::string> LibvirtFilter::prepare(const Frame& frame) {
    if (!opened_ || prepared_) return fail(Code::forbidden, "it prepares a migration out of turn");
    XdrReader reader(frame.arguments);
    TRY_VOID(skip_parameters(reader));
    TRY(cookie, reader.bytes(kCookieMax));
    TRY_VOID(check_cookie(cookie));
    TRY_VOID(reader.word());  // flags
    if (!reader.at_end()) return fail(Code::malformed, "there is more behind the arguments of prepare");
    prepared_ = true;
    const bool copies = !copied_disks_.empty();
    XdrWriter out;
    out.word(static_cast<std::uint32_t>(3 + (copies ? 1 : 0) + copied_disks_.size()));
    add_text(out, "destination_xml", xml_);
    add_text(out, "destination_name", name_);
    add_text(out, "migrate_uri", "unix://" + sockets_.memory);
    if (copies) add_text(out, "disks_uri", "unix://" + sockets_.disks);
    for (const std::string& disk : copied_disks_) add_text(out, "migrate_disks", disk);
    out.bytes(cookie).word(flags_);
    return framed(kPrepare, frame.serial, out.take());
}

Result<std::string> LibvirtFilter::finish(const Frame& frame) {
    if (!prepared_ || finished_) return fail(Code::forbidden, "it finishes a migration out of turn");
    XdrReader reader(frame.arguments);
    TRY_VOID(skip_parameters(reader));
    TRY(cookie, reader.bytes(kCookieMax));
    TRY_VOID(check_cookie(cookie));
    TRY_VOID(reader.word());  // flags
    TRY(cancelled, reader.word());
    if (!reader.at_end() || cancelled > 1)
        return fail(Code::malformed, "the arguments of finish are not what they should be");
    finished_ = true;
    XdrWriter out;
    out.word(1);
    add_text(out, "destination_name", name_);
    out.bytes(cookie).word(flags_).word(cancelled);
    return framed(kFinish, frame.serial, out.take());
}

}  // namespace axle
