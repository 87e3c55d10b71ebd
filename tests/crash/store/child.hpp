// A child process that runs one test case of this binary (those named "child: ...") and acknowledges over a pipe.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "common/base/file.hpp"

namespace axle::test {

class Child {
  public:
    // Started by exec, so that it has no thread or lock of ours. `environment` is added to ours.
    Child(const std::string& test_case, std::map<std::string, std::string> environment);
    ~Child();  // kill -9, if it still runs
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    // The next number that it acknowledged; 0 when it has ended.
    std::uint64_t next_acknowledged();
    std::uint64_t last_acknowledged();  // reads on to the end
    void kill();
    // Waits for its end. 0: it went through; else the signal, or 256 and more: exit code.
    int wait();
    int pid() const { return pid_; }

  private:
    int pid_ = -1;
    Fd acknowledgements_;
    std::uint64_t last_ = 0;
};

// In the child.
void acknowledge(std::uint64_t number);
std::string child_directory();

}  // namespace axle::test
