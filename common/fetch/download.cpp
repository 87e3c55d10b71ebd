#include "common/fetch/download.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <mutex>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "common/base/file.hpp"
#include "common/base/space.hpp"
#include "common/base/units.hpp"
#include "common/model/codec.hpp"

namespace axle {

// What of a partial file is surely on disk, and by what the server can tell that its own is still the same.
struct DownloadState {
    std::string url, validator;  // strong ETag, or Last-Modified
    std::int64_t synced = 0;
    bool complete = false;
};
template <class V>
void describe(DownloadState& v, V&& field) {
    field("url", v.url, {});
    field("validator", v.validator, {});
    field("synced", v.synced, {});
    field("complete", v.complete, {});
}

namespace {

constexpr std::int64_t kSyncEvery = std::int64_t{64} << 20;
constexpr long kRedirectsMax = 5;

std::string state_path(const std::string& path) {
    return path + ".json";
}

bool is_of_this_machine(const in_addr& a) {
    const std::uint32_t address = ntohl(a.s_addr);
    const bool link = address >> 16 == 0xa9fe;
    return address >> 24 == 127 || address >> 24 == 0 || link || address >> 28 >= 0xe;  // 224/4: to many, reserved
}
bool is_of_this_machine(const sockaddr& address) {
    if (address.sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &address, sizeof v4);
        return is_of_this_machine(v4.sin_addr);
    }
    if (address.sa_family != AF_INET6) return true;
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    const in6_addr& a = v6.sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&a) || IN6_IS_ADDR_V4COMPAT(&a)) {
        in_addr v4{};
        std::memcpy(&v4, a.s6_addr + 12, sizeof v4);
        return is_of_this_machine(v4);
    }
    return IN6_IS_ADDR_LOOPBACK(&a) || IN6_IS_ADDR_UNSPECIFIED(&a) || IN6_IS_ADDR_LINKLOCAL(&a) ||
           IN6_IS_ADDR_MULTICAST(&a);
}
bool has_proxy() {
    return std::ranges::any_of(std::array{"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"},
                               [](const char* name) {
                                   const char* value = std::getenv(name);
                                   return value != nullptr && *value != '\0';
                               });
}

class Transfer {
  public:
    Transfer(const DownloadSpec& spec, int fd) : spec_(spec), fd_(fd), space_(spec.path, spec.keep_free) {}
    Result<std::int64_t> run();

