// PUT …/images/NAME/content: streamed to a temporary file, synced, given the name under which the importer finds it,
// and only then acknowledged: a crash after the answer loses nothing. What was begun and not finished is removed.
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/ensure.hpp"
#include "common/base/file.hpp"
#include "common/base/io.hpp"
#include "common/base/now.hpp"
#include "common/base/space.hpp"
#include "common/base/units.hpp"
#include "orchestrator/api/exchange.hpp"
#include "orchestrator/api/mutated.hpp"
#include "orchestrator/api/render.hpp"
#include "orchestrator/core/importer.hpp"

namespace axle::api {
namespace {

// Removed unless it is given away.
class TemporaryFile {
  public:
    static Result<TemporaryFile> make(const std::string& directory) {
        std::string path = directory + "/upload-XXXXXX";
        Fd fd(::mkostemp(path.data(), O_CLOEXEC));
        if (!fd) return fail(system_error(fmt::format("a file for the upload in {}", directory), errno));
        return TemporaryFile(std::move(path), std::move(fd));
    }
    TemporaryFile(TemporaryFile&& other) noexcept : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)) {}
    TemporaryFile& operator=(TemporaryFile&&) = delete;
    ~TemporaryFile() {
        if (!path_.empty()) ::unlink(path_.c_str());
    }
    int fd() const { return fd_.get(); }
    const std::string& path() const { return path_; }
    // From now on it stands there, durably.
    Result<> become(const std::string& path) {
        KILL_POINT("upload.before-rename");
        if (io::rename_to_new(path_.c_str(), path.c_str()) != 0) {
            if (errno != EEXIST) return fail(system_error("keeping the upload", errno));
            return fail(error(Code::busy, "the content of this image comes by another upload already")
                            .with_hint("see what becomes of it: axle image show NAME"));
        }
        path_.clear();
        KILL_POINT("upload.renamed");
        auto synced = sync_directory(parent_of(path));
        if (!synced) ::unlink(path.c_str());
        KILL_POINT("upload.received");
        return synced;
    }

  private:
    TemporaryFile(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
    std::string path_;
    Fd fd_;
};

Result<> write_all(const TemporaryFile& file, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(file.fd(), bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(system_error("writing the upload", errno));
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

Error too_large(const ApiOptions& options) {
    return error(Code::too_large, "the upload has more than {}", format_bytes(options.upload_size_max))
        .with_hint("compress the image (xz, gzip, zstd), or make it smaller");
}

// An upload holds a thread and its caller's place: who sends next to nothing is cut off.
class RateGuard {
  public:
    explicit RateGuard(const ApiOptions& options) : options_(options) {}
    Result<> came(std::int64_t bytes) {
        in_window_ += bytes;
        const milliseconds span = boot_now() - began_;
        if (span < options_.upload_rate_window) return {};
        const std::int64_t rate = in_window_ * 1000 / std::max<std::int64_t>(span.count(), 1);
        if (rate < options_.upload_rate_min)
            return fail(error(Code::timeout, "the upload came with {} a second, at least {} are expected",
                              format_bytes(rate), format_bytes(options_.upload_rate_min))
                            .with_reason("too-slow")
                            .with_hint("compress the image, or put it where the server can download it: --url"));
        began_ = boot_now();
        in_window_ = 0;
        return {};
    }

  private:
    const ApiOptions& options_;
    BootTime began_ = boot_now();
    std::int64_t in_window_ = 0;
};

Result<> check_length(const http::BodyStream& body, const ApiOptions& options) {
    const std::int64_t length = body.length().value_or(0);
    if (length > options.upload_size_max) return fail(too_large(options));
    return check_space(options.upload_directory, options.upload_keep_free, length);
}

Result<> receive(http::BodyStream& body, const ApiOptions& options, const Uuid& image) {
    TRY_VOID(check_length(body, options));
    const std::string& directory = options.upload_directory;
    TRY(file, TemporaryFile::make(directory));
    SpaceWatch space(directory, options.upload_keep_free);
    RateGuard rate(options);
    std::int64_t received = 0;
    while (true) {
        TRY(piece, body.read());
        if (piece.empty()) break;
        const auto size = static_cast<std::int64_t>(piece.size());
        received += size;
        if (received > options.upload_size_max) return fail(too_large(options));
        TRY_VOID(rate.came(size));
        TRY_VOID(space.before(size));
        TRY_VOID(write_all(file, piece));
    }
    if (received == 0)
        return fail(error(Code::malformed, "the upload has 0 bytes")
                        .with_hint("send the bytes of the image's file as the body of the request"));
    if (::fsync(file.fd()) != 0) return fail(system_error("syncing the upload", errno));
    return file.become(directory + "/" + upload_name(image));
}

// By id: another image may have the name by now.
void hand_over(Exchange& x, const Uuid& image) {
    x.on_core([image](Exchange& core_side) {
        Locator what = core_side.target();
        what.name = image.str();
        const std::string file = core_side.context().options.upload_directory + "/" + upload_name(image);
        core_side.service().image_uploaded(
            core_side.who(), std::move(what), [self = core_side.shared_from_this(), file](Result<Mutated> done) {
                self->on_worker([done = std::move(done), file](Exchange& then) {
                    if (!done) {
                        ::unlink(file.c_str());
                        return then.refuse(done.error());
                    }
                    http::Response response = json_response(done->task ? 202 : 200, object_text(*done));
                    if (done->task) response.headers.set("Location", task_location(done->task));
                    then.answer(std::move(response));
                });
            });
    });
}

// The image is there and may be written by this caller: now the bytes are worth reading.
void receive_on_own_thread(Exchange& x, const Uuid& image) {
    const Places::Ticket place = x.context().uploading.take(x.who().name);
    if (!place)
        return x.refuse(error(Code::exhausted, "{} has {} uploads under way already", x.who().name,
                              x.context().uploading.each_max())
                            .with_hint("wait for one of them"));
    const bool taken = x.context().uploads.submit([self = x.shared_from_this(), image, place] {
        const auto received = receive(*self->request.body_stream, self->context().options, image);
        self->request.body_stream = nullptr;
        if (!received) return self->refuse(received.error());
        hand_over(*self, image);
    });
    if (!taken)
        x.refuse(error(Code::exhausted, "too many uploads wait already").with_hint("try again when some are through"));
}

}  // namespace

void handle_upload(const ExchangePtr& x) {
    if (auto fine = x->only_parameters({}); !fine) return x->refuse(fine.error());
    if (x->request.body_stream == nullptr || x->context().options.upload_directory.empty())
        return x->refuse(error(Code::unavailable, "this server takes no uploads").with_hint("import by URL instead"));
    if (x->who().role == Role::viewer)
        return x->refuse(error(Code::forbidden, "{} is a viewer and changes nothing", x->who().name));
    x->reply().set_deadline(milliseconds{600'000});
    x->on_core([](Exchange& core_side) {
        core_side.service().check_upload(core_side.who(), core_side.target(),
                                         [self = core_side.shared_from_this()](Result<Viewed> image) {
                                             self->on_worker([image = std::move(image)](Exchange& then) {
                                                 if (!image) return then.refuse(image.error());
                                                 receive_on_own_thread(then, image->object->meta.id);
                                             });
                                         });
    });
}

}  // namespace axle::api
