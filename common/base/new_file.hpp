// A large file that comes into being whole or not at all: made under a temporary name beside its own, synced, renamed,
// the directory synced (RELIABILITY 4.1). Every call blocks: workers only.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/file.hpp"

namespace axle {

class NewFile {
  public:
    // The temporary name is "<path>.<tag>.new"; what a crash left under it is replaced.
    static Result<NewFile> create(const std::string& path, const std::string& tag, unsigned mode = 0600);
    // The same, but other programs or links fill the temporary name: only what stands there is removed.
    static Result<NewFile> reserve(const std::string& path, const std::string& tag);
    // Opens what is there under the temporary name, to go on with it; makes it if there is none.
    static Result<NewFile> resume(const std::string& path, const std::string& tag, unsigned mode = 0600);
    static std::string temporary_name(const std::string& path, const std::string& tag);
    // Whether a name is one of this tag's; the rest of it is the name that it would get.
    static bool is_temporary(std::string_view name, const std::string& tag);

    ~NewFile();  // what was not published is removed
    NewFile(NewFile&&) noexcept;
    NewFile& operator=(NewFile&&) = delete;

    int fd() const { return fd_.get(); }
    const std::string& temporary() const { return temporary_; }
    Result<> write(std::string_view data);
    Result<> write_at(std::int64_t offset, std::string_view data);
    Result<> resize(std::int64_t size);
    Result<> allocate(std::int64_t size);  // takes the room now, where the file system can
    // Syncs, gives it its name, syncs the directory. Code::conflict if something has that name: it stays as it is.
    Result<> publish();
    // The same, but what has that name is replaced.
    Result<> replace();
    void keep();  // leaves it under its temporary name, for resume()

  private:
    NewFile(std::string path, std::string temporary, Fd fd);
    Result<> sync();
    Error failed(const char* what, int error_number) const;

    std::string path_, temporary_;
    Fd fd_;
    bool ours_ = true;
};

}  // namespace axle
