#include "orchestrator/images/import.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/digest.hpp"
#include "common/base/ensure.hpp"
#include "common/base/file.hpp"
#include "common/base/io.hpp"
#include "common/base/pieces.hpp"
#include "common/fetch/download.hpp"
#include "common/fetch/unpack.hpp"
#include "orchestrator/core/catalogue.hpp"
#include "orchestrator/images/convert.hpp"

namespace axle {
namespace {

constexpr std::int64_t kDownloadKeptMs = std::int64_t{3} * 24 * 3'600'000;

Error cancelled() {
    return error(Code::conflict, "the import was cancelled").with_reason("cancelled");
}

std::string incoming_path(const ImportSettings& settings, const Uuid& image, const char* suffix) {
    return fmt::format("{}/{}.{}", incoming_directory(settings), image.str(), suffix);
}

// Removes a file at the end of its scope; a crash leaves it to the sweep.
class Leftover {
  public:
    explicit Leftover(std::string path) : path_(std::move(path)) {}
    ~Leftover() {
        if (!path_.empty()) ::unlink(path_.c_str());
    }
    Leftover(const Leftover&) = delete;
    Leftover& operator=(const Leftover&) = delete;

  private:
    std::string path_;
};

struct Checksum {
    std::string kind, hex;  // empty: none
};

Result<Checksum> parse_checksum(const std::string& text) {
    if (text.empty()) return Checksum{};
    const auto colon = text.find(':');
    Checksum sum{.kind = text.substr(0, colon), .hex = colon == std::string::npos ? "" : text.substr(colon + 1)};
    std::ranges::transform(sum.hex, sum.hex.begin(), [](char c) { return c >= 'A' && c <= 'F' ? char(c + 32) : c; });
    const std::size_t digits = sum.kind == "sha256" ? 64 : sum.kind == "sha512" ? 128 : 0;
    if (digits == 0 || sum.hex.size() != digits || sum.hex.find_first_not_of("0123456789abcdef") != std::string::npos)
        return fail(error(Code::invalid, "\"{}\" is no checksum", text)
                        .with_hint("write sha256: and 64, or sha512: and 128 hexadecimal digits"));
    return sum;
}

Result<std::string> digest_of(const std::string& path, const char* kind, const std::stop_token& cancel,
                              const std::function<void(std::int64_t done)>& tell = {}) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail(system_error("open " + path, errno));
    Digest digest(kind);
    std::int64_t done = 0;
    TRY_VOID(read_through(fd.get(), path, [&](std::string_view piece) -> Result<> {
        if (cancel.stop_requested()) return fail(cancelled());
        digest.update(piece);
        done += static_cast<std::int64_t>(piece.size());
        if (tell) tell(done);
        return {};
    }));
    return digest.finish_hex();
}

// What one import knows while it goes on.
struct Run {
    const ImportRequest& request;
    const ImportSettings& settings;
    const std::stop_token& cancel;
    const TellProgress& tell_progress;

