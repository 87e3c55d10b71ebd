#include "agent/link/image_fetch.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.hpp"
#include "common/base/now.hpp"
#include "common/link/refusal.hpp"

namespace axle {
namespace {

constexpr milliseconds kSilence{60'000}, kProgressEvery{200};

Error refusal_of(const http::Response& response) {
    return error(response.status == 403 ? Code::forbidden : Code::unavailable, "the orchestrator gives no image: {}",
                 error_of_refusal(response).message);
}

// Appends to a file from one byte on.
class Sink {
  public:
    Sink(int fd, std::int64_t at, const ImageFetch& wish) : fd_(fd), at_(at), wish_(wish) {}
    bool take(std::string_view piece) {
        while (!piece.empty()) {
            const ssize_t n = ::pwrite(fd_, piece.data(), piece.size(), at_);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return trouble_ = errno, false;
            at_ += n;
            piece.remove_prefix(static_cast<std::size_t>(n));
        }
        if (wish_.progress && boot_now() - told_ >= kProgressEvery) {
            told_ = boot_now();
            wish_.progress(at_);
        }
        return true;
    }
    int trouble() const { return trouble_; }

  private:
    int fd_;
    std::int64_t at_;
    const ImageFetch& wish_;
    int trouble_ = 0;
    BootTime told_;
};

Result<> fetch_from(const HostIdentity& identity, const std::string& endpoint_text, const ImageFetch& wish, int fd) {
    TRY(endpoint, http::Endpoint::parse(endpoint_text));
    http::Client client(client_options(identity, endpoint));
    http::Headers headers;
    if (wish.have > 0) headers.add("Range", fmt::format("bytes={}-", wish.have));
    Sink sink(fd, wish.have, wish);
    TRY(answer,
        client.download(
            kImagesPath + wish.digest, headers, [&](std::string_view piece) { return sink.take(piece); }, kSilence));
    if (sink.trouble() != 0) return fail(system_error("write " + wish.path, sink.trouble()));
    if (answer.status != (wish.have > 0 ? 206 : 200)) return fail(refusal_of(answer));
    return {};
}

}  // namespace

Result<> fetch_from_orchestrator(const HostIdentity& identity, const ImageFetch& wish) {
    const Fd fd(::open(wish.path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return fail(system_error("open " + wish.path, errno));
    if (::ftruncate(fd.get(), wish.have) != 0) return fail(system_error("shorten " + wish.path, errno));
    Result<> fetched = fail(Code::unavailable, "no orchestrator is known");
    for (const std::string& endpoint : identity.endpoints) {
        fetched = fetch_from(identity, endpoint, wish, fd.get());
        // What came from one can't be gone on with at another in this call: its length has changed.
        if (fetched || fetched.error().code != Code::unavailable) return fetched;
        struct stat st {};
        if (::fstat(fd.get(), &st) == 0 && st.st_size != wish.have) return fetched;
    }
    return fetched;
}

}  // namespace axle
