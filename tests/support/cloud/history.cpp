#include "tests/support/cloud/history.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "tests/support/cloud/eyes.hpp"
#include "tests/support/cloud/plain_kinds.hpp"

namespace axle::test {

using std::chrono::minutes;

History draw_history(std::uint64_t seed, std::size_t acts, bool with_faults) {
    SeededRandom random(seed * 2'654'435'761U + 17);
    History history{.seed = seed, .hosts = static_cast<int>(random.between(1, 4))};
    for (std::size_t i = 0; i < acts; ++i) {
        const bool fault = with_faults && random.chance(25);
        history.acts.push_back(draw_act(random, fault ? fault_verbs() : user_verbs(), history.hosts, 240'000));
    }
    return history;
}

std::string converge(Cloud& cloud, milliseconds limit) {
    cloud.stop_faults();
    const bool well = cloud.run_until([&] { return cloud.eyes->unsettled().empty(); }, limit);
    if (!cloud.violation().empty()) return cloud.violation();
    if (well) cloud.eyes->look_closely();
    return well ? cloud.violation() : "not converged: " + cloud.eyes->unsettled();
}

namespace {

std::vector<Key> plain_things(const Cloud& cloud) {
    std::vector<Key> all;
    for (const PlainKind& plain : plain_kinds()) {
        for (const auto& [id, object] : cloud.world().all(plain.kind)) {
            if (is_plain_name(plain.prefix, object->meta.name)) all.push_back({plain.kind, id});
        }
    }
    std::ranges::sort(all);
    return all;
}

std::vector<Mutation> removals(Cloud& cloud) {
    std::vector<Mutation> all;
    for (const Kind kind : {Kind::portforward, Kind::vm, Kind::volume, Kind::image, Kind::network}) {
        std::vector<Uuid> ids;
        for (const auto& [id, object] : cloud.world().all(kind)) ids.push_back(id);
        std::ranges::sort(ids);
        for (const Uuid& id : ids) {
            const ObjectPtr object = cloud.world().get(kind, id);
            if (kind == Kind::vm && !object->is_deleted() && static_cast<const Vm&>(*object).spec.deletion_protection)
                all.push_back(Cloud::patch(kind, "default", id.str(), R"({"spec":{"deletionProtection":false}})"));
            all.push_back(Cloud::remove(kind, "default", id.str(), true));
        }
    }
    for (const auto& [id, object] : cloud.world().all(Kind::host))
        all.push_back(Cloud::patch(Kind::host, "", object->meta.name, R"({"spec":{"zone":null}})"));
    for (const auto& [kind, id] : plain_things(cloud)) all.push_back(Cloud::remove(kind, "default", id.str()));
    return all;
}

bool is_cleared(const Cloud& cloud) {
    const World& world = cloud.world();
    return world.all(Kind::vm).empty() && world.all(Kind::volume).empty() && world.all(Kind::network).empty() &&
           world.all(Kind::image).empty() && world.all(Kind::portforward).empty() && world.all(Kind::task).empty() &&
           plain_things(cloud).empty();
}

// Files that came from nowhere, and that nobody has adopted.
bool has_strays(const Cloud& cloud) {
    return std::ranges::any_of(cloud.hosts, [&](const Cloud::HostMachine& host) {
        return std::ranges::any_of(cloud.strays, [&](const VolumeId& id) {
            return host.machine->volumes.contains(id) && cloud.world().find<Volume>(id) == nullptr;
        });
    });
}

// They go by a person's word, as soon as their host has seen them.
void clear_strays(Cloud& cloud) {
    for (int round = 0; round < 30 && has_strays(cloud) && cloud.violation().empty(); ++round) {
        for (const UnclaimedLine& line : cloud.unclaimed(DocumentKind::volume))
            cloud.ask_and_wait(Cloud::remove_unclaimed(line.host, line.thing.id));
        cloud.run_for(minutes{2});
    }
}

}  // namespace

std::string clear_away(Cloud& cloud) {
    clear_strays(cloud);
    for (int round = 0; round < 3 && !is_cleared(cloud); ++round) {
        for (Mutation& m : removals(cloud)) cloud.ask_and_wait(std::move(m));
        cloud.run_until([&] { return is_cleared(cloud); }, minutes{10});
        if (!cloud.violation().empty()) return cloud.violation();
    }
    if (!is_cleared(cloud)) {
        for (const Kind kind : {Kind::portforward, Kind::vm, Kind::volume, Kind::image, Kind::network, Kind::task}) {
            for (const auto& [id, object] : cloud.world().all(kind))
                return fmt::format("{} {} is not gone after its deletion", text_of(kind), object->meta.name);
        }
        for (const auto& [kind, id] : plain_things(cloud))
            return fmt::format("{} {} is not gone after its deletion", text_of(kind),
                               cloud.world().get(kind, id)->meta.name);
    }
    cloud.run_until([&] { return cloud.eyes->left_over().empty(); }, minutes{10});
    if (!cloud.eyes->left_over().empty()) return cloud.eyes->left_over();
    for (std::size_t i = 0; i < cloud.hosts.size(); ++i) {
        if (!cloud.hosts[i].machine->volumes.empty()) return fmt::format("h{}: a disk's file is left", i);
        if (!cloud.hosts[i].machine->bridges.empty()) return fmt::format("h{}: a bridge is left", i);
    }
    return cloud.violation();
}

void finish(Play& play, const Cloud& cloud) {
    play.events = cloud.time.events_run();
    play.virtual_ms = cloud.time.now_ms();
    play.log = cloud.log;
    for (std::size_t i = 0; !play.trouble.empty() && i < cloud.hosts.size(); ++i) {
        for (const std::string& line : cloud.hosts[i].machine->log) play.log.push_back(line + fmt::format(" [h{}]", i));
    }
    std::ranges::stable_sort(play.log, {},
                             [](const std::string& line) { return std::strtoll(line.c_str(), nullptr, 10); });
}

std::string how_answered(const Reply& reply) {
    return reply.lost ? "lost" : reply.result ? "ok" : name_of(reply.result.error().code);
}

Play play_with_faults(const History& history) {
    Play play;
    Cloud cloud({.seed = history.seed, .hosts = history.hosts, .drift_ppm = 5'000});
    cloud.furnish();
    for (const Act& act : history.acts) {
        cloud.trace("act: " + text_of(act));
        if (auto mutation = mutation_of(cloud, act)) {
            cloud.ask(std::move(*mutation), [&play, &cloud, verb = act.verb](const Reply& reply) {
                ++play.answers[verb + " " + how_answered(reply)];
                cloud.trace("answer: " + verb + " " + how_answered(reply) +
                            (reply.lost || reply.result ? "" : " " + reply.result.error().message));
            });
        } else {
            befall(cloud, act);
        }
        cloud.run_for(milliseconds{act.wait_ms});
        if (!cloud.violation().empty()) break;
    }
    play.trouble = cloud.violation();
    if (play.trouble.empty()) play.trouble = converge(cloud, minutes{60});
    if (play.trouble.empty()) play.trouble = clear_away(cloud);
    finish(play, cloud);
    return play;
}

// The kind of trouble: its first words, without names and numbers.
static std::string kind_of(const std::string& trouble) {
    std::istringstream in(trouble);
    std::string word, kind;
    for (int i = 0; i < 9 && in >> word; ++i) {
        if (!std::ranges::any_of(word, [](char c) { return c >= '0' && c <= '9'; })) kind += word + " ";
    }
    return kind;
}

bool fail_alike(const std::string& trouble, const std::string& other) {
    return kind_of(trouble) == kind_of(other);
}

History shorten(History history, const std::string& trouble, const Player& play, int tries) {
    for (std::size_t piece = std::max<std::size_t>(history.acts.size() / 2, 1); tries > 0; piece /= 2) {
        for (std::size_t at = 0; at < history.acts.size() && tries > 0;) {
            History shorter = history;
            const auto from = shorter.acts.begin() + static_cast<std::ptrdiff_t>(at);
            const auto count = std::min(piece, shorter.acts.size() - at);
            shorter.acts.erase(from, from + static_cast<std::ptrdiff_t>(count));
            --tries;
            if (fail_alike(play(shorter).trouble, trouble))
                history = std::move(shorter);
            else
                at += piece;
        }
        if (piece == 1) break;
    }
    return history;
}

std::string write_history(const History& history, const std::string& trouble) {
    const char* folder = std::getenv("AXLE_FOUND");
    const std::filesystem::path in = folder != nullptr ? folder : std::filesystem::temp_directory_path();
    const auto path = in / fmt::format("{}-{}.history", history.level, history.seed);
    std::ofstream out(path);
    out << "# " << trouble << "\n" << history.level << " " << history.seed << " " << history.hosts << "\n";
    for (const Act& act : history.acts) out << text_of(act) << "\n";
    return path.string();
}

std::optional<History> read_history(const std::string& path) {
    std::ifstream in(path);
    History history;
    std::string line;
    bool headed = false;
    while (std::getline(in, line)) {
        if (line.empty() || line[0] == '#') continue;
        if (!std::exchange(headed, true)) {
            std::istringstream head(line);
            if (!(head >> history.level >> history.seed >> history.hosts)) return std::nullopt;
            continue;
        }
        auto act = parse_act(line);
        if (!act) return std::nullopt;
        history.acts.push_back(std::move(*act));
    }
    return headed ? std::optional(std::move(history)) : std::nullopt;
}

std::string report(const History& history, const Play& first, const Player& play) {
    const History shorter = std::getenv("TEST_WHOLE") != nullptr ? history : shorten(history, first.trouble, play);
    const Play last = play(shorter);
    const std::string path = write_history(shorter, last.trouble);
    std::string text = fmt::format("seed {}: {}\n{} acts fail like this: {}\nreplay: tests/run replay {}\n",
                                   history.seed, first.trouble, shorter.acts.size(), last.trouble, path);
    const std::size_t tail = std::getenv("TEST_LOG") != nullptr ? 100'000 : 60;
    const std::size_t from = last.log.size() > tail ? last.log.size() - tail : 0;
    for (std::size_t i = from; i < last.log.size(); ++i) text += last.log[i] + "\n";
    return text;
}

std::vector<std::uint64_t> seeds_to_play(std::size_t fixed, std::size_t fresh) {
    const auto number = [](const char* name, std::uint64_t otherwise) {
        const char* given = std::getenv(name);
        return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
    };
    const std::uint64_t first = number("TEST_SEED", 1);
    if (std::getenv("TEST_SEED") != nullptr || std::getenv("SIM_HISTORIES") != nullptr) {
        fixed = number("SIM_HISTORIES", 1);
        fresh = 0;
    }
    std::vector<std::uint64_t> seeds;
    for (std::size_t i = 0; i < fixed; ++i) seeds.push_back(first + i);
    std::random_device chance;
    for (std::size_t i = 0; i < fresh; ++i) seeds.push_back(1'000'000 + chance() % 1'000'000'000);
    return seeds;
}

}  // namespace axle::test