    std::function<void(std::int64_t, std::int64_t)> teller(ImportStep step) const {
        return [&tell = tell_progress, step](std::int64_t done, std::int64_t all) {
            if (tell) tell({step, done, all});
        };
    }
};

Result<> verify(const Run& run, const ImportSource& source) {
    TRY(expected, parse_checksum(source.checksum));
    if (expected.kind.empty()) return {};
    struct stat st {};
    const std::int64_t all = ::stat(source.path.c_str(), &st) == 0 ? st.st_size : 0;
    const auto tell = run.teller(ImportStep::checking);
    TRY(found, digest_of(source.path, expected.kind.c_str(), run.cancel, [&](std::int64_t done) { tell(done, all); }));
    if (found == expected.hex) return {};
    return fail(error(Code::invalid, "the image's {} is {}, expected was {}", expected.kind, found, expected.hex)
                    .with_hint("it was changed or damaged on its way, or the checksum is of another version")
                    .with_reason("checksum-mismatch"));
}

struct Address {
    std::string url, checksum;
};
Result<Address> look_up(const Run& run) {
    TRY_VOID(parse_checksum(run.request.checksum));
    const std::string& url = run.request.url;
    if (const CatalogueEntry* entry = find_in_catalogue(url); entry != nullptr) {
        Address at{std::string(entry->url), run.request.checksum};
        if (!at.checksum.empty()) return at;
        TRY(sums, download_text(std::string(entry->sums_url), run.cancel));
        TRY(hex, checksum_in(sums, entry->url.substr(entry->url.rfind('/') + 1)));
        at.checksum = fmt::format("{}:{}", entry->sums_kind, hex);
        TRY_VOID(parse_checksum(at.checksum));
        return at;
    }
    if (url.starts_with("http://") || url.starts_with("https://")) return Address{url, run.request.checksum};
    return fail(error(Code::invalid, "\"{}\" is no http or https URL and no name of the catalogue", url)
                    .with_hint("upload a file of your own: axle image create NAME --file PATH"));
}

Result<ImportSource> get_source(const Run& run) {
    const Uuid& image = run.request.image;
    if (run.request.url.empty()) {
        TRY_VOID(parse_checksum(run.request.checksum));
        ImportSource source{incoming_directory(run.settings) + "/" + upload_name(image), run.request.checksum};
        if (file_exists(source.path)) return source;
        return fail(error(Code::not_found, "the upload was interrupted: its bytes aren't there")
                        .with_hint("upload the file again")
                        .with_reason("interrupted"));
    }
    TRY(address, look_up(run));
    ImportSource source{incoming_path(run.settings, image, "download"), address.checksum};
    TRY(size, download({.url = address.url,
                        .path = source.path,
                        .size_max = run.settings.source_size_max,
                        .keep_free = run.settings.keep_free,
                        .from_this_machine = run.request.from_this_machine,
                        .cancel = run.cancel,
                        .progress = run.teller(ImportStep::downloading)}));
    KILL_POINT("import.downloaded");
    return size > 0 ? Result<ImportSource>(source) : fail(Code::invalid, "{} is empty", address.url);
}

// The source itself, or what it unpacks to.
Result<std::string> unpacked(const Run& run, const std::string& source) {
    TRY(format, read_format(source));
    if (!is_compressed(format)) return source;
    const std::string path = incoming_path(run.settings, run.request.image, "unpacked");
    TRY_VOID(unpack({.from = source,
                     .to = path,
                     .size_max = run.settings.source_size_max,
                     .keep_free = run.settings.keep_free,
                     .cancel = run.cancel,
                     .progress = run.teller(ImportStep::unpacking)}));
    return path;
}

Result<Imported> publish(const Run& run, const std::string& converted) {
    TRY(format, accept_image(converted, run.settings));
    ENSURE(format == "qcow2", "qemu-img was told to write qcow2");
    TRY(header, read_qcow2(converted));
    struct stat st {};
    if (::stat(converted.c_str(), &st) != 0) return fail(system_error("look at " + converted, errno));
    TRY(digest, digest_of(converted, "sha256", run.cancel));
    Imported image{.digest = digest, .size = st.st_size, .virtual_size = static_cast<std::int64_t>(header.size)};
    const std::string path = library_path(run.settings, digest);
    if (::chown(converted.c_str(), 0, 0) != 0 || ::chmod(converted.c_str(), 0444) != 0)
        return fail(system_error("protect " + converted, errno));
    TRY_VOID(sync_file(converted));
    KILL_POINT("import.before-publish");
    if (run.cancel.stop_requested()) return fail(cancelled());
    // The same content may be there from another import: then this name is only another one for it.
    run.settings.shelf->claim(digest);
    auto published = [&]() -> Result<> {
        if (io::rename_to_new(converted.c_str(), path.c_str()) != 0 && errno != EEXIST)
            return fail(system_error("rename " + converted, errno));
        KILL_POINT("import.published");
        return sync_directory(run.settings.directory);
    }();
    if (published) return image;
    run.settings.shelf->release(digest);
    return fail(std::move(published.error()));
}

Result<Imported> process(const Run& run, const ImportSource& source) {
    TRY_VOID(verify(run, source));
    TRY(source_format, read_format(source.path));
    TRY(path, unpacked(run, source.path));
    const Leftover unpacked_file(path == source.path ? "" : path);
    TRY(format, accept_image(path, run.settings));
    const std::string converted = incoming_path(run.settings, run.request.image, "converted");
    const Leftover converted_file(converted);
    TRY_VOID(convert_image({.source = path,
                            .format = format,
                            .target = converted,
                            .cancel = run.cancel,
                            .progress = run.teller(ImportStep::converting)},
                           run.settings));
    KILL_POINT("import.converted");
    TRY(image, publish(run, converted));
    image.source_format = format;
    if (is_compressed(source_format)) image.source_format += fmt::format(" in {}", name_of(source_format));
    return image;
}

// Whether what came is of use to a later try of the same.
bool keeps_source(const Error& why, const ImportSettings& settings) {
    if (why.reason == "cancelled") return *settings.stopping;
    return why.code == Code::unavailable || why.code == Code::no_space;
}

template <typename T>
Result<T> leave_nothing(const Run& run, Result<T> result) {
    if (result || keeps_source(result.error(), run.settings)) return result;
    TRY_VOID(forget_import(run.settings, run.request.image));
    return result;
}

}  // namespace

