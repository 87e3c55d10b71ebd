#include "common/http/target_reader.hpp"

#include <httplib.h>

namespace axle::http {

namespace {
// The request as cpp-httplib sees it: only the line with the target. Headers and body are ours already, judged by the
// framer: cpp-httplib 0.11 would percent-decode header values, run regular expressions over hostile ones, and unpack
// bodies without a limit.
struct MemoryStream final : httplib::Stream {
    explicit MemoryStream(std::string_view bytes) : in(bytes) {}
    bool is_readable() const override { return !in.empty(); }
    bool is_writable() const override { return true; }
    ssize_t read(char* to, size_t room) override {
        room = in.copy(to, room);
        in.remove_prefix(room);
        return static_cast<ssize_t>(room);
    }
    ssize_t write(const char*, size_t size) override { return static_cast<ssize_t>(size); }
    void get_remote_ip_and_port(std::string&, int&) const override {}
    void get_local_ip_and_port(std::string&, int&) const override {}
    socket_t socket() const override { return -1; }

    std::string_view in;
};
}  // namespace

struct TargetReader::Impl : httplib::Server {
    Impl() {
        set_pre_routing_handler([](const auto&, auto&) { return HandlerResponse::Handled; });
    }
    bool read(const std::string& head, Request& request) {
        MemoryStream stream(head);
        bool closed = false, understood = false;
        process_request(stream, false, closed, [&](httplib::Request& parsed) {
            understood = true;
            request.path = std::move(parsed.path);
            for (auto& [name, value] : parsed.params) request.query.emplace_back(name, std::move(value));
        });
        return understood;
    }
};

TargetReader::TargetReader() : impl_(std::make_unique<Impl>()) {}
TargetReader::~TargetReader() = default;

bool TargetReader::read(std::string_view target, Request& request) const {
    std::string head = "GET ";
    head += target;
    head += " HTTP/1.1\r\nHost: axle\r\n\r\n";
    return impl_->read(head, request);
}

}  // namespace axle::http
