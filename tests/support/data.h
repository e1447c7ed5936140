// What the peers of a test with processes contribute, so that each can say what any sum has to be.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

#include "base/random.h"

namespace seaway::support {

inline bool is_one(std::uint64_t seed, std::uint64_t element) {
  return (Random(seed ^ (element / 64)).next() >> (element % 64) & 1) != 0;
}

// Peer r contributes 8^r or 0, everyone at the same elements. A sum written in base 8 says how often each peer counts.
inline float digit_of(std::uint64_t seed, unsigned rank, std::uint64_t element) {
  return is_one(seed, element) ? static_cast<float>(1u << (3 * rank)) : 0.0F;
}

// Floats between 2^-12 and 2^12 of either sign, so that the order of additions shows in the bits.
inline float float_of(std::uint64_t seed, unsigned rank, std::uint64_t element) {
  const std::uint64_t bits = Random(seed * 31 + rank * 0x9e3779b9u + element).next();
  const auto exponent = static_cast<std::uint32_t>(115 + bits % 24);
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits >> 41) | exponent << 23 |
                              static_cast<std::uint32_t>(bits >> 40 & 1) << 31);
}

enum class Data : std::uint8_t { digits, floats };

inline float value_of(Data data, std::uint64_t seed, unsigned rank, std::uint64_t element) {
  return data == Data::digits ? digit_of(seed, rank, element) : float_of(seed, rank, element);
}

void fill(Data data, std::uint64_t seed, unsigned rank, std::span<float> input);

// The sum over these ranks, added in this order.
float sum_of(Data data, std::uint64_t seed, std::span<const unsigned> ranks, std::uint64_t element);

// The first element whose bits are not those that it has to have; the number of elements when there is none.
std::uint64_t first_wrong(Data data, std::uint64_t seed, std::span<const unsigned> ranks,
                          std::span<const float> result);
std::uint64_t first_changed(Data data, std::uint64_t seed, unsigned rank, std::span<const float> input);

}  // namespace seaway::support
