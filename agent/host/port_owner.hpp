// Who listens on a TCP port of this host.
#pragma once
#include <set>
#include <string>
#include <string_view>

namespace axle {

// Inodes of the sockets that listen on `port`, by the text of /proc/net/tcp or tcp6. Pure.
std::set<std::string> listening_inodes(std::string_view text, int port);

// "nginx (process 812)", where a program that isn't one of ours listens; empty: nobody, or ours. Blocks shortly.
std::string foreign_owner_of(int port);

}  // namespace axle
