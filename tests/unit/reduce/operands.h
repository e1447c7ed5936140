// Operands for reduction tests: misaligned buffers of moderate, special or arbitrary elements, and the variants that
// this processor can run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/dtype.h"
#include "base/random.h"
#include "reduce/reduce.h"

namespace seaway {

inline std::vector<const Kernels*> runnable_kernels() {
  std::vector<const Kernels*> kernels{&scalar_kernels()};
#if defined(__x86_64__)
  if (avx2_kernels() != nullptr && __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("f16c") != 0) {
    kernels.push_back(avx2_kernels());
  }
  const bool has_avx512 = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                          __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  if (avx512_kernels() != nullptr && has_avx512) {
    kernels.push_back(avx512_kernels());
  }
#endif
  return kernels;
}

// Bytes at a chosen distance from an aligned address, between two guards that a kernel must not touch.
class Buffer {
 public:
  Buffer(std::size_t bytes, std::size_t misalignment) : bytes_(bytes), start_(kGuard + misalignment) {
    storage_.assign(start_ + bytes + kGuard, kGuardByte);
  }
  std::byte* data() { return storage_.data() + start_; }
  const std::byte* data() const { return storage_.data() + start_; }
  std::size_t size() const { return bytes_; }
  bool guards_intact() const {
    for (std::size_t i = 0; i < storage_.size(); ++i) {
      if ((i < start_ || i >= start_ + bytes_) && storage_[i] != kGuardByte) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kGuard = 320;  // more than any variant stores at once
  static constexpr std::byte kGuardByte{0xa5};
  std::size_t bytes_;
  std::size_t start_;
  std::vector<std::byte> storage_;
};

enum class Content { moderate, mostly_moderate, special, arbitrary };
inline constexpr Content kAllContents[] = {Content::moderate, Content::mostly_moderate, Content::special,
                                           Content::arbitrary};

struct FloatLayout {
  int mantissa_bits;
  int exponent_bits;
};
constexpr FloatLayout layout_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return {23, 8};
    case DType::f64:
      return {52, 11};
    case DType::f16:
      return {10, 5};
    case DType::bf16:
      return {7, 8};
    default:
      return {0, 0};
  }
}

// A finite number with an exponent near zero: sums of a few stay finite and need rounding.
inline std::uint64_t moderate_bits(DType dtype, Random& random) {
  if (!is_floating(dtype)) return random.next() >> random.below(64);
  const FloatLayout layout = layout_of(dtype);
  const std::uint64_t bias = (std::uint64_t{1} << (layout.exponent_bits - 1)) - 1;
  const std::uint64_t exponent = bias - 4 + random.below(9);
  const std::uint64_t mantissa = random.below(std::uint64_t{1} << layout.mantissa_bits);
  const std::uint64_t sign = random.below(2) << (layout.mantissa_bits + layout.exponent_bits);
  return sign | (exponent << layout.mantissa_bits) | mantissa;
}

// Zeros, infinities, NaNs with payloads (quiet and signalling), subnormals, largest and least; for integers the ends.
inline std::uint64_t special_bits(DType dtype, Random& random) {
  const std::size_t bits = size_of(dtype) * 8;
  const std::uint64_t sign = random.below(2) << (bits - 1);
  if (!is_floating(dtype)) {
    const std::uint64_t half = std::uint64_t{1} << (bits - 1);
    const std::uint64_t values[] = {0, 1, ~std::uint64_t{0}, half, half - 1, half + 1, 2, 0xff};
    return values[random.below(std::size(values))];
  }
  const FloatLayout layout = layout_of(dtype);
  const std::uint64_t one_mantissa = std::uint64_t{1} << layout.mantissa_bits;
  const std::uint64_t infinity = ((std::uint64_t{1} << layout.exponent_bits) - 1) << layout.mantissa_bits;
  const std::uint64_t payload = 1 + random.below(one_mantissa - 1);
  const std::uint64_t values[] = {0,
                                  1,
                                  payload,           // a subnormal
                                  one_mantissa - 1,  // the largest subnormal
                                  one_mantissa,      // the least normal
                                  infinity - 1,      // the largest finite
                                  infinity,
                                  infinity | payload,              // a NaN of either kind
                                  infinity | (one_mantissa >> 1),  // the default quiet NaN
                                  infinity | 1};                   // a signalling NaN
  return sign | values[random.below(std::size(values))];
}

inline void fill(Buffer& buffer, DType dtype, Content content, Random& random) {
  const std::size_t size = size_of(dtype);
  for (std::size_t at = 0; at + size <= buffer.size(); at += size) {
    std::uint64_t bits = 0;
    switch (content) {
      case Content::moderate:
        bits = moderate_bits(dtype, random);
        break;
      case Content::mostly_moderate:
        bits = random.percent(3) ? special_bits(dtype, random) : moderate_bits(dtype, random);
        break;
      case Content::special:
        bits = special_bits(dtype, random);
        break;
      case Content::arbitrary:
        bits = random.next();
        break;
    }
    std::memcpy(buffer.data() + at, &bits, size);
  }
}

}  // namespace seaway
