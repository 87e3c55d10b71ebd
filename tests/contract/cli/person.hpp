// A person who uses the command line in this process.
#pragma once
#include <cstdio>
#include <fcntl.h>
#include <map>
#include <string>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "orchestrator/cli/run.hpp"
#include "tests/support/cloud_server.hpp"

namespace axle::test {

struct Ran {
    int code = 0;
    std::string out, err;
};

// A person with a home of their own, at this cloud.
class Person {
  public:
    explicit Person(const std::string& socket = {}) {
        environment["HOME"] = home_.path();
        if (!socket.empty()) environment["AXLE_SOCKET"] = socket;
    }
    explicit Person(const CloudServer& cloud) : Person(cloud.socket()) {}
    Ran axle(const std::vector<std::string>& args, const std::string& input = "") {
        char *out = nullptr, *err = nullptr;
        std::size_t out_size = 0, err_size = 0;
        REQUIRE(write_file_durably(home_ / "input", input));
        const Fd in(::open((home_ / "input").c_str(), O_RDONLY | O_CLOEXEC));
        cli::Terminal terminal;
        terminal.out = ::open_memstream(&out, &out_size);
        terminal.err = ::open_memstream(&err, &err_size);
        terminal.in_fd = in.get();
        terminal.in_is_tty = sits_there;
        terminal.environment = [this](const char* name) {
            const auto found = environment.find(name);
            return found == environment.end() ? std::string{} : found->second;
        };
        Ran ran;
        ran.code = cli::run(args, terminal);
        std::fclose(terminal.out);
        std::fclose(terminal.err);
        ran.out.assign(out, out_size);
        ran.err.assign(err, err_size);
        std::free(out);
        std::free(err);
        return ran;
    }
    // The same; it has to succeed.
    Ran ok(const std::vector<std::string>& args, const std::string& input = "") {
        Ran ran = axle(args, input);
        std::string line;
        for (const std::string& word : args) line += word + " ";
        CAPTURE(line);
        CAPTURE(ran.out);
        CAPTURE(ran.err);
        CHECK(ran.code == 0);
        return ran;
    }
    std::string file(const std::string& name, const std::string& content) {
        REQUIRE(write_file_durably(home_ / name, content));
        return home_ / name;
    }
    std::string home() const { return home_.path(); }
    std::map<std::string, std::string> environment;
    bool sits_there = false;  // at a terminal: may be asked

  private:
    TempDir home_;
};

// A host, a pool, a network and an image.
inline void furnish(CloudServer& cloud, Person& me) {
    cloud.add_host("h1");
    me.ok({"pool", "create", "main", "--path", "/pools/main", "--default"});
    me.ok({"network", "create", "default", "--type", "nat", "--cidr", "10.90.0.0/24"});
    me.ok({"image", "create", "debian-12", "--catalog", "debian-12"});
}

}  // namespace axle::test
