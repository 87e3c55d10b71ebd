#include "agent/state/directory_state_files.hpp"

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "agent/state/names.hpp"
#include "agent/state/state_directory.hpp"

namespace axle {
namespace {

struct Job {
    std::string name;  // empty: load
    std::optional<std::string> content;
    std::function<void(Result<>)> done;
    std::function<void(Result<std::vector<StateFile>>)> loaded;
};

constexpr std::size_t kGroupMax = 256;

bool is_fatal(const Result<>& result) {
    return !result && result.error().code != Code::no_space;
}

}  // namespace

struct DirectoryStateFiles::Impl {
    Impl(Executor& core_given, DirectoryStateOptions given)
        : core(core_given),
          options(std::move(given)),
          directory(options.directory, options.reserve_bytes, options.file_size_max) {}

    void submit(Job job);
    void serve();
    std::vector<Job> take();
    void load(Job& job);
    void change(std::vector<Job>& group);
    void answer(std::function<void(Result<>)> done, Result<> result);

    Executor& core;
    const DirectoryStateOptions options;
    StateDirectory directory;  // the thread's own
    std::mutex mutex;          // guards the two below
    std::vector<Job> waiting;
    bool closing = false;
    std::condition_variable told;
    std::thread thread;
};

void DirectoryStateFiles::Impl::submit(Job job) {
    {
        const std::lock_guard hold(mutex);
        waiting.push_back(std::move(job));
    }
    told.notify_one();
}

// What waits, up to a load, which stands alone.
std::vector<Job> DirectoryStateFiles::Impl::take() {
    std::unique_lock hold(mutex);
    told.wait(hold, [this] { return closing || !waiting.empty(); });
    std::size_t n = 0;
    while (n < waiting.size() && n < kGroupMax && (n == 0 || (waiting[n].done && waiting[0].done))) ++n;
    const auto end = waiting.begin() + static_cast<std::ptrdiff_t>(n);
    std::vector<Job> group(std::make_move_iterator(waiting.begin()), std::make_move_iterator(end));
    waiting.erase(waiting.begin(), end);
    return group;
}

void DirectoryStateFiles::Impl::serve() {
    for (;;) {
        auto group = take();
        if (group.empty()) return;
        if (group[0].loaded)
            load(group[0]);
        else
            change(group);
        directory.keep_reserve();
    }
}

void DirectoryStateFiles::Impl::load(Job& job) {
    auto result = std::make_shared<Result<std::vector<StateFile>>>(directory.load());
    core.post([result, loaded = std::move(job.loaded)] { loaded(std::move(*result)); });
}

void DirectoryStateFiles::Impl::answer(std::function<void(Result<>)> done, Result<> result) {
    core.post([done = std::move(done), result, on_fatal = options.on_fatal] {
        done(result);
        if (is_fatal(result) && on_fatal) on_fatal(result.error());
    });
}

void DirectoryStateFiles::Impl::change(std::vector<Job>& group) {
    std::map<std::string, std::size_t> last;  // of several contents of one name only the last is written
    for (std::size_t i = 0; i < group.size(); ++i) last[group[i].name] = i;
    std::map<std::string, Result<>> results;
    for (std::size_t i = 0; i < group.size(); ++i)
        if (last[group[i].name] == i)
            results.insert_or_assign(group[i].name, directory.change(group[i].name, group[i].content));
    const Result<> synced = directory.sync();
    for (auto& job : group) {
        const Result<>& own = results.at(job.name);
        answer(std::move(job.done), own && !synced ? synced : own);
    }
}

DirectoryStateFiles::DirectoryStateFiles(Executor& core, DirectoryStateOptions options)
    : impl_(std::make_unique<Impl>(core, std::move(options))) {
    impl_->thread = std::thread([this] { impl_->serve(); });
}

DirectoryStateFiles::~DirectoryStateFiles() {
    {
        const std::lock_guard hold(impl_->mutex);
        impl_->closing = true;
    }
    impl_->told.notify_one();
    impl_->thread.join();
}

void DirectoryStateFiles::load(std::function<void(Result<std::vector<StateFile>>)> answer) {
    impl_->submit({.loaded = std::move(answer)});
}

void DirectoryStateFiles::put(std::string name, std::string content, std::function<void(Result<>)> done) {
    ENSURE(is_state_file_name(name), "names of state files are made by the core");
    impl_->submit({.name = std::move(name), .content = std::move(content), .done = std::move(done)});
}

void DirectoryStateFiles::remove(std::string name, std::function<void(Result<>)> done) {
    ENSURE(is_state_file_name(name), "names of state files are made by the core");
    impl_->submit({.name = std::move(name), .done = std::move(done)});
}

}  // namespace axle