  private:
    using Handle = std::unique_ptr<CURL, void (*)(CURL*)>;
    static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self);
    static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self);
    static curl_socket_t on_connect(void* self, curlsocktype purpose, curl_sockaddr* address);
    static int on_progress(void* self, curl_off_t all, curl_off_t now, curl_off_t, curl_off_t);
    void read_header(std::string_view line);
    Result<> write(std::string_view piece);
    Result<> begin_body();
    Result<> mark_synced();
    void set_up(curl_slist** headers);
    Result<> judge(CURLcode code, const char* words);
    bool stopped() const { return spec_.cancel.stop_requested(); }

    const DownloadSpec& spec_;
    int fd_;
    SpaceWatch space_;
    Handle curl_{nullptr, ::curl_easy_cleanup};
    DownloadState state_;
    std::int64_t offset_ = 0, resumed_ = 0, all_ = 0;
    std::string etag_, last_modified_;
    bool body_begun_ = false;
    std::optional<Error> failed_;
};

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() &&
           std::ranges::equal(text.substr(0, prefix.size()), prefix,
                              [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
}

std::string value_of(std::string_view line) {
    line.remove_prefix(line.find(':') + 1);
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n' || line.back() == ' ')) line.remove_suffix(1);
    return std::string(line);
}

void Transfer::read_header(std::string_view line) {
    if (line.starts_with("HTTP/")) {  // of each answer on the way, redirects too
        etag_.clear();
        last_modified_.clear();
    } else if (starts_with_ignoring_case(line, "etag:")) {
        etag_ = value_of(line);
    } else if (starts_with_ignoring_case(line, "last-modified:")) {
        last_modified_ = value_of(line);
    }
}

std::size_t Transfer::on_header(char* data, std::size_t size, std::size_t count, void* self) {
    static_cast<Transfer*>(self)->read_header({data, size * count});
    return size * count;
}

// The first bytes of the body: is it the rest of what we have, or the whole anew?
Result<> Transfer::begin_body() {
    body_begun_ = true;
    long status = 0;
    ::curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    curl_off_t length = -1;
    ::curl_easy_getinfo(curl_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (status != 206) {
        offset_ = resumed_ = state_.synced = 0;
        if (::ftruncate(fd_, 0) != 0) return fail(system_error("empty " + spec_.path, errno));
    }
    all_ = length >= 0 ? offset_ + length : 0;
    state_.url = spec_.url;
    state_.validator = !etag_.empty() && !etag_.starts_with("W/") ? etag_ : last_modified_;
    if (all_ > spec_.size_max)
        return fail(error(Code::too_large, "{} has {}, at most {} are taken", spec_.url, format_bytes(all_),
                          format_bytes(spec_.size_max)));
    return check_space(spec_.path, spec_.keep_free, std::max<std::int64_t>(all_ - offset_, 0));
}

Result<> Transfer::mark_synced() {
    if (::fsync(fd_) != 0) return fail(system_error("sync " + spec_.path, errno));
    state_.synced = offset_;
    if (state_.validator.empty()) return {};
    return write_file_durably(state_path(spec_.path), to_json_text(state_));
}

Result<> Transfer::write(std::string_view piece) {
    if (!body_begun_) TRY_VOID(begin_body());
    if (offset_ + static_cast<std::int64_t>(piece.size()) > spec_.size_max)
        return fail(Code::too_large, "{} has more than {}", spec_.url, format_bytes(spec_.size_max));
    TRY_VOID(space_.before(static_cast<std::int64_t>(piece.size())));
    while (!piece.empty()) {
        const ssize_t n = ::pwrite(fd_, piece.data(), piece.size(), offset_);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(system_error("write " + spec_.path, errno));
        piece.remove_prefix(static_cast<std::size_t>(n));
        offset_ += n;
    }
    return offset_ - state_.synced >= kSyncEvery ? mark_synced() : Result<>{};
}

std::size_t Transfer::on_body(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    long status = 0;
    ::curl_easy_getinfo(transfer.curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status >= 300) return size * count;  // words of a server about its refusal
    const auto written = transfer.write({data, size * count});
    if (written) return size * count;
    transfer.failed_ = written.error();
    return 0;
}

int Transfer::on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    const auto& transfer = *static_cast<Transfer*>(self);
    if (transfer.spec_.progress) transfer.spec_.progress(transfer.offset_, transfer.all_);
    return transfer.stopped() ? 1 : 0;
}

// Asked before each connection, so that neither a name nor a redirect gets past it.
curl_socket_t Transfer::on_connect(void* self, curlsocktype, curl_sockaddr* address) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (is_of_this_machine(address->addr)) {
        transfer.failed_ =
            error(Code::forbidden, "{} leads to an address of the server itself", transfer.spec_.url)
                .with_hint("upload the file (axle image create NAME --file PATH), or let an administrator import it");
        return CURL_SOCKET_BAD;
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void Transfer::set_up(curl_slist** headers) {
    CURL* curl = curl_.get();
    const char* protocols = spec_.url.starts_with("https:") ? "https" : "http,https";
    ::curl_easy_setopt(curl, CURLOPT_URL, spec_.url.c_str());
    ::curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    ::curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    ::curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    ::curl_easy_setopt(curl, CURLOPT_MAXREDIRS, kRedirectsMax);
    ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    ::curl_easy_setopt(curl, CURLOPT_USERAGENT, "axle/" AXLE_VERSION);
    ::curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, static_cast<long>(spec_.connect_limit.count()));
    ::curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(spec_.bytes_a_second_min));
    ::curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(spec_.stall_limit.count()));
    ::curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
    ::curl_easy_setopt(curl, CURLOPT_HEADERDATA, this);
    ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
    ::curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    ::curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
    ::curl_easy_setopt(curl, CURLOPT_XFERINFODATA, this);
    if (!spec_.from_this_machine && !has_proxy()) {
        ::curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &Transfer::on_connect);
        ::curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, this);
    }
    if (resumed_ == 0) return;
    // If-Range: the rest if it is still the same file, else all of it.
    *headers = ::curl_slist_append(*headers, ("If-Range: " + state_.validator).c_str());
    ::curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers);
    ::curl_easy_setopt(curl, CURLOPT_RANGE, fmt::format("{}-", resumed_).c_str());
}

