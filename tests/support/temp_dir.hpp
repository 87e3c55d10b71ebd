// A directory of one test, removed with all that is in it.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>

#include "common/base/ensure.hpp"

namespace axle::test {

class TempDir {
  public:
    TempDir() {
        std::string name = std::filesystem::temp_directory_path() / "axle-test-XXXXXX";
        ENSURE(::mkdtemp(name.data()) != nullptr, "the temporary directory takes a test's files");
        path_ = name;
    }
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    const std::string& path() const { return path_; }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

}  // namespace axle::test
