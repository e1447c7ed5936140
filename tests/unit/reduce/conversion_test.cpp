// f16 and bf16 to f32 and back, against the formula of the formats and against F16C where the processor has it.
#include <doctest/doctest.h>

#include <bit>
#include <cstdint>

#include "base/random.h"
#include "reduce/math.h"
#include "reference.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace seaway {
namespace {

// NaNs differ in payload between implementations; the kernels make them canonical after converting.
std::uint32_t bits_of(float value) { return reference::encode_f32(value); }

TEST_CASE("conversion: all 65,536 halves widen to the value of their formula and come back") {
  std::uint32_t wrong = 0;
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const std::uint16_t half = static_cast<std::uint16_t>(i);
    const float f16 = math::f16_to_f32(half);
    const float bf16 = math::bf16_to_f32(half);
    wrong += bits_of(f16) != bits_of(reference::decode_half(reference::kF16, half));
    wrong += bits_of(bf16) != bits_of(reference::decode_half(reference::kBf16, half));
    wrong += math::f32_to_f16(f16) != (std::isnan(f16) ? 0x7e00 : half);
    wrong += math::f32_to_bf16(bf16) != (std::isnan(bf16) ? 0x7fc0 : half);
  }
  CHECK(wrong == 0);
}

// Calls `check` with every float that lies next to, or half-way between, two halves, and with many random ones.
template <class Check>
void for_telling_floats(Check check) {
  for (std::uint32_t high = 0; high < 65536; ++high) {
    // Each bf16, its neighbours, and the ties between it and the next one.
    for (std::uint32_t low : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      check(std::bit_cast<float>((high << 16) | low));
    }
    // Each finite f16 in the same way; the step is 2^-24 or more, so that half of it is exact in f32.
    const std::uint16_t half = static_cast<std::uint16_t>(high);
    const std::uint16_t next = static_cast<std::uint16_t>(high + 1);
    if ((high & 0x7fffu) >= 0x7bffu) continue;
    const float a = reference::decode_half(reference::kF16, half);
    const float b = reference::decode_half(reference::kF16, next);
    const std::uint32_t middle = std::bit_cast<std::uint32_t>((a + b) / 2);
    for (std::uint32_t tie : {middle - 1, middle, middle + 1}) check(std::bit_cast<float>(tie));
  }
  for (float value : {65504.0f, 65519.996f, 65520.0f, 65536.0f, 0x1p-25f, 0x1.000002p-25f, 0x1p-26f, 3.4e38f}) {
    check(value);
    check(-value);
  }
  Random random(11);
  for (int i = 0; i < 1'000'000; ++i) {
    const std::uint32_t any = static_cast<std::uint32_t>(random.next());
    check(std::bit_cast<float>(any));
    // The exponents that f16 knows, and its subnormals: 2^-27 to 2^17.
    const std::uint32_t exponent = 100 + static_cast<std::uint32_t>(random.below(45));
    check(std::bit_cast<float>((any & 0x807fffffu) | (exponent << 23)));
  }
}

TEST_CASE("conversion: f32 rounds to the nearest half, ties to even") {
  std::uint32_t wrong_f16 = 0;
  std::uint32_t wrong_bf16 = 0;
  for_telling_floats([&](float value) {
    wrong_f16 += math::f32_to_f16(value) != reference::encode_half(reference::kF16, value);
    wrong_bf16 += math::f32_to_bf16(value) != reference::encode_half(reference::kBf16, value);
  });
  CHECK(wrong_f16 == 0);
  CHECK(wrong_bf16 == 0);
}

#if defined(__x86_64__)

__attribute__((target("avx,f16c"))) std::uint16_t hardware_f32_to_f16(float value) {
  const __m128i half = _mm_cvtps_ph(_mm_set_ss(value), _MM_FROUND_TO_NEAREST_INT);
  return static_cast<std::uint16_t>(_mm_cvtsi128_si32(half) & 0xffff);
}

__attribute__((target("avx,f16c"))) float hardware_f16_to_f32(std::uint16_t half) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}

TEST_CASE("conversion: the portable code agrees with F16C" * doctest::skip(__builtin_cpu_supports("f16c") == 0)) {
  std::uint32_t wrong = 0;
  for_telling_floats([&](float value) {
    const std::uint16_t hardware = std::isnan(value) ? 0x7e00 : hardware_f32_to_f16(value);
    wrong += math::f32_to_f16(value) != hardware;
  });
  CHECK(wrong == 0);
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const std::uint16_t half = static_cast<std::uint16_t>(i);
    wrong += bits_of(math::f16_to_f32(half)) != bits_of(hardware_f16_to_f32(half));
  }
  CHECK(wrong == 0);
}

#endif

}  // namespace
}  // namespace seaway
