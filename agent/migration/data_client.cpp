#include "agent/migration/data_client.hpp"

#include <cerrno>
#include <condition_variable>
#include <fcntl.h>
#include <mutex>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/migration/data_path.hpp"
#include "common/base/digest.hpp"
#include "common/base/file.hpp"
#include "common/base/now.hpp"
#include "common/base/pieces.hpp"
#include "common/link/join_string.hpp"
#include "common/link/refusal.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

constexpr milliseconds kTellEvery{500};
constexpr milliseconds kSilence{120'000};  // above the port's reply_time

// Who shows no good certificate is not let in either.
Code code_of(int status) {
    const Code code = code_of_refusal(status);
    return code == Code::unauthenticated ? Code::forbidden : code;
}

Result<> taken(const DataTarget& target, const Result<http::Response>& answer) {
    if (!answer) return fail(answer.error());
    if (answer->status == 204) return {};
    const Error refused = error_of_refusal(*answer);
    return fail(error(code_of(answer->status), "host {} refuses: {}", target.host.str(), refused.message)
                    .with_hint(refused.hint));
}

Error given_up(const std::string& path) {
    return error(Code::conflict, "sending {} was given up, as asked", path);
}

Result<std::string> sum_of(int fd, const std::string& path, const std::stop_token& stop) {
    Digest digest;
    TRY_VOID(read_through(fd, path, [&](std::string_view piece) -> Result<> {
        if (stop.stop_requested()) return fail(given_up(path));
        digest.update(piece);
        return {};
    }));
    return digest.finish_hex();
}

// Called after each piece: tells of the progress, keeps to the bandwidth, and says whether to go on.
class Pace {
  public:
    Pace(const CopyOptions& options, std::int64_t size) : options_(options), size_(size) {}
    bool go_on(std::int64_t sent) {
        if (options_.stop.stop_requested()) return false;
        const BootTime now = boot_now();
        if (options_.progress && (sent == size_ || now - told_ >= kTellEvery)) {
            told_ = now;
            options_.progress(sent);
        }
        if (options_.bandwidth > 0) {
            const milliseconds due{sent * 1'000 / options_.bandwidth};
            if (const auto early = due - (now - began_); early > milliseconds{0})
                wait(std::min<milliseconds>(early, kTellEvery));
        }
        return true;
    }

  private:
    void wait(milliseconds span) {  // a stop ends it
        std::unique_lock lock(mutex_);
        stopped_.wait_for(lock, options_.stop, span, [] { return false; });
    }

    std::mutex mutex_;
    std::condition_variable_any stopped_;
    const CopyOptions& options_;
    const std::int64_t size_;
    const BootTime began_ = boot_now();
    BootTime told_ = began_;
};

}  // namespace

DataTarget target_of(VmId vm, const VmMove& move) {
    return {.address = move.address, .host = move.peer, .vm = vm, .ticket = move.ticket};
}

DataClient::DataClient(Loop& io, std::function<Result<DataIdentity>()> identity)
    : io_(io), identity_(std::move(identity)) {}

Result<http::Client> DataClient::dial(const DataTarget& target) const {
    TRY(identity, identity_());
    TRY(endpoint, http::Endpoint::parse("https://" + target.address, kDataPort));
    return http::Client({.endpoint = endpoint,
                         .authority = identity.authority,
                         .expected_uri = kHostUriPrefix + target.host.str(),
                         .tls13_only = true,
                         .certificate = identity.certificate,
                         .key = identity.key,
                         .timeout = kSilence});
}

Result<ByteStream> DataClient::open(const DataTarget& target, const std::string& stream) const {
    TRY(client, dial(target));
    auto socket = client.websocket(write_data_path({.vm = target.vm, .stream = stream}),
                                   {{kTicketHeader, target.ticket}}, stream_options());
    if (!socket) {
        Error refused = std::move(socket.error());
        constexpr std::string_view kStatus = "http-";
        if (refused.reason.starts_with(kStatus))
            refused.code = code_of(std::atoi(refused.reason.c_str() + kStatus.size()));
        return fail(std::move(refused));
    }
    const auto state = make_stream_state(io_);
    return ByteStream(state, socket->hand_over(io_, handlers_of(state)));
}

Result<> DataClient::send_volume(const DataTarget& target, VolumeId volume, const std::string& path,
                                 const CopyOptions& options) const {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) return fail(system_error("open " + path, errno));
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return fail(system_error("look at " + path, errno));
    TRY(sum, sum_of(fd.get(), path, options.stop));
    TRY(client, dial(target));
    Pace pace(options, st.st_size);
    const auto answer =
        client.upload("PUT", write_data_path({.vm = target.vm, .stream = kVolumeStream, .volume = volume}),
                      {{kTicketHeader, target.ticket}, {kSumHeader, sum}}, fd.get(), st.st_size,
                      [&pace](std::int64_t sent) { return pace.go_on(sent); });
    if (!answer && options.stop.stop_requested()) return fail(given_up(path));
    return taken(target, answer);
}

Result<> DataClient::tell_handed_over(const DataTarget& target, Epoch epoch) const {
    TRY(client, dial(target));
    return taken(target, client.request("POST", write_data_path({.vm = target.vm, .stream = kHandedOverStream}),
                                        {{kTicketHeader, target.ticket}, {"Content-Type", "application/json"}},
                                        to_json_text(epoch)));
}

}  // namespace axle
