// A second, naive definition of the reductions: one element at a time, in the long form, sharing nothing with
// reduce/math.h. Halves are decoded by the formula of their format and encoded by rounding a double, floats are
// compared by <cmath>, integers wrap because everything is computed modulo 2^64.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "base/dtype.h"
#include "base/random.h"
#include "reduce/reduce.h"

namespace seaway::reference {

struct HalfFormat {
  int mantissa_bits;
  int exponent_bits;
  std::uint16_t nan;
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
};
inline constexpr HalfFormat kF16{10, 5, 0x7e00};
inline constexpr HalfFormat kBf16{7, 8, 0x7fc0};

inline float decode_half(const HalfFormat& format, std::uint16_t bits) {
  const int exponent = (bits >> format.mantissa_bits) & ((1 << format.exponent_bits) - 1);
  const int mantissa = bits & ((1 << format.mantissa_bits) - 1);
  const float sign = (bits & 0x8000) != 0 ? -1.0f : 1.0f;
  if (exponent == (1 << format.exponent_bits) - 1) {
    return mantissa != 0 ? std::numeric_limits<float>::quiet_NaN() : sign * std::numeric_limits<float>::infinity();
  }
  const int implicit = exponent == 0 ? 0 : 1 << format.mantissa_bits;
  const int scale = std::max(exponent, 1) - format.bias() - format.mantissa_bits;
  return sign * static_cast<float>(std::ldexp(static_cast<double>(implicit + mantissa), scale));
}

inline std::uint16_t encode_half(const HalfFormat& format, float value) {
  if (std::isnan(value)) return format.nan;
  const unsigned sign = std::signbit(value) ? 0x8000u : 0u;
  const double magnitude = std::fabs(static_cast<double>(value));
  const unsigned infinity = ((1u << format.exponent_bits) - 1) << format.mantissa_bits;
  if (std::isinf(magnitude)) return static_cast<std::uint16_t>(sign | infinity);
  if (magnitude == 0) return static_cast<std::uint16_t>(sign);
  const int least_exponent = 1 - format.bias();
  int exponent = std::max(std::ilogb(magnitude), least_exponent);
  double units = std::nearbyint(std::ldexp(magnitude, format.mantissa_bits - exponent));
  if (units == std::ldexp(1.0, format.mantissa_bits + 1)) {  // rounded up to the next power of two
    units /= 2;
    ++exponent;
  }
  if (exponent > format.bias()) return static_cast<std::uint16_t>(sign | infinity);
  const unsigned whole = static_cast<unsigned>(units);
  const unsigned implicit = 1u << format.mantissa_bits;
  if (whole < implicit) return static_cast<std::uint16_t>(sign | whole);  // subnormal
  const unsigned biased = static_cast<unsigned>(exponent + format.bias());
  return static_cast<std::uint16_t>(sign | (biased << format.mantissa_bits) | (whole - implicit));
}

// Element `i` of an operand, as its bits.
template <class Bits>
Bits element(const void* data, std::size_t i) {
  Bits bits;
  std::memcpy(&bits, static_cast<const std::byte*>(data) + i * sizeof bits, sizeof bits);
  return bits;
}

template <class Float>
Float lower(Float a, Float b) {
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<Float>::quiet_NaN();
  if (a == 0 && b == 0) return std::signbit(a) ? a : b;
  return a <= b ? a : b;
}

// Folds one element of floats that were decoded already. `volatile` so that no compiler fuses or reorders here.
template <class Float>
Float fold_float(Reduction reduction, const std::vector<Float>& x, const std::vector<double>& weights, double sum) {
  if (reduction == Reduction::avg) {
    volatile Float total = 0;
    bool started = false;
    for (std::size_t s = 0; s < x.size(); ++s) {
      const Float weight = static_cast<Float>(weights[s]);
      if (weight == 0) continue;
      volatile Float product = weight * x[s];
      if (started) {
        total = total + product;
      } else {
        total = product;
      }
      started = true;
    }
    return total / static_cast<Float>(sum);
  }
  volatile Float value = x[0];
  for (std::size_t s = 1; s < x.size(); ++s) {
    if (reduction == Reduction::sum) value = value + x[s];
    if (reduction == Reduction::prod) value = value * x[s];
    if (reduction == Reduction::min) value = lower<Float>(value, x[s]);
    if (reduction == Reduction::max) value = -lower<Float>(-value, -x[s]);
  }
  return value;
}

template <class Integer>
Integer fold_integer(Reduction reduction, const std::vector<Integer>& x) {
  Integer value = x[0];
  for (std::size_t s = 1; s < x.size(); ++s) {
    const auto a = static_cast<std::uint64_t>(value);
    const auto b = static_cast<std::uint64_t>(x[s]);
    if (reduction == Reduction::sum) value = static_cast<Integer>(a + b);
    if (reduction == Reduction::prod) value = static_cast<Integer>(a * b);
    if (reduction == Reduction::min && x[s] < value) value = x[s];
    if (reduction == Reduction::max && x[s] > value) value = x[s];
  }
  return value;
}

inline std::vector<double> weights_of(const ReduceArgs& args) {
  std::vector<double> weights;
  for (const Source& source : args.sources) weights.push_back(source.weight);
  return weights;
}

template <class Bits, class Decode, class Encode>
void reduce_floats(Reduction reduction, const ReduceArgs& args, std::byte* out, Decode decode, Encode encode) {
  const std::vector<double> weights = weights_of(args);
  for (std::size_t i = 0; i < args.count; ++i) {
    std::vector<decltype(decode(Bits{}))> x;
    for (const Source& source : args.sources) x.push_back(decode(element<Bits>(source.data, i)));
    const Bits bits = encode(fold_float(reduction, x, weights, args.weight_sum));
    std::memcpy(out + i * sizeof bits, &bits, sizeof bits);
  }
}

template <class Integer>
void reduce_integers(Reduction reduction, const ReduceArgs& args, std::byte* out) {
  for (std::size_t i = 0; i < args.count; ++i) {
    std::vector<Integer> x;
    for (const Source& source : args.sources) x.push_back(element<Integer>(source.data, i));
    const Integer value = fold_integer(reduction, x);
    std::memcpy(out + i * sizeof value, &value, sizeof value);
  }
}

inline std::uint32_t encode_f32(float value) {
  return std::isnan(value) ? 0x7fc00000u : std::bit_cast<std::uint32_t>(value);
}
inline std::uint64_t encode_f64(double value) {
  return std::isnan(value) ? 0x7ff8000000000000u : std::bit_cast<std::uint64_t>(value);
}

// The expected bytes of dst. args.dst is not touched.
inline std::vector<std::byte> reduce(DType dtype, Reduction reduction, const ReduceArgs& args) {
  std::vector<std::byte> out(args.count * size_of(dtype));
  const auto half = [&](const HalfFormat& format) {
    reduce_floats<std::uint16_t>(
        reduction, args, out.data(), [&](std::uint16_t bits) { return decode_half(format, bits); },
        [&](float value) { return encode_half(format, value); });
  };
  switch (dtype) {
    case DType::f32:
      reduce_floats<std::uint32_t>(
          reduction, args, out.data(), [](std::uint32_t bits) { return std::bit_cast<float>(bits); }, encode_f32);
      break;
    case DType::f64:
      reduce_floats<std::uint64_t>(
          reduction, args, out.data(), [](std::uint64_t bits) { return std::bit_cast<double>(bits); }, encode_f64);
      break;
    case DType::f16:
      half(kF16);
      break;
    case DType::bf16:
      half(kBf16);
      break;
    case DType::i8:
      reduce_integers<std::int8_t>(reduction, args, out.data());
      break;
    case DType::u8:
      reduce_integers<std::uint8_t>(reduction, args, out.data());
      break;
    case DType::i16:
      reduce_integers<std::int16_t>(reduction, args, out.data());
      break;
    case DType::u16:
      reduce_integers<std::uint16_t>(reduction, args, out.data());
      break;
    case DType::i32:
      reduce_integers<std::int32_t>(reduction, args, out.data());
      break;
    case DType::u32:
      reduce_integers<std::uint32_t>(reduction, args, out.data());
      break;
    case DType::i64:
      reduce_integers<std::int64_t>(reduction, args, out.data());
      break;
    case DType::u64:
      reduce_integers<std::uint64_t>(reduction, args, out.data());
      break;
  }
  return out;
}

}  // namespace seaway::reference
