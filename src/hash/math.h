// XXH3 of more than 240 bytes, with the default secret and seed 0, as the specification of xxHash has it (Collet: "XXH3
// algorithm overview", doc/xxhash_spec.md of xxHash 0.8.2). The host uses the library; this is for who cannot: a CUDA compiler.
//
// Eight accumulators go over the data in blocks of 1,024 bytes, of 16 stripes of 64. Inside of a block stripes add up, in any
// order; after each block the accumulators are scrambled, one block after the other. Of the last block, which is not scrambled
// and has 1 to 1,024 bytes, all whole stripes but the last count, and then the last 64 bytes of the data.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/host_device.h"

namespace seaway::math {

struct Xxh3 {
  static constexpr std::size_t kShort = 240;  // up to here it is another function
  static constexpr std::size_t kBlock = 1024;
  static constexpr std::size_t kStripe = 64;
  static constexpr std::size_t kStripes = kBlock / kStripe;
  static constexpr unsigned kLanes = 8;
  // Where in the secret these begin, in bytes.
  static constexpr unsigned kScramble = 128;
  static constexpr unsigned kLastStripe = 121;
  static constexpr unsigned kLow = 11;
  static constexpr unsigned kHigh = 117;

  static constexpr std::uint64_t kPrime32 = 0x9e3779b1u;
  static constexpr std::uint64_t kPrimeLow = 0x9e3779b185ebca87u;
  static constexpr std::uint64_t kPrimeHigh = 0xc2b2ae3d27d4eb4fu;
};

// Eight bytes of the secret, little-endian.
SEAWAY_HD inline std::uint64_t xxh3_secret(unsigned byte) {
  static constexpr std::uint64_t words[] = {
      0xbe4ba423396cfeb8u, 0x1cad21f72c81017cu, 0xdb979083e96dd4deu, 0x1f67b3b7a4a44072u, 0x78e5c0cc4ee679cbu,
      0x2172ffcc7dd05a82u, 0x8e2443f7744608b8u, 0x4c263a81e69035e0u, 0xcb00c391bb52283cu, 0xa32e531b8b65d088u,
      0x4ef90da297486471u, 0xd8acdea946ef1938u, 0x3f349ce33f76faa8u, 0x1d4f0bc7c7bbdcf9u, 0x3159b4cd4be0518au,
      0x647378d9c97e9fc8u, 0xc3ebd33483acc5eau, 0xeb6313faffa081c5u, 0x49daf0b751dd0d17u, 0x9e68d429265516d3u,
      0xfca1477d58be162bu, 0xce31d07ad1b8f88fu, 0x280416958f3acb45u, 0x7e404bbbcafbd7afu,
  };
  const unsigned shift = byte % 8 * 8;
  const std::uint64_t low = words[byte / 8] >> shift;
  return shift == 0 ? low : low | words[byte / 8 + 1] << (64 - shift);
}

SEAWAY_HD inline std::uint64_t xxh3_start(unsigned lane) {
  static constexpr std::uint64_t starts[] = {0xc2b2ae3du,         0x9e3779b185ebca87u, 0xc2b2ae3d27d4eb4fu,
                                             0x165667b19e3779f9u, 0x85ebca77c2b2ae63u, 0x85ebca77u,
                                             0x27d4eb2f165667c5u, 0x9e3779b1u};
  return starts[lane];
}

// What eight bytes of a stripe add to their own lane. To the lane beside it (lane ^ 1) they add themselves.
SEAWAY_HD inline std::uint64_t xxh3_product(std::uint64_t data, std::uint64_t secret) {
  const std::uint64_t keyed = data ^ secret;
  return (keyed & 0xffffffffu) * (keyed >> 32);
}

SEAWAY_HD inline std::uint64_t xxh3_scramble(std::uint64_t lane, std::uint64_t secret) {
  return (lane ^ lane >> 47 ^ secret) * Xxh3::kPrime32;
}

SEAWAY_HD inline std::uint64_t xxh3_fold(std::uint64_t left, std::uint64_t right) {
#ifdef __CUDA_ARCH__
  return (left * right) ^ __umul64hi(left, right);
#else
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(left) * right;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
#endif
}

// What the eight lanes come to.
SEAWAY_HD inline std::uint64_t xxh3_merge(const std::uint64_t* lanes, unsigned secret, std::uint64_t start) {
  std::uint64_t sum = start;
  for (unsigned i = 0; i < Xxh3::kLanes; i += 2) {
    sum += xxh3_fold(lanes[i] ^ xxh3_secret(secret + 8 * i), lanes[i + 1] ^ xxh3_secret(secret + 8 * i + 8));
  }
  sum = (sum ^ sum >> 37) * 0x165667919e3779f9u;
  return sum ^ sum >> 32;
}

// The halves of XXH3_128bits; the low one is XXH3_64bits.
SEAWAY_HD inline std::uint64_t xxh3_low(const std::uint64_t* lanes, std::uint64_t bytes) {
  return xxh3_merge(lanes, Xxh3::kLow, bytes * Xxh3::kPrimeLow);
}
SEAWAY_HD inline std::uint64_t xxh3_high(const std::uint64_t* lanes, std::uint64_t bytes) {
  return xxh3_merge(lanes, Xxh3::kHigh, ~(bytes * Xxh3::kPrimeHigh));
}

}  // namespace seaway::math
