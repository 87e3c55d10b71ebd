// The source's side: QEMU and libvirt connect here, each connection gets a stream to the other host.
#include <map>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "agent/migration/join.hpp"
#include "agent/migration/unix_socket.hpp"

namespace axle {

// Loop thread only, but for the dialling.
struct LocalDoor::State : std::enable_shared_from_this<State> {
    State(Loop& l, Workers& w, std::string p, Hooks h) : loop(l), workers(w), path(std::move(p)), hooks(std::move(h)) {}
    Loop& loop;
    Workers& workers;
    const std::string path;
    Hooks hooks;
    Fd fd;
    std::unique_ptr<IoWatch> watch;
    std::map<int, std::shared_ptr<Join>> joins;
    int last = 0;
    bool closed = false;

    void begin();
    void accept();
    void dial(Fd connection);
    void join(const std::shared_ptr<Fd>& connection, Result<ByteStream> stream);
    void tell(const std::string& why) const;
    void close();
};

void LocalDoor::State::begin() {
    if (closed) return;
    watch = std::make_unique<IoWatch>(loop, "local door", fd.get(), true, false, [this](bool, bool) { accept(); });
}

void LocalDoor::State::accept() {
    const auto self = shared_from_this();
    while (!closed) {
        Fd connection(::accept4(fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!connection) return;
        dial(std::move(connection));
    }
}

void LocalDoor::State::dial(Fd connection) {
    auto held = std::make_shared<Fd>(std::move(connection));
    const bool taken = workers.submit([self = shared_from_this(), held, dial = hooks.dial] {
        auto stream = std::make_shared<Result<ByteStream>>(dial());
        self->loop.post([self, held, stream] { self->join(held, std::move(*stream)); });
    });
    if (!taken) tell("this host has too much to do to open another stream");
}

void LocalDoor::State::join(const std::shared_ptr<Fd>& connection, Result<ByteStream> stream) {
    if (closed) {
        if (stream) stream->close("the move is over on this host");
        return;
    }
    if (!stream) return tell(stream.error().message);
    const int number = ++last;
    joins[number] =
        Join::to_fd(loop, std::move(*stream), std::move(*connection), hooks.options ? hooks.options() : JoinOptions{},
                    [weak = weak_from_this(), number](const std::string& why) {
                        const auto self = weak.lock();
                        if (!self) return;
                        self->joins.erase(number);
                        self->tell(why);
                    });
}

void LocalDoor::State::tell(const std::string& why) const {
    if (!closed && hooks.ended) hooks.ended(why);
}

void LocalDoor::State::close() {
    closed = true;
    watch.reset();
    fd.reset();
    ::unlink(path.c_str());
    for (const auto& [number, join] : joins) join->cut("the move is over on this host");
    joins.clear();
    hooks = {};
}

Result<std::unique_ptr<LocalDoor>> LocalDoor::open(Loop& loop, Workers& workers, const std::string& path,
                                                   std::optional<FileOwner> owner, Hooks hooks) {
    TRY_VOID(make_directories(parent_of(path), 0711));
    auto state = std::make_shared<State>(loop, workers, path, std::move(hooks));
    TRY(fd, listen_unix(path));
    state->fd = std::move(fd);
    if (owner && ::chown(path.c_str(), owner->uid, owner->gid) != 0)
        return fail(system_error("give " + path + " to QEMU's user", errno));
    loop.post([state] { state->begin(); });
    return std::make_unique<LocalDoor>(std::move(state));
}

LocalDoor::~LocalDoor() {
    state_->loop.call([this] { state_->close(); });
}

}  // namespace axle
