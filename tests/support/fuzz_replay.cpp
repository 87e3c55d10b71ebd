// Plays a corpus through a fuzz target without libFuzzer: each input as it is, cut short, and with bytes changed. As it
// is, a target that tells whether it was taken (fuzz_input.hpp) must have taken it, unless it is called refused-...
// usage: replay_AREA_NAME CORPUS
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/fuzz_input.hpp"
#include "tests/support/seeded_random.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr int kChangesEach = 300;

void play(const std::string& bytes) {
    // A copy of exactly its size: the sanitizer sees a read beyond its end.
    const std::vector<std::uint8_t> exact(bytes.begin(), bytes.end());
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

bool is_as_named(const std::string& name) {
    using axle::test::Input;
    const Input seen = axle::test::last_input;
    if (seen == Input::untold || (seen == Input::refused) == name.starts_with("refused-")) return true;
    std::printf("FAILED: %s was %s\n", name.c_str(), seen == Input::taken ? "taken" : "refused");
    return false;
}

std::string changed(std::string bytes, axle::test::SeededRandom& random) {
    const auto place = [&] { return static_cast<std::size_t>(random.below(bytes.size() + 1)); };
    switch (random.below(4)) {
        case 0:
            bytes.resize(place());
            break;
        case 1: {
            const std::size_t from = place();
            bytes.erase(from, static_cast<std::size_t>(random.below(16)));
            break;
        }
        case 2: {
            const std::size_t from = place();
            const std::string piece = bytes.substr(from, static_cast<std::size_t>(random.below(64)));
            bytes.insert(place(), piece);
            break;
        }
        default:
            break;
    }
    for (auto i = random.below(4); i > 0 && !bytes.empty(); --i)
        bytes[static_cast<std::size_t>(random.below(bytes.size()))] = static_cast<char>(random.next());
    return bytes;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    axle::test::SeededRandom random(1);
    int inputs = 0, played = 0, wrong = 0;
    for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
        std::ifstream file(entry.path(), std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(file), {}};
        std::printf("%s\n", entry.path().c_str());
        std::fflush(stdout);
        axle::test::last_input = axle::test::Input::untold;
        play(bytes);
        wrong += is_as_named(entry.path().filename()) ? 0 : 1;
        std::string worse = bytes;
        for (int i = 0; i < kChangesEach; ++i) {
            worse = changed(i % 8 == 0 ? bytes : worse, random);  // some steps away, then from the start again
            play(worse);
        }
        ++inputs;
        played += kChangesEach + 1;
    }
    const bool fine = inputs > 0 && wrong == 0;
    std::printf("figures: %d inputs\ntally: %d passed, %d failed, 0 skipped\n", played, fine ? 1 : 0, fine ? 0 : 1);
    return fine ? 0 : 1;
}
