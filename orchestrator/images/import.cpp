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
#include "common/fetch/download.hpp"
#include "common/fetch/unpack.hpp"
#include "orchestrator/images/catalogue.hpp"
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

Result<std::string> digest_of(const std::string& path, const char* kind, const std::stop_token& cancel) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail(system_error("open " + path, errno));
    Digest digest(kind);
    std::string piece(1 << 20, '\0');
    for (;;) {
        if (cancel.stop_requested()) return fail(cancelled());
        const ssize_t n = ::read(fd.get(), piece.data(), piece.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(system_error("read " + path, errno));
        if (n == 0) return digest.finish_hex();
        digest.update(std::string_view(piece).substr(0, static_cast<std::size_t>(n)));
    }
}

Result<> verify(const std::string& path, const Checksum& expected, const std::stop_token& cancel) {
    if (expected.kind.empty()) return {};
    TRY(found, digest_of(path, expected.kind.c_str(), cancel));
    if (found == expected.hex) return {};
    return fail(error(Code::invalid, "the image's {} is {}, expected was {}", expected.kind, found, expected.hex)
                    .with_hint("it was changed or damaged on its way, or the checksum is of another version")
                    .with_reason("checksum-mismatch"));
}

// What one import knows while it goes on.
struct Run {
    const ImportRequest& request;
    const ImportSettings& settings;
    const std::stop_token& cancel;
    const ImportProgress& progress;
    std::string url, source;
    Checksum checksum;
};

Result<> look_up(Run& run) {
    TRY(checksum, parse_checksum(run.request.checksum));
    run.checksum = checksum;
    run.url = run.request.url;
    const CatalogueEntry* entry = find_in_catalogue(run.url);
    if (entry != nullptr) {
        run.url = entry->url;
        if (!run.checksum.kind.empty()) return {};
        TRY(sums, download_text(std::string(entry->sums_url), run.cancel));
        TRY(hex, checksum_in(sums, entry->url.substr(entry->url.rfind('/') + 1)));
        TRY(published, parse_checksum(fmt::format("{}:{}", entry->sums_kind, hex)));
        run.checksum = published;
    } else if (!run.url.starts_with("http://") && !run.url.starts_with("https://")) {
        return fail(error(Code::invalid, "\"{}\" is no http or https URL and no name of the catalogue", run.url)
                        .with_hint("upload a file of your own: axle image create NAME --file PATH"));
    }
    return {};
}

Result<> get_source(Run& run) {
    if (run.request.url.empty()) {
        TRY(checksum, parse_checksum(run.request.checksum));
        run.checksum = checksum;
        run.source = incoming_directory(run.settings) + "/" + upload_name(run.request.image);
        if (file_exists(run.source)) return {};
        return fail(error(Code::not_found, "the upload was interrupted: its bytes aren't there")
                        .with_hint("upload the file again")
                        .with_reason("interrupted"));
    }
    TRY_VOID(look_up(run));
    run.source = incoming_path(run.settings, run.request.image, "download");
    TRY(size, download({.url = run.url,
                        .path = run.source,
                        .size_max = run.settings.source_size_max,
                        .from_this_machine = run.request.from_this_machine,
                        .cancel = run.cancel,
                        .progress = run.progress}));
    KILL_POINT("import.downloaded");
    return size > 0 ? Result<>{} : fail(Code::invalid, "{} is empty", run.url);
}

// The source itself, or what it unpacks to.
Result<std::string> unpacked(const Run& run) {
    TRY(format, read_format(run.source));
    if (!is_compressed(format)) return run.source;
    const std::string path = incoming_path(run.settings, run.request.image, "unpacked");
    TRY_VOID(unpack({.from = run.source,
                     .to = path,
                     .size_max = run.settings.source_size_max,
                     .cancel = run.cancel,
                     .progress = run.progress}));
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
    if (io::rename_to_new(converted.c_str(), path.c_str()) != 0 && errno != EEXIST)
        return fail(system_error("rename " + converted, errno));
    KILL_POINT("import.published");
    TRY_VOID(sync_directory(run.settings.directory));
    return image;
}

Result<Imported> process(Run& run) {
    TRY_VOID(verify(run.source, run.checksum, run.cancel));
    TRY(source_format, read_format(run.source));
    TRY(path, unpacked(run));
    const Leftover unpacked_file(path == run.source ? "" : path);
    TRY(format, accept_image(path, run.settings));
    const std::string converted = incoming_path(run.settings, run.request.image, "converted");
    const Leftover converted_file(converted);
    TRY_VOID(convert_image(
        {.source = path, .format = format, .target = converted, .cancel = run.cancel, .progress = run.progress},
        run.settings));
    KILL_POINT("import.converted");
    TRY(image, publish(run, converted));
    image.source_format = format;
    if (is_compressed(source_format)) image.source_format += fmt::format(" in {}", name_of(source_format));
    return image;
}

// Whether what came is still of use: until the success is recorded, and for a later try of the same.
bool keeps_source(const Result<Imported>& result, const ImportSettings& settings) {
    if (result) return true;
    if (result.error().reason == "cancelled") return *settings.stopping;
    return result.error().code == Code::unavailable || result.error().code == Code::no_space;
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

Result<Imported> import_image(const ImportRequest& request, const ImportSettings& settings,
                              const std::stop_token& cancel, const ImportProgress& progress) {
    if (cancel.stop_requested()) {
        if (!*settings.stopping) TRY_VOID(forget_import(settings, request.image));
        return fail(cancelled());
    }
    TRY_VOID(make_directories(settings.directory, 0711));
    TRY_VOID(make_directories(incoming_directory(settings), 0700));
    Run run{.request = request, .settings = settings, .cancel = cancel, .progress = progress};
    auto result = [&]() -> Result<Imported> {
        TRY_VOID(get_source(run));
        return process(run);
    }();
    if (keeps_source(result, settings)) return result;
    TRY_VOID(forget_import(settings, request.image));
    return result;
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
