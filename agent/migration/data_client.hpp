// The other side of data_port.hpp: what a source says to the target of a move.
#pragma once
#include <functional>
#include <stop_token>
#include <string>

#include "agent/migration/byte_stream.hpp"
#include "agent/migration/data_port.hpp"
#include "common/channel/documents.hpp"
#include "common/http/client.hpp"

namespace axle {

struct DataTarget {
    std::string address;  // "10.0.0.2:7444", "[2001:db8::2]:7444"
    HostId host;          // that its certificate must be of
    VmId vm;
    std::string ticket;
};
DataTarget target_of(VmId vm, const VmMove& move);

struct CopyOptions {
    std::function<void(std::int64_t sent)> progress = {};  // at most twice a second, and at the end
    std::int64_t bandwidth = 0;                            // bytes a second at most; 0: no limit
    std::stop_token stop = {};                             // asked: Code::conflict
};

// Every call blocks: workers only; any number at once. Errors: Code::unavailable (nobody there, or not who it should
// be), forbidden, not_found, conflict, no_space as the target says, timeout (the outcome is unknown).
class DataClient {
  public:
    // identity: of this host, as it is now; called by each call. io carries the streams and outlives them.
    DataClient(Loop& io, std::function<Result<DataIdentity>()> identity);

    Result<ByteStream> open(const DataTarget& target, const std::string& stream) const;
    // Success: it is durable there, under its own name. The file must not be changed meanwhile; it is read twice.
    Result<> send_volume(const DataTarget& target, VolumeId volume, const std::string& path,
                         const CopyOptions& options = {}) const;
    Result<> tell_handed_over(const DataTarget& target, Epoch epoch) const;

  private:
    Result<http::Client> dial(const DataTarget& target) const;

    Loop& io_;
    std::function<Result<DataIdentity>()> identity_;
};

}  // namespace axle
