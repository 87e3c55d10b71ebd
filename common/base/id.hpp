// Identities: UUIDs as 16 bytes, made as UUIDv7 (RFC 9562) so that they sort by age.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <endian.h>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"

namespace axle {

struct Uuid {
    std::array<std::uint8_t, 16> bytes{};

    bool operator==(const Uuid&) const = default;
    // Byte by byte, which is the order of the text as well; in two steps, for maps of a million ids live by it.
    std::strong_ordering operator<=>(const Uuid& other) const {
        if (const auto first = half(0) <=> other.half(0); first != 0) return first;
        return half(8) <=> other.half(8);
    }
    explicit operator bool() const { return *this != Uuid{}; }
    std::string str() const;  // 8-4-4-4-12, lower case
    static std::optional<Uuid> parse(std::string_view text);
    // Millisecond of the wall clock and 74 random bits. Not monotonic within a millisecond.
    static Uuid make_v7(WallTime now, Random& random);

  private:
    std::uint64_t half(std::size_t offset) const {
        std::uint64_t bits;
        std::memcpy(&bits, bytes.data() + offset, sizeof bits);
        return be64toh(bits);
    }
};

// Ids of different things don't mix: Id<struct VmTag>.
template <typename Tag>
struct Id : Uuid {
    Id() = default;
    explicit Id(const Uuid& u) : Uuid(u) {}
    auto operator<=>(const Id&) const = default;
};
using VmId = Id<struct VmTag>;
using VolumeId = Id<struct VolumeTag>;
using NetworkId = Id<struct NetworkTag>;
using PoolId = Id<struct PoolTag>;
using HostId = Id<struct HostTag>;
using TaskId = Id<struct TaskTag>;

// First 12 base32 characters (RFC 4648 alphabet, lower case) of SHA-256 over the id's text: the tail of our interfaces'
// names.
std::string short_hash(const Uuid& id);

}  // namespace axle

template <>
struct std::hash<axle::Uuid> {
    std::size_t operator()(const axle::Uuid& u) const noexcept {
        std::size_t h = 0;
        for (std::size_t i = 8; i < 16; ++i) h = h << 8 | u.bytes[i];  // the random half
        return h;
    }
};
template <typename Tag>
struct std::hash<axle::Id<Tag>> : std::hash<axle::Uuid> {};
