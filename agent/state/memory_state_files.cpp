#include "agent/state/memory_state_files.hpp"

#include <algorithm>

#include "agent/state/names.hpp"

namespace axle {

MemoryStateFiles::MemoryStateFiles(MemoryFiles& files, Clock& clock, Random& random, MemoryStateOptions options)
    : files_(files), clock_(clock), random_(random), options_(std::move(options)), last_answer_(clock.boot()) {}

MemoryStateFiles::~MemoryStateFiles() {
    *alive_ = false;
}

// Acts some time before it answers; answers never overtake one another.
void MemoryStateFiles::in_turn(std::function<void()> act, std::function<void()> answer) {
    const auto span = static_cast<std::uint64_t>(options_.longest_delay.count()) + 1;
    const BootTime now = clock_.boot();
    const BootTime acts = std::max(last_answer_, now + milliseconds{random_.below(span)});
    last_answer_ = acts + milliseconds{random_.below(span)};
    const auto if_alive = [alive = alive_](std::function<void()> job) {
        return [alive, job = std::move(job)] {
            if (*alive) job();
        };
    };
    clock_.after(acts - now, if_alive(std::move(act)));
    clock_.after(last_answer_ - now, if_alive(std::move(answer)));
}

void MemoryStateFiles::load(std::function<void(Result<std::vector<StateFile>>)> answer) {
    in_turn([] {},
            [this, answer = std::move(answer)] {
                std::vector<StateFile> all;
                for (const auto& [name, content] : files_.files) all.push_back({name, content});
                answer(std::move(all));
            });
}

void MemoryStateFiles::put(std::string name, std::string content, std::function<void(Result<>)> done) {
    change(std::move(name), std::move(content), std::move(done));
}

void MemoryStateFiles::remove(std::string name, std::function<void(Result<>)> done) {
    change(std::move(name), std::nullopt, std::move(done));
}

void MemoryStateFiles::change(std::string name, std::optional<std::string> content,
                              std::function<void(Result<>)> done) {
    ENSURE(is_state_file_name(name), "names of state files are made by the core");
    auto failed = std::make_shared<std::optional<Error>>();
    in_turn(
        [this, name, content = std::move(content), failed] {
            if (options_.fault) *failed = options_.fault(name);
            if (!*failed) files_.apply(name, content);
        },
        [this, name, failed, done = std::move(done)] {
            if (!*failed) {
                files_.sync(name);
                return done({});
            }
            const Error error = **failed;
            done(fail(error));
            if (error.code != Code::no_space && options_.on_fatal) options_.on_fatal(error);
        });
}

}  // namespace axle
