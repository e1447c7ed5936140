// Element types, reductions and codecs, with the values they have on the wire and in the C API (pinned: never renumber).
#pragma once

#include <cstddef>
#include <cstdint>

namespace seaway {

enum class DType : std::uint8_t {
  f32 = 1,
  f64 = 2,
  f16 = 3,
  bf16 = 4,
  i8 = 5,
  u8 = 6,
  i16 = 7,
  u16 = 8,
  i32 = 9,
  u32 = 10,
  i64 = 11,
  u64 = 12,
};
inline constexpr DType kAllDTypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i8,  DType::u8,
                                       DType::i16, DType::u16, DType::i32, DType::u32,  DType::i64, DType::u64};

enum class Reduction : std::uint8_t { sum = 1, avg = 2, min = 3, max = 4, prod = 5 };
inline constexpr Reduction kAllReductions[] = {Reduction::sum, Reduction::avg, Reduction::min, Reduction::max,
                                               Reduction::prod};

constexpr bool is_valid(DType dtype) {
  return static_cast<std::uint8_t>(dtype) >= 1 && static_cast<std::uint8_t>(dtype) <= 12;
}
constexpr bool is_valid(Reduction reduction) {
  return static_cast<std::uint8_t>(reduction) >= 1 && static_cast<std::uint8_t>(reduction) <= 5;
}
constexpr bool is_floating(DType dtype) { return static_cast<std::uint8_t>(dtype) <= 4; }

// How values travel. `none`: as they are; the others carry f32 (codec/codec.h).
enum class Codec : std::uint8_t { none = 0, bf16 = 1, q8 = 2, q4 = 3 };
inline constexpr Codec kAllCodecs[] = {Codec::none, Codec::bf16, Codec::q8, Codec::q4};
constexpr bool is_valid(Codec codec) { return static_cast<std::uint8_t>(codec) <= 3; }

// Bytes of one element; 0 for a value that is no dtype.
constexpr std::size_t size_of(DType dtype) {
  constexpr std::size_t sizes[] = {0, 4, 8, 2, 2, 1, 1, 2, 2, 4, 4, 8, 8};
  return is_valid(dtype) ? sizes[static_cast<std::uint8_t>(dtype)] : 0;
}

constexpr const char* name_of(DType dtype) {
  constexpr const char* names[] = {"?",   "f32", "f64", "f16", "bf16", "i8", "u8",
                                   "i16", "u16", "i32", "u32", "i64",  "u64"};
  return names[is_valid(dtype) ? static_cast<std::uint8_t>(dtype) : 0];
}
constexpr const char* name_of(Reduction reduction) {
  constexpr const char* names[] = {"?", "sum", "avg", "min", "max", "prod"};
  return names[is_valid(reduction) ? static_cast<std::uint8_t>(reduction) : 0];
}
constexpr const char* name_of(Codec codec) {
  constexpr const char* names[] = {"none", "bf16", "q8", "q4"};
  return is_valid(codec) ? names[static_cast<std::uint8_t>(codec)] : "?";
}

}  // namespace seaway
