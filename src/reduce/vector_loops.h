// The loops of the vector kernels, by rows of 32 elements. `Lanes` says what a row is in the registers of a variant; it lives
// in an unnamed namespace, for the reason that fold.h gives.
//
// Lanes:  Row (32 f32): load, store, add, subtract, multiply by a float, canonical
//         Sums (32 f64): add_squares(Sums, Row), store_sums
#pragma once

#include <cstddef>
#include <cstring>

#include "base/assert.h"
#include "reduce/fp_environment.h"
#include "reduce/math.h"
#include "reduce/vector.h"

namespace seaway {

constexpr std::size_t kVectorRow = 32;
constexpr std::size_t kVectorRowBytes = kVectorRow * 4;

// The row at element `at`. The last one of a vector may be short; its missing lanes are zeros, computed and then dropped.
template <class Lanes>
[[gnu::always_inline]] inline typename Lanes::Row load_row(const void* from, std::size_t at, std::size_t left) {
  const std::byte* data = static_cast<const std::byte*>(from) + at * 4;
  if (left >= kVectorRow) {
    return Lanes::load(data);
  }
  std::byte padded[kVectorRowBytes] = {};
  std::memcpy(padded, data, left * 4);
  return Lanes::load(padded);
}

template <class Lanes>
[[gnu::always_inline]] inline void store_row(void* to, std::size_t at, std::size_t left,
                                             const typename Lanes::Row& row) {
  std::byte* data = static_cast<std::byte*>(to) + at * 4;
  if (left >= kVectorRow) {
    return Lanes::store(data, row);
  }
  std::byte padded[kVectorRowBytes];
  Lanes::store(padded, row);
  std::memcpy(data, padded, left * 4);
}

// Not inlined, here and below, so that no arithmetic moves out of the environment that the caller sets.
template <class Lanes>
[[gnu::noinline]] void lincomb_all(const LincombArgs& args) {
  const Term* const terms = args.terms.data();
  for (std::size_t at = 0; at < args.count; at += kVectorRow) {
    const std::size_t left = args.count - at;
    auto sum = Lanes::multiply(load_row<Lanes>(terms[0].x, at, left), terms[0].factor);
    for (std::size_t i = 1; i < args.terms.size(); ++i) {
      sum = Lanes::add(sum, Lanes::multiply(load_row<Lanes>(terms[i].x, at, left), terms[i].factor));
    }
    store_row<Lanes>(args.dst, at, left, Lanes::canonical(sum));
  }
}

template <class Lanes>
void lincomb_with(const LincombArgs& args) {
  SEAWAY_ASSERT(!args.terms.empty(), "a linear combination needs at least one term");
  const FpEnvironment environment;
  lincomb_all<Lanes>(args);
}

template <class Lanes>
[[gnu::always_inline]] inline double squares_of_block(const void* x, std::size_t begin, std::size_t end) {
  typename Lanes::Sums sums{};
  for (std::size_t at = begin; at < end; at += kVectorRow) {
    sums = Lanes::add_squares(sums, load_row<Lanes>(x, at, end - at));
  }
  double partial[kVectorRow];
  Lanes::store_sums(partial, sums);
  for (std::size_t half = kVectorRow / 2; half > 0; half /= 2) {
    for (std::size_t j = 0; j < half; ++j) {
      partial[j] += partial[j + half];
    }
  }
  return partial[0];
}

template <class Lanes>
[[gnu::noinline]] double sqnorm_all(const void* x, std::size_t count) {
  constexpr std::size_t kBlock = math::kSquaresBlock;
  static_assert(kBlock % kVectorRow == 0);
  double sum = 0;
  for (std::size_t at = 0; at < count; at += kBlock) {
    sum += squares_of_block<Lanes>(x, at, count - at < kBlock ? count : at + kBlock);
  }
  return math::canonical(sum);
}

template <class Lanes>
double sqnorm_with(const void* x, std::size_t count) {
  const FpEnvironment environment;
  return sqnorm_all<Lanes>(x, count);
}

template <class Lanes>
[[gnu::noinline]] void outer_step_all(const OuterStepArgs& args) {
  for (std::size_t at = 0; at < args.count; at += kVectorRow) {
    const std::size_t left = args.count - at;
    const auto gradient = load_row<Lanes>(args.gradient, at, left);
    const auto buf = Lanes::add(Lanes::multiply(load_row<Lanes>(args.buf, at, left), args.momentum), gradient);
    const auto step = args.nesterov ? Lanes::add(Lanes::multiply(buf, args.momentum), gradient) : buf;
    const auto theta = Lanes::subtract(load_row<Lanes>(args.theta, at, left), Lanes::multiply(step, args.rate));
    store_row<Lanes>(args.buf, at, left, Lanes::canonical(buf));
    store_row<Lanes>(args.theta, at, left, Lanes::canonical(theta));
  }
}

template <class Lanes>
void outer_step_with(const OuterStepArgs& args) {
  const FpEnvironment environment;
  outer_step_all<Lanes>(args);
}

// A table is a constant: it needs no code at start-up, which for a variant the processor lacks would be code it cannot run.
template <class Lanes>
consteval VectorKernels vector_table(const char* name) {
  return {name, lincomb_with<Lanes>, sqnorm_with<Lanes>, outer_step_with<Lanes>};
}

}  // namespace seaway
