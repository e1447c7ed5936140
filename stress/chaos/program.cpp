#include "chaos/program.h"

#include <algorithm>

namespace seaway::chaos {

namespace {

constexpr std::uint64_t kMostOps = 4;
constexpr std::uint64_t kFloats = kLargeOpBytes / sizeof(float);

// Tiny ones, ones of one-shot's size, ones of a direct plan with a few chunks, and large ones.
std::uint64_t draw_elements(Random& random, bool may_be_large) {
  const std::uint64_t kind = random.below(100);
  if (kind < 30) {
    return random.between(1, 1000);
  }
  if (kind < 70) {
    return random.between(1000, kFloats / 16);
  }
  if (kind < 85 || !may_be_large) {
    return random.between(kFloats / 16, kFloats / 4);
  }
  return kFloats;
}

}  // namespace

std::vector<OpPlan> ops_of_step(std::uint64_t seed, std::uint64_t step, std::uint64_t bytes) {
  Random random(Random(seed ^ Random(step).next()).next());
  std::vector<OpPlan> ops(bytes > 0 ? 1 : random.one_in(2) ? 1 : random.between(2, kMostOps));
  for (std::size_t i = 0; i < ops.size(); ++i) {
    OpPlan& op = ops[i];
    op.elements = bytes > 0 ? std::max<std::uint64_t>(bytes / sizeof(float), 1) : draw_elements(random, i == 0);
    op.data = random.one_in(2) ? support::Data::floats : support::Data::digits;
    op.data_seed = random.next();
    op.fails_on_loss = bytes == 0 && random.one_in(8);
  }
  return ops;
}

}  // namespace seaway::chaos
