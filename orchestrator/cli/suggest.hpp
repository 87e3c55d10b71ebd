// What a person may have meant who misspelt a command, an option or a kind. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace axle::cli {

// How many letters were added, left out, exchanged or swapped with their neighbour.
std::size_t edit_distance(std::string_view a, std::string_view b);
// The nearest that is near enough to be meant; empty: none is.
std::string nearest(std::string_view word, const std::vector<std::string>& words);

struct Misspelt {
    std::string message;  // what there isn't; empty: it is something else that is wrong
    std::string meant;    // the command up to there as it is probably meant, "axle vm create"; empty: nobody knows
};
// Of a line that could not be parsed: the first word that is no command, or no option of its command.
Misspelt misspelt_in(CLI::App& app, const std::vector<std::string>& args);

// The name of a kind, or its plural.
std::string nearest_kind(std::string_view word);

}  // namespace axle::cli
