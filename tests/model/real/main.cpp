// Histories on a real all-in-one: real_model SOCKET IMAGES SEQUENCES SEED, or real_model SOCKET IMAGES FILE.
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "tests/model/real/real_stage.hpp"
#include "tests/support/boot_sectors.hpp"

namespace axle::test {
namespace {

constexpr std::size_t kActs = 40;

struct Total {
    int sequences = 0, failed = 0;
    Coverage coverage;
};

void play(const History& history, const std::string& socket, const std::string& images, Total& total) {
    RealStage stage(socket, images);
    Play played{.trouble = stage.furnish()};
    if (played.trouble.empty()) played = play_on(stage, history);
    ++total.sequences;
    for (const auto& [pair, count] : played.coverage) total.coverage[pair] += count;
    if (played.trouble.empty()) {
        std::printf(
            "ok: every answer is one that the reference model calls right, and in the end all is as users were "
            "promised: seed %llu\n",
            static_cast<unsigned long long>(history.seed));
    } else {
        ++total.failed;
        const std::string path = write_history(history, played.trouble);
        std::printf("FAILED: seed %llu: %s\nreplay: tests/run model --real %s\n",
                    static_cast<unsigned long long>(history.seed), played.trouble.c_str(), path.c_str());
        for (const std::string& line : stage.log) std::puts(line.c_str());
        stage.clear_away();  // the next one begins with an empty cloud
    }
    std::fflush(stdout);
}

int run(int argc, char** argv) {
    if (argc == 3 && std::string_view(argv[1]) == "--disk") {
        std::ofstream(argv[2], std::ios::binary) << boot_sector(Guest::obeys);
        return 0;
    }
    if (argc < 4) return 2;
    Total total;
    if (const auto history = read_history(argv[3])) {
        play(*history, argv[1], argv[2], total);
    } else {
        const int sequences = std::atoi(argv[3]);
        const std::uint64_t first = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 1;
        for (int i = 0; i < sequences; ++i)
            play(draw_model_history(first + static_cast<std::uint64_t>(i), kActs), argv[1], argv[2], total);
    }
    std::printf("tally: %d passed, %d failed, 0 skipped\n", total.sequences - total.failed, total.failed);
    std::printf("figures: %d histories %d failed %zu of %zu pairs of a state and an action met\n", total.sequences,
                total.failed, total.coverage.size(), possible_pairs());
    return total.failed == 0 && total.sequences > 0 ? 0 : 1;
}

}  // namespace
}  // namespace axle::test

int main(int argc, char** argv) {
    return axle::test::run(argc, argv);
}
