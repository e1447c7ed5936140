// The one definition of what a codec computes, element by element. The scalar kernels and a CUDA compiler use it as it
// stands; the SIMD kernels repeat it in vector instructions and are tested to give the same bits.
//
// A block of q8 or q4:  scale = scale_of<Q>(largest magnitude), code = nearest(x, inverse_of(scale)) or
// stochastic<Q>(x, inverse_of(scale), draw), value = value_of(code, scale). Where the scale is NaN the codes are 0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "reduce/math.h"

namespace seaway::math {

// kLargestScale is the largest bf16 whose product with kLargestCode is finite: 127 * 1.0078125 * 2^121 and
// 7 * 1.140625 * 2^125. The scale of the largest float, rounded up, would be beyond it.
struct Q8 {
  static constexpr std::size_t kBlock = 256;
  static constexpr std::int32_t kLargestCode = 127;
  static constexpr std::uint32_t kLargestScale = 0x7c01;
};
struct Q4 {
  static constexpr std::size_t kBlock = 32;
  static constexpr std::int32_t kLargestCode = 7;
  static constexpr std::uint32_t kLargestScale = 0x7e12;
};
inline constexpr std::uint32_t kLeastScale = 0x0080;  // 2^-126
inline constexpr std::uint16_t kNanScale = Bf16::kNan;

SEAWAY_HD inline std::uint32_t magnitude_bits(float value) { return bits_as<std::uint32_t>(value) & 0x7fffffffu; }

// `largest` is the largest of the block's magnitude_bits: NaN and Inf are larger than every number.
template <class Q>
SEAWAY_HD inline std::uint16_t scale_of(std::uint32_t largest) {
  if (largest >= F32::kInfinity) {
    return kNanScale;
  }
  const float quotient = bits_as<float>(largest) / static_cast<float>(Q::kLargestCode);
  std::uint32_t scale = (bits_as<std::uint32_t>(quotient) + 0xffffu) >> 16;  // to a bf16, away from zero
  scale = scale < kLeastScale ? kLeastScale : scale;
  scale = scale > Q::kLargestScale ? Q::kLargestScale : scale;
  return static_cast<std::uint16_t>(scale);
}

SEAWAY_HD inline float inverse_of(std::uint16_t scale) { return 1.0f / bf16_to_f32(scale); }

// Rounds to nearest even what is at most 2^22: added to 1.5 * 2^23 a number has no digits left behind its point.
SEAWAY_HD inline std::int32_t to_integer(float value) {
  return static_cast<std::int32_t>(bits_as<std::uint32_t>(value + 12582912.0f) - 0x4b400000u);
}

// A scale is so large that x / scale is at most a code's largest and a little: this needs no bound.
SEAWAY_HD inline std::int32_t nearest(float x, float inverse) { return to_integer(product(x, inverse)); }

// `draw` is 16 random bits, of which 15 decide: the code counts steps of 2^-15 until they are added. Here the little beyond
// the largest code can carry into the next.
template <class Q>
SEAWAY_HD inline std::int32_t stochastic(float x, float inverse, std::uint32_t draw) {
  const std::int32_t steps = to_integer(product(product(x, inverse), 32768.0f));
  const std::int32_t code = (steps + static_cast<std::int32_t>(draw >> 1)) >> 15;
  const std::int32_t bounded = code > Q::kLargestCode ? Q::kLargestCode : code;
  return bounded < -Q::kLargestCode ? -Q::kLargestCode : bounded;
}

// Exact, whatever the code's bits. A NaN is made canonical when it is stored.
SEAWAY_HD inline float value_of(std::int32_t code, float scale) { return product(static_cast<float>(code), scale); }

// The 16 bits that a bf16 drops decide by their size whether it is the next one. Infinity stays.
SEAWAY_HD inline std::uint16_t bf16_stochastic(float value, std::uint32_t draw) {
  const std::uint32_t bits = bits_as<std::uint32_t>(value);
  return magnitude_bits(value) > F32::kInfinity ? Bf16::kNan : static_cast<std::uint16_t>((bits + draw) >> 16);
}

// The residual that error feedback keeps.
SEAWAY_HD inline float lost(float wanted, float sent) {
  const float rest = wanted - sent;
  return magnitude_bits(rest) < F32::kInfinity ? rest : 0.0f;
}

// --- random bits -----------------------------------------------------------------------------------------------------

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
inline constexpr std::uint32_t kPhiloxMultiplier0 = 0xd2511f53u;
inline constexpr std::uint32_t kPhiloxMultiplier1 = 0xcd9e8d57u;
inline constexpr std::uint32_t kPhiloxKeyStep0 = 0x9e3779b9u;
inline constexpr std::uint32_t kPhiloxKeyStep1 = 0xbb67ae85u;
inline constexpr int kPhiloxRounds = 10;

struct Philox {
  std::uint32_t word[4];
};

SEAWAY_HD inline Philox philox(Philox counter, std::uint64_t key) {
  std::uint32_t key0 = static_cast<std::uint32_t>(key);
  std::uint32_t key1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const std::uint64_t left = std::uint64_t{kPhiloxMultiplier0} * counter.word[0];
    const std::uint64_t right = std::uint64_t{kPhiloxMultiplier1} * counter.word[2];
    counter = {{static_cast<std::uint32_t>(right >> 32) ^ counter.word[1] ^ key0, static_cast<std::uint32_t>(right),
                static_cast<std::uint32_t>(left >> 32) ^ counter.word[3] ^ key1, static_cast<std::uint32_t>(left)}};
    key0 += kPhiloxKeyStep0;
    key1 += kPhiloxKeyStep1;
  }
  return counter;
}

// 128 elements share 16 counters, of 8 draws of 16 bits each. Element i of a chunk has draw i % 128 / 16 of the counter
// i / 128 * 16 + i % 16; draws 2w and 2w + 1 are the low and the high half of word w. So 16 neighbours have the same half of
// the same word of 16 counters, which is how vectors hold them.
inline constexpr std::size_t kDrawGroup = 128;

SEAWAY_HD inline Philox philox_counter(std::uint32_t counter, std::uint64_t stream) {
  return {{counter, static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32), 0}};
}

SEAWAY_HD inline std::uint32_t draw_of(std::uint64_t element, std::uint64_t key, std::uint64_t stream) {
  const std::uint32_t counter = static_cast<std::uint32_t>(element / kDrawGroup * 16 + element % 16);
  const std::uint64_t draw = element % kDrawGroup / 16;
  const std::uint32_t word = philox(philox_counter(counter, stream), key).word[draw / 2];
  return draw % 2 == 0 ? word & 0xffffu : word >> 16;
}

}  // namespace seaway::math
