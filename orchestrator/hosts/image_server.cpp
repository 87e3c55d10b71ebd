#include "orchestrator/hosts/image_server.hpp"

#include <charconv>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.hpp"
#include "common/link/refusal.hpp"

namespace axle {
namespace {

constexpr std::size_t kPiece = 256 << 10;

void send_pieces(int fd, std::int64_t from, http::Stream stream, const std::atomic<bool>& stopping) {
    for (std::int64_t at = from;;) {
        std::string piece(kPiece, '\0');
        const ssize_t n = ::pread(fd, piece.data(), piece.size(), at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return stream.abort("the image can't be read");
        if (n == 0) return stream.close();
        piece.resize(static_cast<std::size_t>(n));
        if (stopping) return stream.abort("the orchestrator stops");
        if (!stream.write_when_room(std::move(piece))) return;
        at += n;
    }
}

void send_file(const std::string& file, std::int64_t from, http::Reply& reply, const std::atomic<bool>& stopping) {
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat about {};
    if (!fd || ::fstat(fd.get(), &about) != 0)
        return reply.send(refusal(error(Code::not_found, "the orchestrator has lost the file of this image")
                                      .with_hint("import the image again")));
    if (from > about.st_size)
        return reply.send(refusal(error(Code::precondition, "the image has {} bytes, not {}", about.st_size, from)));
    http::StreamHead head{.status = from > 0 ? 206 : 200,
                          .headers = {{"Content-Type", "application/octet-stream"}},
                          .length = about.st_size - from};
    if (from > 0)
        head.headers.add("Content-Range", fmt::format("bytes {}-{}/{}", from, about.st_size - 1, about.st_size));
    send_pieces(fd.get(), from, reply.stream(std::move(head)), stopping);
}

}  // namespace

Result<std::int64_t> range_start(const std::string& header) {
    if (header.empty()) return 0;
    constexpr std::string_view kBytes = "bytes=";
    std::int64_t from = -1;
    if (header.starts_with(kBytes) && header.ends_with('-')) {
        const char* const begin = header.data() + kBytes.size();
        const char* const end = header.data() + header.size() - 1;
        if (std::from_chars(begin, end, from).ptr != end) from = -1;
    }
    if (from < 0) return fail(Code::malformed, "of ranges only \"bytes=N-\" is given");
    return from;
}

ImageServer::ImageServer()
    : workers_("image sends", {.threads = 4, .queue_max = 4096, .lane_running_max = 1, .lane_queue_max = 16}) {}

ImageServer::~ImageServer() {
    stop();
}

void ImageServer::stop() {
    *stopping_ = true;
    workers_.stop();
}

void ImageServer::send(const std::string& host, const std::string& file, std::int64_t from,
                       const std::shared_ptr<http::Reply>& reply) {
    const bool taken =
        workers_.submit(host, [file, from, reply, stopping = stopping_] { send_file(file, from, *reply, *stopping); });
    if (!taken) reply->send(refusal(error(Code::exhausted, "too many images are being sent").with_hint("try later")));
}

}  // namespace axle
