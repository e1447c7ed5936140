// Content hashes: XXH3 (seed 0), the canonical values of the published specification. Not cryptographic: they find a
// difference between honest copies, they do not stop someone who wants a collision.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace seaway {

struct Hash128 {
  std::uint64_t low;
  std::uint64_t high;
  bool operator==(const Hash128&) const = default;
};

std::uint64_t hash64(std::span<const std::byte> data);
Hash128 hash128(std::span<const std::byte> data);

// The root over the hashes of fixed leaves, in order: hash64 of the leaves as little-endian bytes.
std::uint64_t combine(std::span<const std::uint64_t> leaves);

}  // namespace seaway
