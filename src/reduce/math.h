// The one definition of what a reduction computes, element by element. The scalar kernels and a CUDA compiler use it
// as it stands; the SIMD kernels repeat it in vector instructions and are tested to give the same bits.
//
// A format (F32, F16, Integer<T>, ...) says how an element is stored and what it is accumulated in. An operation
// (Sum<F>, Min<F>, ...) has three steps: `lift` a stored element to a Value, `combine` two Values, `finish` to store.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/host_device.h"

namespace seaway::math {

template <class To, class From>
SEAWAY_HD inline To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

// A product that is never fused with the addition that follows it.
SEAWAY_HD inline float product(float left, float right) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(left, right);
#else
  return left * right;
#endif
}

SEAWAY_HD inline double product(double left, double right) {
#ifdef __CUDA_ARCH__
  return __dmul_rn(left, right);
#else
  return left * right;
#endif
}

// --- conversions -----------------------------------------------------------------------------------------------------

SEAWAY_HD inline float bf16_to_f32(std::uint16_t half) { return bits_as<float>(std::uint32_t{half} << 16); }

SEAWAY_HD inline std::uint16_t f32_to_bf16(float value) {
  const std::uint32_t bits = bits_as<std::uint32_t>(value);
  // Rounding would carry a NaN's mantissa into infinity or the sign, so it does not get there.
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return 0x7fc0;
  }
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// Without branches, so that a compiler can widen many at once.
SEAWAY_HD inline float f16_to_f32(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t magnitude = half & 0x7fffu;
  const std::uint32_t normal = (magnitude << 13) + ((127u - 15u) << 23);
  // A subnormal is a whole number of 2^-24. Both steps are exact and every result is normal or zero, so that neither
  // rounding nor flushing can touch it.
  const float counted = static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f;
  std::uint32_t bits = magnitude < 0x0400u ? bits_as<std::uint32_t>(counted) : normal;
  bits = magnitude >= 0x7c00u ? 0x7f800000u : bits;
  bits = magnitude > 0x7c00u ? 0x7fc00000u : bits;
  return bits_as<float>(bits | sign);
}

SEAWAY_HD inline std::uint16_t f32_to_f16(float value) {
  const std::uint32_t bits = bits_as<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return 0x7e00;
  }
  std::uint32_t half;
  if (magnitude >= 0x477ff000u) {  // 65520, half a step above the largest f16: it ties to even, which is infinity
    half = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // 2^-14, the least normal f16
    half = (magnitude - ((127u - 15u) << 23) + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;
  } else {
    // The result counts units of 2^-24. Below 2^-25 everything rounds to zero, as a shift by 25 does.
    const std::uint32_t exponent = magnitude >> 23;
    const std::uint32_t shift = exponent < 101u ? 25u : 126u - exponent;
    const std::uint32_t mantissa = (magnitude & 0x007fffffu) | 0x00800000u;
    const std::uint32_t rest = mantissa & ((1u << shift) - 1u);
    const std::uint32_t middle = 1u << (shift - 1u);
    half = mantissa >> shift;
    if (rest > middle || (rest == middle && (half & 1u) != 0)) {
      ++half;
    }
  }
  return static_cast<std::uint16_t>(half | sign);
}

// --- formats ---------------------------------------------------------------------------------------------------------

// A float is stored as its bits, so that moving it about cannot quiet a NaN. `narrow` rounds once and leaves a NaN as
// it comes; `finish` of each operation makes it canonical.
struct F32 {
  using Stored = std::uint32_t;
  using Key = std::int32_t;
  using Accumulator = float;
  static constexpr Stored kInfinity = 0x7f800000u;
  static constexpr Stored kNan = 0x7fc00000u;
  SEAWAY_HD static Accumulator widen(Stored bits) { return bits_as<float>(bits); }
  SEAWAY_HD static Stored narrow(Accumulator value) { return bits_as<Stored>(value); }
};

