// The vector arithmetic of f64: math.h, element by element. And what is left to the host of a device's squared norm.
#include <cstddef>
#include <cstring>

#include "base/assert.h"
#include "reduce/fp_environment.h"
#include "reduce/math.h"
#include "reduce/vector.h"

namespace seaway {
namespace {

double load(const void* from, std::size_t at) {
  double value = 0;
  std::memcpy(&value, static_cast<const std::byte*>(from) + at * sizeof value, sizeof value);
  return value;
}

void store(void* to, std::size_t at, double value) {
  std::memcpy(static_cast<std::byte*>(to) + at * sizeof value, &value, sizeof value);
}

// Not inlined, here and below, so that no arithmetic moves out of the environment that the caller sets.
[[gnu::noinline]] void lincomb_all(const LincombOf<double>& args) {
  const TermOf<double>* const terms = args.terms.data();
  for (std::size_t at = 0; at < args.count; ++at) {
    double sum = math::product(load(terms[0].x, at), terms[0].factor);
    for (std::size_t i = 1; i < args.terms.size(); ++i) {
      sum += math::product(load(terms[i].x, at), terms[i].factor);
    }
    store(args.dst, at, math::canonical(sum));
  }
}

[[gnu::noinline]] double sum_all(std::span<const double> sums) {
  double sum = 0;
  for (const double each : sums) {
    sum += each;
  }
  return math::canonical(sum);
}

[[gnu::noinline]] void outer_step_all(const OuterStepOf<double>& args) {
  for (std::size_t at = 0; at < args.count; ++at) {
    const math::OuterState<double> next = math::outer_step<double>(
        {load(args.theta, at), load(args.buf, at)}, load(args.gradient, at), args.rate, args.momentum, args.nesterov);
    store(args.theta, at, next.theta);
    store(args.buf, at, next.buf);
  }
}

}  // namespace

void lincomb_f64(const LincombOf<double>& args) {
  SEAWAY_ASSERT(!args.terms.empty(), "a linear combination needs at least one term");
  const FpEnvironment environment;
  lincomb_all(args);
}

double sqnorm_of_blocks(std::span<const double> sums) {
  const FpEnvironment environment;
  return sum_all(sums);
}

void outer_step_f64(const OuterStepOf<double>& args) {
  const FpEnvironment environment;
  outer_step_all(args);
}

}  // namespace seaway
