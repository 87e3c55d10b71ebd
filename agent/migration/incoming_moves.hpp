// Which guests may come to this host, and what is open of them: the target's half of peer_migration.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/migration/data_port.hpp"
#include "agent/migration/join.hpp"
#include "agent/migration/migration.hpp"

namespace axle {

struct IncomingOptions {
    std::string folder;          // each guest's sockets lie in <folder>/<vm>.in
    std::string libvirt_socket;  // of this host
    PoolSettings disks;
    std::function<void(VmId, Epoch)> handed_over;  // any thread
};

// All methods from any thread; those that touch files block shortly.
class IncomingMoves {
  public:
    IncomingMoves(IncomingOptions options, Loop& io);
    ~IncomingMoves();  // cuts all

    // With another ticket than before: what was open is cut.
    Result<> expect(MoveIn in);
    Result<> dismiss(VmId vm);

    // The handlers of the port.
    Result<> admit(HostId from, VmId vm, const std::string& ticket, const std::string& stream) const;
    void opened(VmId vm, const std::string& stream, ByteStream bytes);
    Result<> take_volume(VmId vm, VolumeId volume, http::BodyStream& body, const std::string& sha256);
    Result<> handed_over(VmId vm, Epoch epoch);

  private:
    struct Expected {
        MoveIn in;
        std::map<std::uint64_t, std::pair<std::string, std::shared_ptr<Join>>> joins;  // stream and join, by number
    };
    struct State {
        std::mutex mutex;  // guards the rest
        std::map<VmId, Expected> moves;
        std::uint64_t last_join = 0;
    };
    Result<MoveIn> find(VmId vm) const;
    std::string folder_of(VmId vm) const;
    JoinOptions options_of(const std::string& stream, const MoveIn& in) const;
    static void cut(Expected& expected, const std::string& why);

    const IncomingOptions options_;
    Loop& io_;
    std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace axle
