// Settings of the whole host that we change: the old value is recorded durably before the first change, and put back
// when the product is removed (promise 8). Workers only.
#pragma once
#include <map>
#include <set>
#include <string>

#include "common/base/result.hpp"

namespace axle {

class HostSettings {
  public:
    explicit HostSettings(std::string record) : record_(std::move(record)) {}  // path of the record

    // e.g. ("/proc/sys/net/ipv4/ip_forward", "1"). Has it already: nothing is recorded.
    Result<> set(const std::string& path, const std::string& value);
    // And forgets the record. What somebody has changed since is left as it is, and so is `needed`: settings that
    // others rely on by now, who would have made them themselves had they not found them so.
    Result<> restore_all(const std::set<std::string>& needed = {});

  private:
    struct Change {
        std::string was, set;
    };
    using Record = std::map<std::string, Change>;  // by path
    Result<Record> recorded() const;
    std::string record_;
};

}  // namespace axle
