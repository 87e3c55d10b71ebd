// A cloud's orchestrator goes to another machine: into one file on the old one, out of it on the new one. The store,
// the cluster's identity (id, authority, key of its secrets, witness), images and the administrator's token travel;
// what is of one machine (its server's certificate) is made anew. Every call blocks.
#pragma once
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/config/config.hpp"

namespace axle {

// "https://cloud.example:7443" of "cloud.example", "192.0.2.1:7443" or the whole.
Result<std::string> endpoint_of(const std::string& text);

// Hosts are told, with the next start of the orchestrator here, to look for it there as well.
Result<> announce_endpoint(const ServiceConfig& config, const std::string& endpoint);

struct ExportWish {
    std::string file;
    std::string endpoint;  // where it will be served
};
struct Relocated {
    std::string cluster;
    std::size_t files = 0;
    std::int64_t bytes = 0;
};
// Nobody serves the store meanwhile (Code::busy). After success the file is whole, and no orchestrator starts on this
// store any more; it was marked so before the file got its seal. Again: the same file anew. Code::conflict: it has
// moved to another place already.
Result<Relocated> export_orchestrator(const ServiceConfig& config, const ExportWish& wish, WallTime now);

// Code::conflict where a cloud is at home. One that has moved away from here is replaced, if it is the same one: so it
// comes back. After a crash nothing starts here until it is done again.
Result<Relocated> import_orchestrator(const ServiceConfig& config, const std::string& file);

}  // namespace axle