struct F64 {
  using Stored = std::uint64_t;
  using Key = std::int64_t;
  using Accumulator = double;
  static constexpr Stored kInfinity = 0x7ff0000000000000u;
  static constexpr Stored kNan = 0x7ff8000000000000u;
  SEAWAY_HD static Accumulator widen(Stored bits) { return bits_as<double>(bits); }
  SEAWAY_HD static Stored narrow(Accumulator value) { return bits_as<Stored>(value); }
};

struct F16 {
  using Stored = std::uint16_t;
  using Key = std::int16_t;
  using Accumulator = float;
  static constexpr Stored kInfinity = 0x7c00;
  static constexpr Stored kNan = 0x7e00;
  SEAWAY_HD static Accumulator widen(Stored bits) { return f16_to_f32(bits); }
  SEAWAY_HD static Stored narrow(Accumulator value) { return f32_to_f16(value); }
};

struct Bf16 {
  using Stored = std::uint16_t;
  using Key = std::int16_t;
  using Accumulator = float;
  static constexpr Stored kInfinity = 0x7f80;
  static constexpr Stored kNan = 0x7fc0;
  SEAWAY_HD static Accumulator widen(Stored bits) { return bf16_to_f32(bits); }
  SEAWAY_HD static Stored narrow(Accumulator value) { return f32_to_bf16(value); }
};

// `Wide` is where arithmetic wraps: unsigned, and at least as wide as int, since u16 times u16 would otherwise be
// computed in int and overflow.
template <class T, class W>
struct Integer {
  using Stored = T;
  using Wide = W;
};

// --- operations on floats --------------------------------------------------------------------------------------------

template <class F>
SEAWAY_HD inline bool is_nan(typename F::Stored bits) {
  return (bits & (static_cast<typename F::Stored>(~typename F::Stored{0}) >> 1)) > F::kInfinity;
}

template <class F>
SEAWAY_HD inline typename F::Stored canonical(typename F::Stored bits) {
  return is_nan<F>(bits) ? F::kNan : bits;
}

// What `finish` needs beside the value. `canonical` is true in the product; it is here for a planted bug.
template <class Weight>
struct Finish {
  Weight weight_sum;
  bool canonical;
};

template <class F>
struct Arithmetic {
  using Stored = typename F::Stored;
  using Value = typename F::Accumulator;
  using Weight = typename F::Accumulator;
  static constexpr bool kWeighted = false;
  SEAWAY_HD static Value lift(Stored bits, Weight) { return F::widen(bits); }
  SEAWAY_HD static Stored finish(Value value, const Finish<Weight>& how) {
    const Stored bits = F::narrow(value);
    return how.canonical ? canonical<F>(bits) : bits;
  }
};

template <class F>
struct Sum : Arithmetic<F> {
  using Value = typename F::Accumulator;
  SEAWAY_HD static Value combine(Value left, Value right) { return left + right; }
};

template <class F>
struct Prod : Arithmetic<F> {
  using Value = typename F::Accumulator;
  SEAWAY_HD static Value combine(Value left, Value right) { return left * right; }
};

template <class F>
struct Avg : Sum<F> {
  using Stored = typename F::Stored;
  using Value = typename F::Accumulator;
  using Weight = typename F::Accumulator;
  static constexpr bool kWeighted = true;
  SEAWAY_HD static Value lift(Stored bits, Weight weight) { return weight * F::widen(bits); }
  SEAWAY_HD static Stored finish(Value value, const Finish<Weight>& how) {
    return Sum<F>::finish(value / how.weight_sum, how);
  }
};

// Floats in the order -Inf < ... < -0 < +0 < ... < Inf are their bits read as a signed number, once the magnitude of
// the negative ones is inverted. Inverting twice is the identity. No arithmetic, hence no environment to depend on.
template <class F>
SEAWAY_HD inline typename F::Key ordered(typename F::Stored bits) {
  using Stored = typename F::Stored;
  const bool negative = (bits >> (sizeof(Stored) * 8 - 1)) != 0;
  const Stored magnitude = static_cast<Stored>(static_cast<Stored>(~Stored{0}) >> 1);
  return static_cast<typename F::Key>(negative ? static_cast<Stored>(bits ^ magnitude) : bits);
}

