// The file in which a cloud travels: an ordinary tar (`tar -tvf` lists it) whose last member, "seal", holds the SHA-256
// of all bytes before that member. Without its seal it is no archive. Every call blocks.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/digest.hpp"
#include "common/base/new_file.hpp"
#include "orchestrator/relocation/tar.hpp"

namespace axle {

class ArchiveWriter {
  public:
    explicit ArchiveWriter(NewFile& file) : file_(file) {}
    Result<> add(const std::string& path, std::string_view content);
    Result<> add_file(const std::string& path, const std::string& from);  // as long as it is when it is begun
    Result<> seal();                                                      // last

  private:
    Result<> put(std::string_view bytes);
    Result<> put_zeros(std::int64_t count);

    NewFile& file_;
    Digest digest_;
};

struct ArchiveMember {
    TarMember file;
    std::int64_t offset = 0;  // of its content
};
struct Archive {
    std::string path;
    std::vector<ArchiveMember> members;  // without the seal
    std::int64_t bytes = 0;              // of their contents
};
// Reads all of it. Code::malformed: it is none, was changed, or isn't whole.
Result<Archive> open_archive(const std::string& path);
Result<std::string> content_of(const Archive& archive, const std::string& member, std::int64_t limit);
// A new file with the content and mode of the member; it is on disk, but its name in its directory may not be.
Result<> extract(const Archive& archive, const ArchiveMember& member, const std::string& to);

}  // namespace axle
