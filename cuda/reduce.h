// The bodies of reductions and of the arithmetic on vectors, by element: no thread needs another, but for squares. A pack is what a
// thread takes at once, 16 bytes where all pointers are aligned to that.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/codec.h"
#include "device/calls.h"
#include "reduce/math.h"

namespace seaway::cuda {

struct ReduceWork {
  unsigned char* dst;
  std::uint64_t first;  // element
  std::uint64_t end;
  double weight_sum;
  std::uint32_t source_count;
  struct Source {
    const unsigned char* data;
    double weight;
  } sources[kMostSources];
};

inline constexpr std::size_t kPackBytes = 16;

template <class T, unsigned kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T at[kCount];
};

// Packs of kCount elements from `first` on; what is left over is the caller's.
template <class Operation, unsigned kCount>
SEAWAY_HD inline void reduce_some(const ReduceWork& work, std::uint64_t number, std::uint64_t threads) {
  using Stored = typename Operation::Stored;
  using Weight = typename Operation::Weight;
  using Packed = Pack<Stored, kCount>;
  for (std::uint64_t at = work.first + number * kCount; at + kCount <= work.end; at += threads * kCount) {
    typename Operation::Value value[kCount] = {};
    bool is_first = true;
    for (std::uint32_t source = 0; source < work.source_count; ++source) {
      const Weight weight = static_cast<Weight>(work.sources[source].weight);
      if (Operation::kWeighted && weight == 0) {
        continue;
      }
      const Packed loaded = *reinterpret_cast<const Packed*>(work.sources[source].data + at * sizeof(Stored));
      SEAWAY_UNROLL for (unsigned i = 0; i < kCount; ++i) {
        const auto lifted = Operation::lift(loaded.at[i], weight);
        value[i] = is_first ? lifted : Operation::combine(value[i], lifted);
      }
      is_first = false;
    }
    Packed result;
    SEAWAY_UNROLL for (unsigned i = 0; i < kCount; ++i) {
      result.at[i] = Operation::finish(value[i], {static_cast<Weight>(work.weight_sum), true});
    }
    *reinterpret_cast<Packed*>(work.dst + at * sizeof(Stored)) = result;
  }
}

// f(an operation of math.h) for what is defined; false for what is not.
template <class F, class Format>
bool with_floating(Reduction reduction, const F& f, Format) {
  switch (reduction) {
    case Reduction::sum:
      f(math::Sum<Format>{});
      return true;
    case Reduction::avg:
      f(math::Avg<Format>{});
      return true;
    case Reduction::min:
      f(math::Min<Format>{});
      return true;
    case Reduction::max:
      f(math::Max<Format>{});
      return true;
    case Reduction::prod:
      f(math::Prod<Format>{});
      return true;
  }
  return false;
}
template <class F, class T, class Wide>
bool with_integer(Reduction reduction, const F& f, math::Integer<T, Wide>) {
  using Format = math::Integer<T, Wide>;
  switch (reduction) {
    case Reduction::sum:
      f(math::IntegerSum<Format>{});
      return true;
    case Reduction::min:
      f(math::IntegerMin<Format>{});
      return true;
    case Reduction::max:
      f(math::IntegerMax<Format>{});
      return true;
    case Reduction::prod:
      f(math::IntegerProd<Format>{});
      return true;
    case Reduction::avg:
      break;
  }
  return false;
}
template <class F>
bool with_operation(DType dtype, Reduction reduction, const F& f) {
  switch (dtype) {
    case DType::f32:
      return with_floating(reduction, f, math::F32{});
    case DType::f64:
      return with_floating(reduction, f, math::F64{});
    case DType::f16:
      return with_floating(reduction, f, math::F16{});
    case DType::bf16:
      return with_floating(reduction, f, math::Bf16{});
    case DType::i8:
      return with_integer(reduction, f, math::Integer<std::int8_t, std::uint32_t>{});
    case DType::u8:
      return with_integer(reduction, f, math::Integer<std::uint8_t, std::uint32_t>{});
    case DType::i16:
      return with_integer(reduction, f, math::Integer<std::int16_t, std::uint32_t>{});
    case DType::u16:
      return with_integer(reduction, f, math::Integer<std::uint16_t, std::uint32_t>{});
    case DType::i32:
      return with_integer(reduction, f, math::Integer<std::int32_t, std::uint32_t>{});
    case DType::u32:
      return with_integer(reduction, f, math::Integer<std::uint32_t, std::uint32_t>{});
    case DType::i64:
      return with_integer(reduction, f, math::Integer<std::int64_t, std::uint64_t>{});
    case DType::u64:
      return with_integer(reduction, f, math::Integer<std::uint64_t, std::uint64_t>{});
  }
  return false;
}

