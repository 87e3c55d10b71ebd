#include "agent/guest/seed.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/digest.hpp"
#include "common/base/ensure.hpp"
#include "common/base/io.hpp"
#include "common/base/new_file.hpp"
#include "common/base/process.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

constexpr std::size_t kUserDataMax = 512 << 10;
constexpr const char* kDate =
    "2020010100000000";  // of everything in a seed, so that the same content gives the same file
constexpr off_t kApplicationField = 32768 + 574;  // in the primary volume descriptor of ISO 9660
constexpr std::size_t kApplicationSize = 128;

// JSON's way to quote is YAML's, too.
std::string in_quotes(std::string_view text) {
    std::string out;
    write_json_string(out, text);
    return out;
}

// In capitals: what the field of ISO 9660 takes, xorriso turns the rest into them.
std::string mark_of(const SeedFiles& files) {
    std::string mark = "AXLE-SEED:" + files.digest();
    std::ranges::transform(mark, mark.begin(), [](char c) { return c >= 'a' && c <= 'f' ? char(c - 32) : c; });
    return mark;
}

// Not synced: xorriso reads it at once, and it goes then.
Result<> write_plainly(const std::string& path, std::string_view content) {
    const Fd fd(io::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600));
    if (!fd) return fail(system_error("create " + path, errno));
    while (!content.empty()) {
        const ssize_t n = io::write(fd.get(), content.data(), content.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(system_error("write " + path, errno));
        content.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

// The mark of the seed that is there; empty if there is none.
std::string mark_at(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return "";
    std::string field(kApplicationSize, '\0');
    if (::pread(fd.get(), field.data(), field.size(), kApplicationField) != static_cast<ssize_t>(field.size()))
        return "";
    return field.substr(0, field.find_last_not_of(' ') + 1);
}

Result<> remove_tree(const std::string& path) {
    std::error_code code;
    std::filesystem::remove_all(path, code);
    if (code) return fail(system_error("remove " + path, code.value()));
    return {};
}

// The three files in a directory of their own, for the time that xorriso reads them.
class Tree {
  public:
    explicit Tree(std::string path) : path_(std::move(path)) {}
    ~Tree() { (void)remove_tree(path_); }
    Tree(const Tree&) = delete;
    Tree& operator=(const Tree&) = delete;
    Result<> fill(const SeedFiles& files) const {
        TRY_VOID(remove_tree(path_));
        if (io::mkdir(path_.c_str(), 0700) != 0) return fail(system_error("make directory " + path_, errno));
        KILL_POINT("seed.tree");
        TRY_VOID(write_plainly(path_ + "/meta-data", files.meta_data));
        TRY_VOID(write_plainly(path_ + "/user-data", files.user_data));
        return write_plainly(path_ + "/network-config", files.network_config);
    }

  private:
    std::string path_;
};

Result<> run_xorriso(const std::string& tree, const std::string& output, const std::string& mark) {
    auto made = run_checked(
        {.program = "xorriso",
         .arguments = {"-as", "mkisofs", "-quiet", "-no-pad", "-V", "cidata", "-J", "-r", "-appid", mark,
                       std::string("--modification-date=") + kDate, "--set_all_file_dates", kDate, "-o", output, tree},
         .umask = 0077,
         .time_limit = seconds{30}});
    if (!made) return fail(std::move(made.error()).in("make a first-boot seed"));
    return {};
}

}  // namespace

std::string SeedFiles::digest() const {
    // Lengths first: no two triples look alike.
    return sha256_hex(fmt::format("1 {} {} {}\n{}{}{}", meta_data.size(), user_data.size(), network_config.size(),
                                  meta_data, user_data, network_config));
}

Result<SeedFiles> seed_files(const VmDocument& vm) {
    const SeedDocument& seed = vm.seed;
    if (seed.user_data.size() > kUserDataMax)
        return fail(error(Code::too_large, "vm {}: its user data has {} bytes, at most {} are taken", vm.name,
                          seed.user_data.size(), kUserDataMax)
                        .with_hint("let a short user data fetch the rest"));
    SeedFiles files;
    files.meta_data =
        fmt::format("instance-id: {}\nlocal-hostname: {}\n",
                    in_quotes(seed.instance_id.empty() ? vm.id.str() : seed.instance_id), in_quotes(seed.hostname));
    std::string keys;
    for (const auto& key : seed.ssh_keys) keys += fmt::format("  - {}\n", in_quotes(key));
    if (!keys.empty()) files.meta_data += "public-keys:\n" + keys;
    files.user_data = seed.user_data;
    if (files.user_data.empty()) {
        files.user_data = fmt::format("#cloud-config\nhostname: {}\n", in_quotes(seed.hostname));
        if (!keys.empty()) files.user_data += "ssh_authorized_keys:\n" + keys;
    }
    files.network_config = "version: 2\n";
    if (!vm.nics.empty()) files.network_config += "ethernets:\n";
    for (const auto& nic : vm.nics)
        files.network_config +=
            fmt::format("  {}:\n    match: {{macaddress: {}}}\n    dhcp4: true\n    dhcp-identifier: mac\n",
                        in_quotes(nic.name), in_quotes(nic.mac));
    return files;
}

std::string seed_path(const std::string& directory, VmId vm) {
    return fmt::format("{}/{}.iso", directory, vm.str());
}

Result<std::string> make_seed_file(const std::string& directory, const VmDocument& vm, const std::string& tag) {
    TRY(files, seed_files(vm));
    const std::string path = seed_path(directory, vm.id), mark = mark_of(files);
    if (mark_at(path) == mark) {
        TRY_VOID(sync_directory(directory));  // it may have got its name just before a crash
        return path;
    }
    TRY_VOID(make_directories(directory, 0711));
    const Tree tree(NewFile::temporary_name(path + ".files", tag));
    TRY_VOID(tree.fill(files));
    TRY(file, NewFile::reserve(path, tag));
    TRY_VOID(run_xorriso(NewFile::temporary_name(path + ".files", tag), file.temporary(), mark));
    if (::chmod(file.temporary().c_str(), 0600) != 0) return fail(system_error("protect " + file.temporary(), errno));
    KILL_POINT("seed.made");
    TRY_VOID(sync_file(file.temporary()));
    // An older seed is replaced in one step; the guest that has it open keeps it until it ends.
    if (::rename(file.temporary().c_str(), path.c_str()) != 0)
        return fail(system_error("rename " + file.temporary(), errno));
    KILL_POINT("seed.renamed");
    file.keep();
    TRY_VOID(sync_directory(directory));
    return path;
}

Result<> remove_seed_file(const std::string& directory, VmId vm) {
    return remove_file_durably(seed_path(directory, vm));
}

Result<> sweep_seeds(const std::string& directory, const std::string& tag) {
    TRY(names, list_directory(directory));
    for (const auto& name : names)
        if (NewFile::is_temporary(name, tag)) TRY_VOID(remove_tree(directory + "/" + name));
    return names.empty() ? Result<>{} : sync_directory(directory);
}

}  // namespace axle
