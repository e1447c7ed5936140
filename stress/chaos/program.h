// What everybody trains: a pure function of the seed and the step, so that a newcomer knows it from the number of its update.
#pragma once

#include <cstdint>
#include <vector>

#include "support/data.h"

namespace seaway::chaos {

inline constexpr unsigned kMostReplicas = 8;  // a base-8 digit of a float each
inline constexpr std::uint64_t kLargeOpBytes = 16ull << 20;

struct OpPlan {
  std::uint64_t elements = 0;
  support::Data data = support::Data::digits;
  std::uint64_t data_seed = 0;
  bool fails_on_loss = false;
};

// The ops of a step, all in flight at once; the tag of each is its place, counted from 1. With `bytes` > 0 it is one of that size.
std::vector<OpPlan> ops_of_step(std::uint64_t seed, std::uint64_t step, std::uint64_t bytes);

}  // namespace seaway::chaos
