// Bytes between a caller and a guest's host: serial console, VNC, tunnel (WebSockets), log (a stream), screenshot.
#include "orchestrator/api/exchange.hpp"
#include "orchestrator/api/render.hpp"

namespace axle::api {
namespace {

constexpr std::size_t kScreenshotMax = 32 << 20;
constexpr std::size_t kEarlyMax = 1 << 20;  // what the guest may say before the caller's side stands

// The host's word, where it gave none of ours.
Error error_of(const std::string& why) {
    return axle::error(Code::unavailable, "{}", why).with_reason("stream-failed");
}

// One open stream. Core thread, but for the callbacks of the caller's side, which post.
struct Tunnel : OpenStream, std::enable_shared_from_this<Tunnel> {
    explicit Tunnel(ExchangePtr exchange) : x(std::move(exchange)), login(x->login) {}

    ExchangePtr x;  // until the caller's side stands
    const Login login;
    std::shared_ptr<Api::Context> context = x->shared_context();
    Places::Ticket place;
    StreamQuery query;
    StreamId stream = 0;
    bool open = false, closed = false;
    std::string early;  // data that came before the caller's side stood
    std::string error;
    http::WebSocket socket;
    http::Stream download;
    std::string picture;

    void on_data(std::string bytes);
    void on_closed(std::string why);
    void stand();  // the core has opened it: now the caller's side
    void close_core_side();
    void tick() override;
};
using TunnelPtr = std::shared_ptr<Tunnel>;

void Tunnel::on_data(std::string bytes) {
    if (query.kind == StreamKind::screenshot) {
        if (picture.size() + bytes.size() <= kScreenshotMax) picture += bytes;
    } else if (!open) {
        if (early.size() + bytes.size() <= kEarlyMax) early += bytes;
    } else if (query.kind == StreamKind::log) {
        if (!download.write(std::move(bytes))) close_core_side();
    } else if (!socket.send_binary(std::move(bytes))) {
        close_core_side();
    }
}

void Tunnel::on_closed(std::string why) {
    if (closed) return;
    closed = true;
    if (query.kind == StreamKind::screenshot) {
        x->on_worker([picture = std::move(picture), why](Exchange& then) mutable {
            if (!why.empty() || picture.empty())
                return then.refuse(error_of(why.empty() ? "the host sent no picture" : why));
            http::Response response{.status = 200, .body = std::move(picture)};
            response.headers.set("Content-Type", "image/png");
            then.answer(std::move(response));
        });
        x = nullptr;
    } else if (query.kind == StreamKind::log) {
        why.empty() ? download.close() : download.abort(why);
    } else {
        socket.close(why.empty() ? 1000 : 1011, why.substr(0, 120));
    }
    place = nullptr;
}

void Tunnel::close_core_side() {
    if (closed) return;
    closed = true;
    context->deps.service.stream_close(stream);
    place = nullptr;
}

void Tunnel::tick() {
    if (!open || closed || still_holds(login, *context->deps.service.access(), wall_now())) return;
    context->deps.service.stream_close(stream);
    on_closed("the token that opened this has ended");
}

void Tunnel::stand() {
    open = true;
    context->open_streams.push_back(weak_from_this());
    const auto self = shared_from_this();
    if (query.kind == StreamKind::screenshot) return;
    const ExchangePtr exchange = std::exchange(x, nullptr);
    if (query.kind == StreamKind::log) {
        http::StreamHead head;
        head.headers.set("Content-Type", "text/plain; charset=utf-8");
        head.headers.set("Cache-Control", "no-store");
        head.endless = query.follow;
        download = exchange->reply().stream(std::move(head));
        exchange->note_answered(200);
        download.on_closed(
            [self](const std::string&) { self->context->deps.core.post([self] { self->close_core_side(); }); });
        if (!early.empty()) download.write(std::exchange(early, {}));
        return;
    }
    http::WebSocketHandlers handlers;
    handlers.on_message = [self](std::string data, bool) {
        self->context->deps.core.post([self, data = std::move(data)]() mutable {
            if (!self->closed) self->context->deps.service.stream_write(self->stream, std::move(data));
        });
    };
    handlers.on_closed = [self](int, const std::string&) {
        self->context->deps.core.post([self] { self->close_core_side(); });
    };
    auto made = exchange->reply().websocket(std::move(handlers), {.protocol = "", .ping_every = milliseconds{20'000}});
    exchange->note_answered(made ? 101 : 400);
    if (!made) return close_core_side();
    socket = std::move(*made);
    if (!early.empty()) socket.send_binary(std::exchange(early, {}));
}

Result<StreamQuery> read_query(const Exchange& x) {
    StreamQuery query;
    query.who = x.who();
    query.vm = x.target();
    switch (x.route.op) {
        case Op::vm_log: {
            TRY_VOID(x.only_parameters({"follow", "tail"}));
            query.kind = StreamKind::log;
            TRY(follow, x.flag("follow"));
            query.follow = follow;
            TRY(tail, x.number("tail", 0, 0, std::int64_t{1} << 30));
            query.tail = tail;
            return query;
        }
        case Op::vm_forward: {
            TRY_VOID(x.only_parameters({"port"}));
            query.kind = StreamKind::tcp;
            TRY(port, x.number("port", 0, 1, 65535));
            if (port == 0)
                return fail(error(Code::malformed, "the parameter port is missing: the guest's port, such as 22")
                                .with_reason("bad-parameter"));
            query.port = port;
            return query;
        }
        default:
            TRY_VOID(x.only_parameters({}));
            query.kind = x.route.op == Op::vm_console ? StreamKind::console
                         : x.route.op == Op::vm_vnc   ? StreamKind::vnc
                                                      : StreamKind::screenshot;
            return query;
    }
}

bool is_websocket(Op op) {
    return op == Op::vm_console || op == Op::vm_vnc || op == Op::vm_forward;
}

void open_tunnel(Exchange& x, const TunnelPtr& tunnel) {  // core thread
    tunnel->place = x.context().streams.take(x.who().name);
    if (tunnel->place == nullptr)
        return x.on_worker([](Exchange& then) {
            then.refuse(axle::error(Code::exhausted, "{} has {} streams open, more are not given", then.who().name,
                                    then.context().options.streams_max));
        });
    StreamHandlers handlers;
    handlers.on_data = [tunnel](std::string bytes) { tunnel->on_data(std::move(bytes)); };
    handlers.on_closed = [tunnel](std::string why) {
        if (!tunnel->open) {
            tunnel->error = std::move(why);  // told when it stands; what came is told first
            tunnel->closed = true;
            return;
        }
        tunnel->on_closed(std::move(why));
    };
    x.service().open_stream(tunnel->query, std::move(handlers), [tunnel](Result<StreamId> stream) {
        if (!stream) {
            tunnel->closed = true;
            tunnel->place = nullptr;
            return std::exchange(tunnel->x, nullptr)->on_worker([e = std::move(stream.error())](Exchange& then) {
                then.refuse(e);
            });
        }
        tunnel->stream = *stream;
        tunnel->stand();
        if (tunnel->closed) {  // it ended before we stood
            tunnel->closed = false;
            tunnel->on_closed(std::exchange(tunnel->error, {}));
        }
    });
}

}  // namespace

void handle_stream(const ExchangePtr& x) {
    auto query = read_query(*x);
    if (!query) return x->refuse(query.error());
    if (is_websocket(x->route.op) && !http::equal_ignoring_case(x->request.headers.value("Upgrade"), "websocket"))
        return x->refuse(error(Code::malformed, "this is a WebSocket: the request has no Upgrade header")
                             .with_reason("websocket-wanted")
                             .with_hint(fmt::format("use a WebSocket client, or 'axle vm {} {}'",
                                                    std::string_view(name_of(x->route.op)).substr(3), x->route.name)));
    auto tunnel = std::make_shared<Tunnel>(x);
    tunnel->query = std::move(*query);
    x->on_core([tunnel](Exchange& then) { open_tunnel(then, tunnel); });
}

void handle_vm_explain(const ExchangePtr& x) {
    Locator vm = x->target();
    if (auto fine = x->only_parameters({}); !fine) return x->refuse(fine.error());
    x->on_core([vm](Exchange& core_side) {
        core_side.service().explain(core_side.who(), vm,
                                    [self = core_side.shared_from_this()](Result<Decision> decision) {
                                        self->on_worker([decision = std::move(decision)](Exchange& then) {
                                            if (!decision) return then.refuse(decision.error());
                                            std::string out;
                                            write_value(type_of<Decision>(), &*decision, Audience::api, nullptr, out);
                                            then.answer(json_response(200, std::move(out)));
                                        });
                                    });
    });
}

}  // namespace axle::api
