// PUT …/images/NAME/content: streamed to a temporary file, synced, then handed to the core's importer. What was begun
// and not finished is removed.
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/file.hpp"
#include "orchestrator/api/exchange.hpp"
#include "orchestrator/api/mutated.hpp"
#include "orchestrator/api/render.hpp"

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
    std::string give_away() { return std::exchange(path_, {}); }

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

Result<std::string> receive(http::BodyStream& body, const std::string& directory) {
    TRY(file, TemporaryFile::make(directory));
    std::int64_t received = 0;
    while (true) {
        TRY(piece, body.read());
        if (piece.empty()) break;
        received += static_cast<std::int64_t>(piece.size());
        TRY_VOID(write_all(file, piece));
    }
    if (received == 0)
        return fail(error(Code::malformed, "the upload has 0 bytes")
                        .with_hint("send the bytes of the image's file as the body of the request"));
    if (::fsync(file.fd()) != 0) return fail(system_error("syncing the upload", errno));
    TRY_VOID(sync_directory(directory));
    return file.give_away();
}

void hand_over(Exchange& x, std::string file) {
    x.on_core([file = std::move(file)](Exchange& core_side) {
        core_side.service().image_uploaded(core_side.who(), core_side.target(), file,
                                           [self = core_side.shared_from_this(), file](Result<Mutated> done) {
                                               self->on_worker([done = std::move(done), file](Exchange& then) {
                                                   if (!done) {
                                                       ::unlink(file.c_str());
                                                       return then.refuse(done.error());
                                                   }
                                                   http::Response response =
                                                       json_response(done->task ? 202 : 200, object_text(*done));
                                                   if (done->task)
                                                       response.headers.set("Location", task_location(done->task));
                                                   then.answer(std::move(response));
                                               });
                                           });
    });
}

// The image is there and may be written by this caller: now the bytes are worth reading.
void receive_on_own_thread(Exchange& x) {
    const bool taken = x.context().slow.submit([self = x.shared_from_this()] {
        auto file = receive(*self->request.body_stream, self->context().options.upload_directory);
        self->request.body_stream = nullptr;
        if (!file) return self->refuse(file.error());
        hand_over(*self, std::move(*file));
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
        core_side.service().get(core_side.who(), core_side.target(),
                                [self = core_side.shared_from_this()](Result<Viewed> image) {
                                    self->on_worker([image = std::move(image)](Exchange& then) {
                                        if (!image) return then.refuse(image.error());
                                        receive_on_own_thread(then);
                                    });
                                });
    });
}

}  // namespace axle::api