// --- Vectors (reduce/vector.h) ---------------------------------------------------------------------------------------

template <class Real>
struct LincombWork {
  Real* dst;
  std::uint64_t count;
  std::uint32_t term_count;
  struct Term {
    const Real* x;
    Real factor;
  } terms[kSeawayMostTerms];
};

template <class Real>
SEAWAY_HD inline void lincomb_some(const LincombWork<Real>& work, std::uint64_t number, std::uint64_t threads) {
  for (std::uint64_t at = number; at < work.count; at += threads) {
    Real sum = math::product(work.terms[0].x[at], work.terms[0].factor);
    for (std::uint32_t i = 1; i < work.term_count; ++i) {
      sum += math::product(work.terms[i].x[at], work.terms[i].factor);
    }
    work.dst[at] = math::canonical(sum);
  }
}

template <class Real>
struct OuterStepWork {
  Real* theta;
  Real* buf;
  const Real* gradient;
  std::uint64_t count;
  Real rate;
  Real momentum;
  bool nesterov;
};

template <class Real>
SEAWAY_HD inline void outer_step_some(const OuterStepWork<Real>& work, std::uint64_t number, std::uint64_t threads) {
  for (std::uint64_t at = number; at < work.count; at += threads) {
    const math::OuterState<Real> next = math::outer_step<Real>({work.theta[at], work.buf[at]}, work.gradient[at],
                                                               work.rate, work.momentum, work.nesterov);
    work.theta[at] = next.theta;
    work.buf[at] = next.buf;
  }
}

struct SquaresWork {
  const float* x;
  std::uint64_t count;
  double* sums;
  std::uint64_t blocks() const { return (count + math::kSquaresBlock - 1) / math::kSquaresBlock; }
};

// Of one block, by a warp: lane l is partial sum l of the definition, which adds one after the other.
template <class Warp>
SEAWAY_HD inline void squares_of_block(const Warp& warp, const float* x, std::uint64_t count, double* of_block) {
  typename Warp::template Each<double> sum;
  warp.each([&](unsigned lane) {
    constexpr unsigned kAhead = 8;  // loads that are under way while sums are added
    double partial = 0;
    std::uint64_t at = lane;
    for (; at + (kAhead - 1) * kLanes < count; at += kAhead * kLanes) {
      float ahead[kAhead];
      SEAWAY_UNROLL for (unsigned i = 0; i < kAhead; ++i) { ahead[i] = x[at + i * kLanes]; }
      SEAWAY_UNROLL for (unsigned i = 0; i < kAhead; ++i) { partial += math::square(ahead[i]); }
    }
    for (; at < count; at += kLanes) {
      partial += math::square(x[at]);
    }
    sum[lane] = partial;
  });
  for (unsigned half = kLanes / 2; half > 0; half /= 2) {
    const auto other = warp.crossed(sum, half);
    warp.each([&](unsigned lane) { sum[lane] = lane < half ? sum[lane] + other[lane] : sum[lane]; });
  }
  warp.each([&](unsigned lane) {
    if (lane == 0) {
      *of_block = math::canonical(sum[lane]);
    }
  });
}

template <class Warp>
SEAWAY_HD inline void squares_some(const Warp& warp, const SquaresWork& work, std::uint64_t number,
                                   std::uint64_t warps) {
  for (std::uint64_t block = number; block * math::kSquaresBlock < work.count; block += warps) {
    const std::uint64_t at = block * math::kSquaresBlock;
    const std::uint64_t left = work.count - at;
    squares_of_block(warp, work.x + at, left < math::kSquaresBlock ? left : math::kSquaresBlock, work.sums + block);
  }
}

}  // namespace seaway::cuda
