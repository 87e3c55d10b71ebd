// Plays a corpus through a fuzz target without libFuzzer: each input as it is, cut short, and with bytes changed.
// usage: replay_AREA_NAME CORPUS
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/seeded_random.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr int kChangesEach = 300;

void play(const std::string& bytes) {
    // A copy of exactly its size: the sanitizer sees a read beyond its end.
    const std::vector<std::uint8_t> exact(bytes.begin(), bytes.end());
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
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
    int inputs = 0, played = 0;
    for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
        std::ifstream file(entry.path(), std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(file), {}};
        std::printf("%s\n", entry.path().c_str());
        std::fflush(stdout);
        play(bytes);
        std::string worse = bytes;
        for (int i = 0; i < kChangesEach; ++i) {
            worse = changed(i % 8 == 0 ? bytes : worse, random);  // some steps away, then from the start again
            play(worse);
        }
        ++inputs;
        played += kChangesEach + 1;
    }
    std::printf("ok: %d inputs, %d with their changes\ntally: %d passed, %d failed, 0 skipped\n", inputs, played,
                inputs > 0 ? 1 : 0, inputs > 0 ? 0 : 1);
    return inputs > 0 ? 0 : 1;
}
