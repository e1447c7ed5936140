// Content hashes: XXH3 (seed 0), the canonical values of the published specification. Not cryptographic: they find a
// difference between honest copies, they do not stop someone who wants a collision.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace seaway {

struct Hash128 {
  std::uint64_t low;
  std::uint64_t high;
  bool operator==(const Hash128&) const = default;
};

std::uint64_t hash64(std::span<const std::byte> data);

// hash64 of data that comes piece by piece: each is hashed while whoever made it still has it in the cache. For tensors;
// several variants with the same values, of which somebody above the purity line chooses by the processor.
class Hasher64 {
 public:
  virtual ~Hasher64() = default;
  virtual void reset() = 0;
  virtual void add(std::span<const std::byte> piece) = 0;
  virtual std::uint64_t value() const = 0;  // of all pieces since reset()
};
std::unique_ptr<Hasher64> scalar_hasher();  // runs everywhere
std::unique_ptr<Hasher64> avx2_hasher();    // needs AVX2; null when not compiled in

Hash128 hash128(std::span<const std::byte> data);

// The root over the hashes of fixed leaves, in order: hash64 of the leaves as little-endian bytes.
std::uint64_t combine(std::span<const std::uint64_t> leaves);

}  // namespace seaway
