// What people do and what goes wrong, as values that can be drawn from a seed, written down one a line, shortened and
// played again. Things are named by number, so that a line means the same when others are left out.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/cloud/cloud.hpp"

namespace axle::test {

struct Act {
    std::string verb;
    int subject = 0;           // which VM, volume, host, ...
    int object = 0;            // which other thing, or which variant
    std::int64_t number = 0;   // how much, how long
    std::int64_t wait_ms = 0;  // what passes before the next act
    bool operator==(const Act&) const = default;
};
std::string text_of(const Act& act);
std::optional<Act> parse_act(std::string_view line);

struct WeightedVerb {
    const char* verb;
    unsigned weight;
};
const std::vector<WeightedVerb>& user_verbs();
const std::vector<WeightedVerb>& fault_verbs();

Act draw_act(SeededRandom& random, const std::vector<WeightedVerb>& verbs, int hosts, std::int64_t longest_wait_ms);

// What acts name otherwise than by a name that they make themselves.
class Subjects {
  public:
    virtual ~Subjects() = default;
    virtual std::optional<Uuid> deleted(Kind kind, const std::string& name) const = 0;  // the newest
    virtual std::vector<Uuid> open_tasks() const = 0;
    virtual std::string host(int number) const = 0;  // any number names one
};

// The mutation that a user's act is, or nothing: the act is no mutation, or its subject is not there to be named.
std::optional<Mutation> mutation_of(const Subjects& subjects, const Act& act);
std::optional<Mutation> mutation_of(const Cloud& cloud, const Act& act);
// Faults and what guests do. false: the verb is none of these.
bool befall(Cloud& cloud, const Act& act);

constexpr int kVms = 6, kVolumes = 4, kImages = 6;
std::string vm_name(int number);
std::string volume_name(int number);
std::string network_name(int number);
std::string image_name(int number);
constexpr int kVmPatches = 6;             // "vm-patch" does so many things, by Act::number
std::string vm_tie(const Act& act);       // what a "vm-create" names beside disks and network: "group0", or ""
std::string volume_pool(const Act& act);  // that a "volume-create" names; "": the default one
// A volume file that a "stray-file" brings to a host, and the name that it is adopted by.
VolumeId stray_id(const std::string& host, const Act& act);
std::string stray_name(const Uuid& stray);

}  // namespace axle::test