// min and max compare keys. A NaN's key is the one that wins the comparison; both read back as a NaN.
template <class F, bool kMax>
struct Extreme {
  using Stored = typename F::Stored;
  using Value = typename F::Key;
  using Weight = float;
  static constexpr bool kWeighted = false;
  static constexpr Stored kLeast = static_cast<Stored>(Stored{1} << (sizeof(Stored) * 8 - 1));
  static constexpr Value kWinner = static_cast<Value>(kMax ? static_cast<Stored>(kLeast - 1u) : kLeast);

  SEAWAY_HD static Value lift(Stored bits, Weight) { return is_nan<F>(bits) ? kWinner : ordered<F>(bits); }
  SEAWAY_HD static Value combine(Value left, Value right) {
    return kMax ? (left > right ? left : right) : (left < right ? left : right);
  }
  SEAWAY_HD static Stored finish(Value value, const Finish<Weight>& how) {
    const Stored bits = static_cast<Stored>(ordered<F>(static_cast<Stored>(value)));
    return how.canonical ? canonical<F>(bits) : bits;
  }
};

template <class F>
using Min = Extreme<F, false>;
template <class F>
using Max = Extreme<F, true>;

// --- operations on integers ------------------------------------------------------------------------------------------

template <class I>
struct IntegerOperation {
  using Stored = typename I::Stored;
  using Value = typename I::Stored;
  using Wide = typename I::Wide;
  using Weight = float;
  static constexpr bool kWeighted = false;
  SEAWAY_HD static Value lift(Stored element, Weight) { return element; }
  SEAWAY_HD static Stored finish(Value value, const Finish<Weight>&) { return value; }
};

template <class I>
struct IntegerSum : IntegerOperation<I> {
  using Value = typename I::Stored;
  using Wide = typename I::Wide;
  SEAWAY_HD static Value combine(Value left, Value right) {
    return static_cast<Value>(static_cast<Wide>(left) + static_cast<Wide>(right));
  }
};

template <class I>
struct IntegerProd : IntegerOperation<I> {
  using Value = typename I::Stored;
  using Wide = typename I::Wide;
  SEAWAY_HD static Value combine(Value left, Value right) {
    return static_cast<Value>(static_cast<Wide>(left) * static_cast<Wide>(right));
  }
};

template <class I>
struct IntegerMin : IntegerOperation<I> {
  using Value = typename I::Stored;
  SEAWAY_HD static Value combine(Value left, Value right) { return left < right ? left : right; }
};

template <class I>
struct IntegerMax : IntegerOperation<I> {
  using Value = typename I::Stored;
  SEAWAY_HD static Value combine(Value left, Value right) { return left > right ? left : right; }
};

// --- arithmetic on vectors (reduce/vector.h) -------------------------------------------------------------------------

SEAWAY_HD inline float canonical(float value) { return F32::widen(canonical<F32>(F32::narrow(value))); }
SEAWAY_HD inline double canonical(double value) { return F64::widen(canonical<F64>(F64::narrow(value))); }

// A squared norm is the sum of those of blocks, each of which one warp of a GPU can add up.
inline constexpr std::uint64_t kSquaresBlock = 16384;

// Exact: 24 digits twice are 48.
SEAWAY_HD inline double square(float value) { return static_cast<double>(value) * static_cast<double>(value); }

template <class Real>
struct OuterState {
  Real theta;
  Real buf;
};

// One step of SGD with momentum, as PyTorch has it. `Real` is float or double.
template <class Real>
SEAWAY_HD inline OuterState<Real> outer_step(OuterState<Real> state, Real gradient, Real rate, Real momentum,
                                             bool nesterov) {
  const Real buf = product(momentum, state.buf) + gradient;
  const Real step = nesterov ? product(momentum, buf) + gradient : buf;
  return {canonical(state.theta - product(rate, step)), canonical(buf)};
}

}  // namespace seaway::math