Result<> Transfer::judge(CURLcode code, const char* words) {
    if (stopped()) return fail(error(Code::conflict, "the download was cancelled").with_reason("cancelled"));
    if (failed_) return fail(*failed_);
    long status = 0;
    ::curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_UNSUPPORTED_PROTOCOL)
        return fail(error(Code::invalid, "{} is, or leads to, something else than http or https: {}", spec_.url, words)
                        .with_hint("give the address of the file itself"));
    if (code == CURLE_URL_MALFORMAT) return fail(Code::invalid, "\"{}\" is no URL: {}", spec_.url, words);
    if (code == CURLE_TOO_MANY_REDIRECTS)
        return fail(Code::invalid, "{} leads through more than {} redirects", spec_.url, kRedirectsMax);
    if (code != CURLE_OK)
        return fail(
            error(Code::unavailable, "{} can't be downloaded: {}", spec_.url,
                  words[0] != '\0' ? words : ::curl_easy_strerror(code))
                .with_hint("check network, name service and proxy of this machine; it goes on where it stopped"));
    if (status == 404 || status == 410) return fail(Code::not_found, "{} isn't there (HTTP {})", spec_.url, status);
    if (status >= 300) return fail(Code::unavailable, "{} was refused by its server (HTTP {})", spec_.url, status);
    return {};
}

Result<std::int64_t> Transfer::run() {
    curl_.reset(::curl_easy_init());
    if (!curl_) return fail(Code::internal, "libcurl could not be started");
    const auto text = read_file(state_path(spec_.path), 64 << 10);
    const auto state = text ? from_json_text<DownloadState>(*text) : Result<DownloadState>(DownloadState{});
    struct stat st {};
    if (state && state->url == spec_.url && !state->validator.empty() && ::fstat(fd_, &st) == 0 &&
        st.st_size >= state->synced) {
        state_ = *state;
        offset_ = resumed_ = state_.synced;
    }
    if (state_.complete && st.st_size == state_.synced) return state_.synced;  // a crash came after it
    state_.complete = false;
    // Beyond what was synced there may be anything after a power cut.
    if (::ftruncate(fd_, resumed_) != 0) return fail(system_error("cut " + spec_.path, errno));
    curl_slist* headers = nullptr;
    char words[CURL_ERROR_SIZE] = "";
    ::curl_easy_setopt(curl_.get(), CURLOPT_ERRORBUFFER, words);
    set_up(&headers);
    const CURLcode code = ::curl_easy_perform(curl_.get());
    ::curl_slist_free_all(headers);
    auto judged = judge(code, words);
    if (judged && !body_begun_) judged = begin_body();  // a file of no bytes at all
    if (!judged) {
        const Code why = judged.error().code;
        const bool resumable = why == Code::unavailable || why == Code::no_space || stopped();
        if (resumable && body_begun_) (void)mark_synced();
        return fail(std::move(judged.error()));
    }
    state_.complete = true;
    TRY_VOID(mark_synced());
    return offset_;
}

void start_curl() {
    static std::once_flag once;
    std::call_once(once, [] { ::curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace

Result<std::int64_t> download(const DownloadSpec& spec) {
    start_curl();
    Result<std::int64_t> result = std::int64_t{0};
    {
        const Fd fd(::open(spec.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!fd) return fail(system_error("create " + spec.path, errno));
        result = Transfer(spec, fd.get()).run();
    }
    if (!result && result.error().code != Code::unavailable && result.error().code != Code::no_space &&
        result.error().reason != "cancelled")
        (void)forget_download(spec.path);
    return result;
}

Result<std::string> download_text(const std::string& url, std::stop_token cancel) {
    start_curl();
    const std::string name = "/tmp/axle-text-XXXXXX";
    std::string path = name;
    const Fd made(::mkstemp(path.data()));
    if (!made) return fail(system_error("create " + name, errno));
    auto size = download({.url = url, .path = path, .size_max = 1 << 20, .cancel = std::move(cancel)});
    Result<std::string> text = size ? read_file(path) : Result<std::string>(fail(size.error()));
    (void)forget_download(path);
    return text;
}

Result<> forget_download(const std::string& path) {
    TRY_VOID(remove_file_durably(path));
    return remove_file_durably(state_path(path));
}

}  // namespace axle
