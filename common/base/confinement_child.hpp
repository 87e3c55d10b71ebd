// Confinement, inside: prepared before the fork (here memory may be taken), entered after it (here it may not: only
// system calls, since other threads of the parent may have held locks). Not for use outside common/base.
#pragma once
#include <linux/filter.h>
#include <string>
#include <vector>

#include "common/base/confinement.hpp"
#include "common/base/result.hpp"

namespace axle {

struct PreparedConfinement {
    struct Bind {
        std::string source, target;  // target: below the new root, relative
        bool is_file = false, writable = false;
        int opened = -1;  // in the child
    };
    std::vector<Bind> binds;
    std::vector<std::pair<std::string, std::string>> links;  // name below the new root, target
    std::vector<sock_filter> filter;
    Confinement limits;
};

Result<PreparedConfinement> prepare_confinement(const Confinement& confinement);

// In the child. nullptr, or the name of the step that failed, with errno set.
const char* enter_namespaces(PreparedConfinement& prepared);  // as root
const char* drop_privileges(const PreparedConfinement& prepared);
const char* install_filter(const PreparedConfinement& prepared);  // last of all: only execve should follow

}  // namespace axle
