#include "support/data.h"

#include <algorithm>

namespace seaway::support {

namespace {

bool same_bits(float a, float b) { return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b); }

// Of digits, whose sum is the same number wherever it is not 0: a random number serves for 64 of them.
std::uint64_t first_other_than(float one, std::uint64_t seed, std::span<const float> values) {
  for (std::uint64_t block = 0; block < values.size(); block += 64) {
    const std::uint64_t bits = Random(seed ^ (block / 64)).next();
    const std::uint64_t end = std::min<std::uint64_t>(block + 64, values.size());
    for (std::uint64_t i = block; i < end; ++i) {
      if (!same_bits(values[i], (bits >> (i - block) & 1) != 0 ? one : 0.0F)) {
        return i;
      }
    }
  }
  return values.size();
}

}  // namespace

void fill(Data data, std::uint64_t seed, unsigned rank, std::span<float> input) {
  for (std::uint64_t i = 0; i < input.size(); ++i) {
    input[i] = value_of(data, seed, rank, i);
  }
}

float sum_of(Data data, std::uint64_t seed, std::span<const unsigned> ranks, std::uint64_t element) {
  float sum = value_of(data, seed, ranks.front(), element);
  for (const unsigned rank : ranks.subspan(1)) {
    sum += value_of(data, seed, rank, element);
  }
  return sum;
}

std::uint64_t first_wrong(Data data, std::uint64_t seed, std::span<const unsigned> ranks,
                          std::span<const float> result) {
  if (data == Data::digits) {
    float one = 0;
    for (const unsigned rank : ranks) {
      one += static_cast<float>(1u << (3 * rank));
    }
    return first_other_than(one, seed, result);
  }
  std::uint64_t i = 0;
  while (i < result.size() && same_bits(result[i], sum_of(data, seed, ranks, i))) {
    ++i;
  }
  return i;
}

std::uint64_t first_changed(Data data, std::uint64_t seed, unsigned rank, std::span<const float> input) {
  if (data == Data::digits) {
    return first_other_than(static_cast<float>(1u << (3 * rank)), seed, input);
  }
  std::uint64_t i = 0;
  while (i < input.size() && same_bits(input[i], value_of(data, seed, rank, i))) {
    ++i;
  }
  return i;
}

}  // namespace seaway::support
