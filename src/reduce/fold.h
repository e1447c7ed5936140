// The shape of every reduction kernel: which element meets which source in which order. `Lanes` says what a vector of
// elements is and how to load, combine and store it; a variant is a set of Lanes.
//
// The accumulators of a block stay in registers while the sources are read one after another, so that each source is
// read once, dst is written once, and dst may be one of the sources.
//
// Lanes:  Value, Weight, kWidth (elements), kElementSize (bytes), kWeighted
//         static Value load(const std::byte*, Weight)
//         static Value combine(Value, Value)
//         static void store(std::byte*, Value, const math::Finish<Weight>&)
//
// Lanes live in unnamed namespaces. That gives the templates here internal linkage: code compiled for AVX2 must never
// be the copy that the linker keeps for everyone. For the same reason nothing else here is inline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/assert.h"
#include "base/mutant.h"
#include "reduce/fp_environment.h"
#include "reduce/math.h"
#include "reduce/reduce.h"

namespace seaway {

template <class Lanes>
struct Fold {
  const Source* sources;
  std::size_t source_count;
  std::size_t first;  // the first source that contributes; source_count when none does
  std::byte* dst;
  math::Finish<typename Lanes::Weight> finish;
};

// Loads one vector. The last one of an operand may be short; its missing lanes are zeros, computed and then dropped.
template <class Lanes, bool kShort>
[[gnu::always_inline]] inline typename Lanes::Value load_vector(const Source& source, std::size_t offset,
                                                                std::size_t bytes) {
  const std::byte* data = static_cast<const std::byte*>(source.data) + offset;
  typename Lanes::Weight weight{};
  if constexpr (Lanes::kWeighted) {
    weight = static_cast<typename Lanes::Weight>(source.weight);
  }
  if constexpr (kShort) {
    std::byte padded[Lanes::kWidth * Lanes::kElementSize] = {};
    std::memcpy(padded, data, bytes);
    return Lanes::load(padded, weight);
  } else {
    return Lanes::load(data, weight);
  }
}

// Folds kVectors vectors that start `offset` bytes into the operands. `bytes` counts only if kShort.
template <class Lanes, std::size_t kVectors, bool kShort>
[[gnu::always_inline]] inline void fold_block(const Fold<Lanes>& fold, std::size_t offset, std::size_t bytes) {
  constexpr std::size_t kVectorBytes = Lanes::kWidth * Lanes::kElementSize;
  typename Lanes::Value accumulator[kVectors] = {};
  if (fold.first < fold.source_count) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      accumulator[v] = load_vector<Lanes, kShort>(fold.sources[fold.first], offset + v * kVectorBytes, bytes);
    }
  }
  for (std::size_t s = fold.first + 1; s < fold.source_count; ++s) {
    if constexpr (Lanes::kWeighted) {
      if (static_cast<typename Lanes::Weight>(fold.sources[s].weight) == 0) {
        continue;
      }
    }
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      accumulator[v] =
          Lanes::combine(accumulator[v], load_vector<Lanes, kShort>(fold.sources[s], offset + v * kVectorBytes, bytes));
    }
  }
  if constexpr (kShort) {
    std::byte padded[kVectorBytes];
    Lanes::store(padded, accumulator[0], fold.finish);
    std::memcpy(fold.dst + offset, padded, bytes);
  } else {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      Lanes::store(fold.dst + offset + v * kVectorBytes, accumulator[v], fold.finish);
    }
  }
}

// Not inlined, so that no arithmetic, not even a weight's conversion, moves out of the environment that reduce() sets.
template <class Lanes, std::size_t kUnroll>
[[gnu::noinline]] void fold_all(const ReduceArgs& args) {
  using Weight = typename Lanes::Weight;
  constexpr std::size_t kVectorBytes = Lanes::kWidth * Lanes::kElementSize;

  Fold<Lanes> fold{};
  fold.sources = args.sources.data();
  fold.source_count =
      MUTANT(reduce_skips_last_source, args.sources.size(), args.sources.size() - (args.sources.size() > 1 ? 1 : 0));
  fold.dst = static_cast<std::byte*>(args.dst);
  fold.finish.weight_sum =
      static_cast<Weight>(MUTANT(avg_divides_by_count, args.weight_sum, static_cast<double>(args.sources.size())));
  fold.finish.canonical = MUTANT(nan_not_canonical, true, false);
  if constexpr (Lanes::kWeighted) {
    while (fold.first < fold.source_count && static_cast<Weight>(fold.sources[fold.first].weight) == 0) {
      ++fold.first;
    }
  }

  const std::size_t count = MUTANT(reduce_skips_last_element, args.count, args.count - (args.count > 0 ? 1 : 0));
  const std::size_t bytes = count * Lanes::kElementSize;
  std::size_t offset = 0;
  for (; bytes - offset >= kUnroll * kVectorBytes; offset += kUnroll * kVectorBytes) {
    fold_block<Lanes, kUnroll, false>(fold, offset, 0);
  }
  for (; bytes - offset >= kVectorBytes; offset += kVectorBytes) {
    fold_block<Lanes, 1, false>(fold, offset, 0);
  }
  if (offset < bytes) {
    fold_block<Lanes, 1, true>(fold, offset, bytes - offset);
  }
}

template <class Lanes, std::size_t kUnroll>
void reduce_with(const ReduceArgs& args) {
  SEAWAY_ASSERT(!args.sources.empty(), "a reduction needs at least one source");
  const FpEnvironment environment;
  fold_all<Lanes, kUnroll>(args);
}

// --- arithmetic, for whatever vectors of floats F has ------------------------------------------------------------------

template <class F>
struct SumLanes : F {
  using typename F::Value;
  using typename F::Weight;
  static constexpr bool kWeighted = false;
  static Value load(const std::byte* data, Weight) { return F::widen(data); }
  static Value combine(Value a, Value b) { return F::add(a, b); }
  static void store(std::byte* data, Value a, const math::Finish<Weight>& finish) {
    F::narrow(data, finish.canonical ? F::canonical(a) : a);
  }
};

template <class F>
struct ProdLanes : SumLanes<F> {
  using typename F::Value;
  static Value combine(Value a, Value b) { return F::multiply(a, b); }
};

template <class F>
struct AvgLanes : SumLanes<F> {
  using typename F::Value;
  using typename F::Weight;
  static constexpr bool kWeighted = true;
  static Value load(const std::byte* data, Weight weight) { return F::multiply(F::widen(data), weight); }
  static void store(std::byte* data, Value a, const math::Finish<Weight>& finish) {
    SumLanes<F>::store(data, F::divide(a, finish.weight_sum), finish);
  }
};

}  // namespace seaway
