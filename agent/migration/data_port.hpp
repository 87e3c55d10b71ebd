// The agent's one listening port: TLS 1.3 of both sides, and only for hosts of this cluster, by the certificates that
// they have from its authority. What is behind it decides who may do what: which host, which guest, which ticket.
//
//   GET  /data/v1/moves/<vm>/libvirt|memory|disk|disk-<name>   WebSocket: bytes both ways
//   PUT  /data/v1/moves/<vm>/volume/<volume>       the bytes of a disk; Axle-Sha256: 64 hexadecimal digits
//   POST /data/v1/moves/<vm>/handed-over           the epoch, as JSON
// Each with Axle-Ticket. Refusals are problem+json in words.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/migration/byte_stream.hpp"
#include "common/channel/documents.hpp"

namespace axle {

// Who this host is to other hosts. PEM.
struct DataIdentity {
    HostId host;
    std::string authority;
    std::string certificate, key;
};

constexpr int kDataPort = 7444;

// Called on workers of the port, which they may block.
struct DataPortHandlers {
    // Before anything else. stream: "libvirt", "memory", "disk", "disk-vda", "volume", "handed-over". Errors: not_found
    // (404), forbidden (403), conflict (409), unavailable (503); compare tickets by equal_in_constant_time.
    std::function<Result<>(HostId from, VmId vm, const std::string& ticket, const std::string& stream)> admit;
    std::function<void(VmId vm, const std::string& stream, ByteStream bytes)> opened;
    // The other side is answered after it: what it says is durable must be.
    std::function<Result<>(VmId vm, VolumeId volume, http::BodyStream& body, const std::string& sha256)> volume;
    std::function<Result<>(VmId vm, Epoch epoch)> handed_over;
};

class DataPort {
  public:
    // io must outlive this and run before start(). folder: for the certificate as files, 0700; better in memory (/run).
    DataPort(Loop& io, DataPortHandlers handlers, std::string folder);
    ~DataPort();  // stop()
    DataPort(const DataPort&) = delete;
    DataPort& operator=(const DataPort&) = delete;

    // Blocks; any thread but io's. address: "" for all. port 0: the kernel chooses. Returns the port.
    Result<int> start(const std::string& address, int port, const DataIdentity& identity);
    // A renewed certificate, for connections to come. On failure the old one stays in use.
    Result<> renew(const DataIdentity& identity);
    // Cuts what is open. Idempotent; not on io's thread while it runs.
    void stop();

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace axle
