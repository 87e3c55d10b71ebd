// Two hosts of one cloud on loopback: one with its data port open, one that calls it; real TLS, real sockets.
#pragma once
#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "agent/migration/data_client.hpp"
#include "agent/migration/data_port.hpp"
#include "agent/migration/join.hpp"
#include "agent/migration/volume_copy.hpp"
#include "common/base/digest.hpp"
#include "common/base/now.hpp"
#include "common/http/tls.hpp"
#include "common/link/join_string.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle::test {

inline HostId host_number(unsigned char n) {
    HostId out;
    out.bytes[15] = n;
    return out;
}

// Not random, and no piece of it like another.
inline std::string noise(std::size_t size) {
    std::string out;
    for (std::uint64_t n = 0; out.size() < size; ++n) out += sha256(std::to_string(n));
    out.resize(size);
    return out;
}

inline bool soon(const std::function<bool()>& so) {
    const BootTime end = boot_now() + seconds{30};
    while (!so()) {
        if (boot_now() > end) return false;
        std::this_thread::sleep_for(milliseconds{2});
    }
    return true;
}

inline DataIdentity identity_of(const http::KeyPair& authority, HostId host) {
    const auto pair = *http::issue_certificate(
        authority,
        {.name = host.str(), .uris = {kHostUriPrefix + host.str()}, .server = true, .client = true, .days = 30},
        wall_now());
    return {.host = host, .authority = authority.certificate, .certificate = pair.certificate, .key = pair.key};
}

struct TwoHosts {
    TwoHosts() {
        vm.bytes[15] = 77;
        volume.bytes[15] = 5;
        thread = std::thread([this] { io.run(); });
        port = std::make_unique<DataPort>(io, handlers(), folder / "run/data");
        const auto started = port->start("127.0.0.1", 0, identity_of(authority, target));
        REQUIRE_MESSAGE(started.has_value(), (started ? "" : started.error().message));
        number = *started;
    }
    ~TwoHosts() {
        port->stop();
        {
            const std::lock_guard hold(mutex);
            streams.clear();
        }
        workers.stop();
        CHECK(soon([&] { return std::ranges::all_of(lives, [](const auto& life) { return life.expired(); }); }));
        io.call([] {});  // the turn in which the last of them went is over
        io.stop();
        thread.join();
    }

    DataPortHandlers handlers() {
        return {.admit = [this](HostId from, VmId about, const std::string& shown, const std::string&) -> Result<> {
                    if (from != source) return fail(Code::forbidden, "host {} sends no guest here", from.str());
                    if (about != vm) return fail(Code::not_found, "no guest {} is expected here", about.str());
                    if (!equal_in_constant_time(shown, ticket)) return fail(Code::forbidden, "that is not the ticket");
                    return {};
                },
                .opened =
                    [this](VmId, const std::string& name, ByteStream bytes) {
                        const std::lock_guard hold(mutex);
                        names.push_back(name);
                        streams.push_back(std::move(bytes));
                    },
                .volume = [this](VmId, VolumeId, http::BodyStream& body,
                                 const std::string& sum) { return receive_volume(disk, body, sum, {.tag = "here"}); },
                .handed_over = [this](VmId, Epoch epoch) -> Result<> {
                    const std::lock_guard hold(mutex);
                    handed_over = epoch;
                    return {};
                }};
    }
    DataClient client(const DataIdentity& own) {
        return {io, [own] { return own; }};
    }
    DataClient client() { return client(identity_of(authority, source)); }
    // As this source; noted, so that the loop isn't stopped below it.
    Result<ByteStream> open(const DataClient& by, const DataTarget& where, const std::string& name) {
        auto stream = by.open(where, name);
        const std::lock_guard hold(mutex);
        if (stream) lives.push_back(stream->life());
        return stream;
    }
    std::string address() const { return "127.0.0.1:" + std::to_string(number); }
    DataTarget to() const { return {.address = address(), .host = target, .vm = vm, .ticket = ticket}; }
    // The port's end of the stream that was opened first.
    ByteStream take_stream() {
        std::optional<ByteStream> out;
        CHECK(soon([&] {
            const std::lock_guard hold(mutex);
            if (streams.empty()) return false;
            out = std::move(streams.front());
            streams.erase(streams.begin());
            return true;
        }));
        return out.value_or(ByteStream{});
    }

    const HostId source = host_number(1), target = host_number(2);
    VmId vm;
    VolumeId volume;
    const std::string ticket = "one-time secret";
    TempDir folder;
    const std::string disk = folder / "disk.qcow2";
    http::KeyPair authority = *http::make_authority("cloud", wall_now());
    Loop io{"io"};
    Workers workers{"test", {.threads = 2}};
    std::thread thread;
    std::unique_ptr<DataPort> port;
    int number = 0;
    std::mutex mutex;
    std::vector<std::string> names;
    std::vector<ByteStream> streams;
    std::vector<std::weak_ptr<void>> lives;
    std::optional<Epoch> handed_over;
};

}  // namespace axle::test
