// A second, naive definition of the codecs: one element at a time, in double and by search, sharing nothing with codec/math.h
// but the random bits, which have known answers of their own.
#pragma once

#include <bit>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "codec/codec.h"
#include "codec/math.h"
#include "unit/reduce/reference.h"

namespace seaway::reference {

inline float f32_at(const void* data, std::size_t i) { return std::bit_cast<float>(element<std::uint32_t>(data, i)); }

struct BlockCodec {
  std::size_t block;
  int largest_code;
};
inline constexpr BlockCodec kQ8{256, 127};
inline constexpr BlockCodec kQ4{32, 7};

// Looked up: the search below asks for hundreds of them.
inline double bf16_value(std::uint32_t bits) {
  static const std::vector<double> values = [] {
    std::vector<double> all(std::size_t{1} << 16);
    for (std::uint32_t i = 0; i < all.size(); ++i) {
      all[i] = static_cast<double>(decode_half(kBf16, static_cast<std::uint16_t>(i)));
    }
    return all;
  }();
  return values[bits];
}

// The least bf16 that is not below largest / largest_code as f32 has it, within the bounds of codec.h.
inline std::uint16_t scale_of(const BlockCodec& codec, float largest) {
  const float wanted = largest / static_cast<float>(codec.largest_code);
  std::uint32_t bits = 0x0080;
  while (bf16_value(bits) < static_cast<double>(wanted) &&
         bf16_value(bits + 1) * codec.largest_code <= static_cast<double>(FLT_MAX)) {
    // By exponents first: a search through all 32,768 would take its time.
    const bool leap = bf16_value(bits + 0x80) < static_cast<double>(wanted);
    bits += leap ? 0x80 : 1;
  }
  return static_cast<std::uint16_t>(bits);
}

inline int code_of(const BlockCodec& codec, float x, float scale, Rounding rounding, std::uint32_t draw) {
  const float steps = x * (1.0f / scale);
  double code = std::nearbyint(static_cast<double>(steps));
  if (rounding == Rounding::stochastic) {
    const double fine = std::nearbyint(static_cast<double>(steps) * 32768.0);
    code = std::floor((fine + draw / 2) / 32768.0);
  }
  return static_cast<int>(std::fmin(std::fmax(code, -codec.largest_code), codec.largest_code));
}

// A bf16 next to `value` towards zero, or the one beyond it when the draw says so.
inline std::uint16_t bf16_of(float value, Rounding rounding, std::uint32_t draw) {
  if (rounding == Rounding::nearest || std::isnan(value) || std::isinf(value)) return encode_half(kBf16, value);
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits >> 16) + ((bits & 0xffffu) + draw >= 0x10000u ? 1 : 0));
}

// What Codec of `args` makes of a whole chunk. `residual` (may be null) is read and rewritten.
inline std::vector<std::byte> encode(const EncodeArgs& args, std::vector<float>* residual) {
  const std::size_t count = args.piece.chunk;
  std::vector<float> x(count);
  for (std::size_t i = 0; i < count; ++i) {
    x[i] = f32_at(args.src, i);
    if (residual != nullptr) x[i] += (*residual)[i];
  }
  const bool draws = args.rounding == Rounding::stochastic;
  const auto draw = [&](std::size_t i) { return draws ? math::draw_of(i, args.key, args.stream) : 0; };
  const auto keep = [&](std::size_t i, float sent) {
    if (residual != nullptr) (*residual)[i] = std::isfinite(x[i] - sent) ? x[i] - sent : 0.0f;
  };
  std::vector<std::byte> out(encoded_bytes(args.codec, count));
  if (args.codec == Codec::bf16) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint16_t half = bf16_of(x[i], args.rounding, draw(i));
      std::memcpy(out.data() + i * 2, &half, 2);
      keep(i, static_cast<float>(bf16_value(half)));
    }
    return out;
  }
  const BlockCodec& codec = args.codec == Codec::q8 ? kQ8 : kQ4;
  const std::size_t blocks = (count + codec.block - 1) / codec.block;
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::size_t begin = b * codec.block;
    const std::size_t end = std::min(count, begin + codec.block);
    float largest = 0;
    bool finite = true;
    for (std::size_t i = begin; i < end; ++i) {
      largest = std::fmax(largest, std::fabs(x[i]));
      finite = finite && std::isfinite(x[i]);
    }
    const std::uint16_t scale = finite ? scale_of(codec, largest) : 0x7fc0;
    std::memcpy(out.data() + b * 2, &scale, 2);
    for (std::size_t i = begin; i < end; ++i) {
      const float step = static_cast<float>(bf16_value(scale));
      const int code = finite ? code_of(codec, x[i], step, args.rounding, draw(i)) : 0;
      keep(i, static_cast<float>(code) * step);
      if (args.codec == Codec::q8) {
        out[blocks * 2 + i] = static_cast<std::byte>(code);
      } else {
        const std::size_t j = i - begin;
        out[blocks * 2 + b * 16 + j % 16] |= static_cast<std::byte>((code & 15) << (j < 16 ? 0 : 4));
      }
    }
  }
  return out;
}

// The value of element i of an encoded chunk; a NaN may be any.
inline float decoded(Codec codec, const void* data, std::size_t chunk, std::size_t i) {
  if (codec == Codec::none) return f32_at(data, i);
  if (codec == Codec::bf16) return static_cast<float>(bf16_value(element<std::uint16_t>(data, i)));
  const BlockCodec& how = codec == Codec::q8 ? kQ8 : kQ4;
  const std::size_t blocks = (chunk + how.block - 1) / how.block;
  const float scale = static_cast<float>(bf16_value(element<std::uint16_t>(data, i / how.block)));
  const std::byte* codes = static_cast<const std::byte*>(data) + blocks * 2;
  int code = static_cast<std::int8_t>(codes[codec == Codec::q8 ? i : 0]);
  if (codec == Codec::q4) {
    const std::size_t j = i % 32;
    code = (std::to_integer<int>(codes[i / 32 * 16 + j % 16]) >> (j < 16 ? 0 : 4)) & 15;
    if (code >= 8) code -= 16;
  }
  return static_cast<float>(code) * scale;
}

// The bits of dst, for the whole chunk.
inline std::vector<std::uint32_t> fold(const FoldArgs& args, Reduction reduction) {
  std::vector<double> weights;
  for (const EncodedSource& source : args.sources) weights.push_back(source.weight);
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < args.piece.chunk; ++i) {
    std::vector<float> x;
    for (const EncodedSource& source : args.sources) {
      x.push_back(decoded(source.codec, source.data, args.piece.chunk, i));
    }
    out.push_back(encode_f32(fold_float(reduction, x, weights, args.weight_sum)));
  }
  return out;
}

}  // namespace seaway::reference