std::string incoming_directory(const ImportSettings& settings) {
    return settings.directory + "/incoming";
}
std::string library_path(const ImportSettings& settings, const std::string& digest) {
    return settings.directory + "/" + digest + ".qcow2";
}

Result<std::string> accept_image(const std::string& path, const ImportSettings& settings) {
    TRY(format, read_format(path));
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) return fail(system_error("look at " + path, errno));
    if (format == ImageFormat::qcow2) {
        auto header = read_qcow2(path);
        if (!header) return fail(error(Code::invalid, "the image is no sound qcow2 file: {}", header.error().message));
        TRY_VOID(check_upload(*header, st.st_size, {.virtual_size_max = settings.virtual_size_max}));
        return std::string("qcow2");
    }
    if (format == ImageFormat::raw_disk) {
        if (st.st_size <= settings.virtual_size_max) return std::string("raw");
        return fail(Code::invalid, "the image's disk has {} bytes, at most {} are taken", st.st_size,
                    settings.virtual_size_max);
    }
    if (format == ImageFormat::unknown)
        return fail(error(Code::invalid, "the file is neither qcow2 nor a raw disk with a partition table")
                        .with_hint("a disk without partitions: qemu-img convert -f raw -O qcow2 FILE NEW"));
    return fail(
        error(Code::invalid, "the file is of the kind {}; images are taken as qcow2 or as raw disk", name_of(format))
            .with_hint("convert it where you trust it: qemu-img convert -O qcow2 FILE NEW"));
}

Result<ImportSource> receive_image(const ImportRequest& request, const ImportSettings& settings,
                                   const std::stop_token& cancel, const TellProgress& tell) {
    const Run run{request, settings, cancel, tell};
    return leave_nothing(run, [&]() -> Result<ImportSource> {
        if (cancel.stop_requested()) return fail(cancelled());
        TRY_VOID(make_directories(settings.directory, 0711));
        TRY_VOID(make_directories(incoming_directory(settings), 0700));
        return get_source(run);
    }());
}

Result<Imported> import_image(const ImportRequest& request, const ImportSource& source, const ImportSettings& settings,
                              const std::stop_token& cancel, const TellProgress& tell) {
    const Run run{request, settings, cancel, tell};
    return leave_nothing(run, cancel.stop_requested() ? Result<Imported>(fail(cancelled())) : process(run, source));
}

Result<> forget_import(const ImportSettings& settings, const Uuid& image) {
    for (const char* suffix : {"unpacked", "converted", "upload"})
        TRY_VOID(remove_file_durably(incoming_path(settings, image, suffix)));
    return forget_download(incoming_path(settings, image, "download"));
}

Result<> sweep_incoming(const ImportSettings& settings, const UnfinishedImports& unfinished, WallTime now) {
    const std::string directory = incoming_directory(settings);
    TRY(names, list_directory(directory));
    for (const auto& name : names) {
        const std::string path = directory + "/" + name;
        struct stat st {};
        if (::stat(path.c_str(), &st) != 0) continue;
        const auto dot = std::min(name.find('.'), name.size());
        const std::string kind = name.substr(dot);
        const Uuid image = Uuid::parse(name.substr(0, dot)).value_or(Uuid{});
        const bool download = kind == ".download" || kind == ".download.json";
        const bool recent = now.ms - static_cast<std::int64_t>(st.st_mtime) * 1000 < kDownloadKeptMs;
        const bool goes_on = (download || kind == ".upload") && unfinished.importing.contains(image);
        const bool may_go_on = download && recent && unfinished.failed.contains(image);
        if (!goes_on && !may_go_on) TRY_VOID(remove_file_durably(path));
    }
    return {};
}

}  // namespace axle
