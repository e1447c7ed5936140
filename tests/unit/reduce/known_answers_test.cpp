// Answers worked out by hand, one per promise of reduce/reduce.h, for every variant.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "base/assert.h"
#include "operands.h"
#include "reduce/reduce.h"

namespace seaway {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Reduces one element, repeated often enough that each path of a kernel (unrolled, single, short) takes part.
template <class T>
T reduce_one(const Kernels& kernels, DType dtype, Reduction reduction, const std::vector<T>& elements,
             const std::vector<double>& weights = {}, double weight_sum = 0) {
  constexpr std::size_t kCount = 301;
  std::vector<std::vector<T>> operands;
  std::vector<Source> sources;
  for (const T& element : elements) operands.emplace_back(kCount, element);
  for (std::size_t s = 0; s < elements.size(); ++s) {
    sources.push_back({operands[s].data(), weights.empty() ? 1.0 : weights[s]});
  }
  std::vector<T> dst(kCount, T{});
  kernels.reduce(dtype, reduction)({dst.data(), sources, kCount, weight_sum});
  for (const T& element : dst) {
    if (std::memcmp(&element, &dst[0], sizeof element) != 0) FAIL("the same operands gave different elements");
  }
  return dst[0];
}

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }
std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }

TEST_CASE("reduce: the fold goes from the first source to the last") {
  for (const Kernels* k : runnable_kernels()) {
    CAPTURE(k->name);
    // 2^24 + 1 is a tie that goes back to 2^24, twice; the other way round 1 + 1 would count.
    CHECK(reduce_one<float>(*k, DType::f32, Reduction::sum, {0x1p24f, 1.0f, 1.0f}) == 0x1p24f);
    CHECK(reduce_one<float>(*k, DType::f32, Reduction::sum, {1.0f, 1.0f, 0x1p24f}) == 0x1p24f + 2);
    CHECK(reduce_one<double>(*k, DType::f64, Reduction::sum, {0x1p53, 1.0, 1.0}) == 0x1p53);
    CHECK(reduce_one<double>(*k, DType::f64, Reduction::sum, {1.0, 1.0, 0x1p53}) == 0x1p53 + 2);
    CHECK(reduce_one<float>(*k, DType::f32, Reduction::prod, {0x1p127f, 2.0f, 0.25f}) == kInf);
    CHECK(reduce_one<float>(*k, DType::f32, Reduction::prod, {0.25f, 2.0f, 0x1p127f}) == 0x1p126f);
  }
}

TEST_CASE("reduce: halves accumulate in f32 and are rounded once, to even") {
  for (const Kernels* k : runnable_kernels()) {
    CAPTURE(k->name);
    // f16: 2048 + 1 + 1. Rounded after each step it would stay 2048.
    CHECK(reduce_one<std::uint16_t>(*k, DType::f16, Reduction::sum, {0x6800, 0x3c00, 0x3c00}) == 0x6801);
    // f16: 2048 + 1 is a tie to the even 2048; 2050 + 1 one to the even 2052.
    CHECK(reduce_one<std::uint16_t>(*k, DType::f16, Reduction::sum, {0x6800, 0x3c00}) == 0x6800);
    CHECK(reduce_one<std::uint16_t>(*k, DType::f16, Reduction::sum, {0x6801, 0x3c00}) == 0x6802);
    // f16: 65504 + 16 is half-way to 65536, which is infinity; with 8 it is 65504 again; back down from above is
    // finite.
    CHECK(reduce_one<std::uint16_t>(*k, DType::f16, Reduction::sum, {0x7bff, 0x4c00}) == 0x7c00);
    CHECK(reduce_one<std::uint16_t>(*k, DType::f16, Reduction::sum, {0x7bff, 0x4800}) == 0x7bff);
    CHECK(reduce_one<std::uint16_t>(*k, DType::f16, Reduction::sum, {0x7bff, 0x7bff, 0xfbff}) == 0x7bff);
    // bf16: 256 + 1 + 1 = 258; 256 + 1 ties to 256, 258 + 1 to 260.
    CHECK(reduce_one<std::uint16_t>(*k, DType::bf16, Reduction::sum, {0x4380, 0x3f80, 0x3f80}) == 0x4381);
    CHECK(reduce_one<std::uint16_t>(*k, DType::bf16, Reduction::sum, {0x4380, 0x3f80}) == 0x4380);
    CHECK(reduce_one<std::uint16_t>(*k, DType::bf16, Reduction::sum, {0x4381, 0x3f80}) == 0x4382);
    // f16: a product of the least subnormal, 2^-24 * 2^24 = 1 as 2^-24 * 2^12 * 2^12.
    CHECK(reduce_one<std::uint16_t>(*k, DType::f16, Reduction::prod, {0x0001, 0x6c00, 0x6c00}) == 0x3c00);
  }
}

TEST_CASE("reduce: avg weighs, rounds each product and divides once") {
  for (const Kernels* k : runnable_kernels()) {
    CAPTURE(k->name);
    CHECK(reduce_one<float>(*k, DType::f32, Reduction::avg, {1.0f, 5.0f}, {1, 3}, 4) == 4.0f);
    CHECK(reduce_one<float>(*k, DType::f32, Reduction::avg, {8.0f}, {3}, 6) == 4.0f);
    CHECK(reduce_one<double>(*k, DType::f64, Reduction::avg, {1.0, 2.0}, {1, 1}, 3) == 1.0);
    CHECK(reduce_one<std::uint16_t>(*k, DType::f16, Reduction::avg, {0x3c00, 0x4200}, {1, 1}, 2) == 0x4000);
    CHECK(reduce_one<std::uint16_t>(*k, DType::bf16, Reduction::avg, {0x3f80, 0x4040}, {1, 1}, 2) == 0x4000);
    // (1 + 2^-12)^2 is 1 + 2^-11 + 2^-24, which rounds to 1 + 2^-11. A fused multiply-add would leave 2^-24.
    const float x = 1.0f + 0x1p-12f;
    CHECK(reduce_one<float>(*k, DType::f32, Reduction::avg, {-(1.0f + 0x1p-11f), x}, {1, x}, 1) == 0.0f);
    const double y = 1.0 + 0x1p-27;
    CHECK(reduce_one<double>(*k, DType::f64, Reduction::avg, {-(1.0 + 0x1p-26), y}, {1, y}, 1) == 0.0);
    // The weight is rounded to the accumulator: a third in f32, times 3, is 1.
    CHECK(reduce_one<float>(*k, DType::f32, Reduction::avg, {3.0f}, {1.0 / 3.0}, 1) == 1.0f);
  }
}

TEST_CASE("reduce: a source of weight zero takes no part in avg") {
  for (const Kernels* k : runnable_kernels()) {
    CAPTURE(k->name);
    CHECK(reduce_one<float>(*k, DType::f32, Reduction::avg, {kNan, 2.0f, kInf, 4.0f}, {0, 1, 0, 1}, 2) == 3.0f);
    CHECK(reduce_one<float>(*k, DType::f32, Reduction::avg, {2.0f, kNan}, {1, -0.0}, 1) == 2.0f);
    // A weight that is zero only once converted to f32 counts as zero.
    CHECK(reduce_one<float>(*k, DType::f32, Reduction::avg, {2.0f, kInf}, {1, 1e-60}, 1) == 2.0f);
    CHECK(reduce_one<double>(*k, DType::f64, Reduction::avg, {2.0, HUGE_VAL}, {1, 1e-60}, 1) == HUGE_VAL);
    CHECK(reduce_one<std::uint16_t>(*k, DType::f16, Reduction::avg, {0x7e00, 0x4000}, {0, 1}, 1) == 0x4000);
    // The dividend does not start at +0: the average of -0 alone is -0.
    CHECK(bits(reduce_one<float>(*k, DType::f32, Reduction::avg, {kNan, -0.0f}, {0, 1}, 1)) == 0x80000000u);
    // Nobody takes part: 0 / 0 is the canonical NaN, 0 / 1 is 0.
    CHECK(bits(reduce_one<float>(*k, DType::f32, Reduction::avg, {1.0f, 2.0f}, {0, 0}, 0)) == 0x7fc00000u);
    CHECK(bits(reduce_one<float>(*k, DType::f32, Reduction::avg, {1.0f, 2.0f}, {0, 0}, 1)) == 0u);
  }
}

TEST_CASE("reduce: min and max propagate NaN and order -0 below +0") {
  for (const Kernels* k : runnable_kernels()) {
    CAPTURE(k->name);
    for (Reduction reduction : {Reduction::min, Reduction::max}) {
      CHECK(bits(reduce_one<float>(*k, DType::f32, reduction, {-kInf, kNan, kInf})) == 0x7fc00000u);
      CHECK(bits(reduce_one<float>(*k, DType::f32, reduction, {-kNan, 1.0f})) == 0x7fc00000u);
      CHECK(bits(reduce_one<double>(*k, DType::f64, reduction, {1.0, std::bit_cast<double>(0xfff0000000000001u)})) ==
            0x7ff8000000000000u);
      CHECK(reduce_one<std::uint16_t>(*k, DType::f16, reduction, {0x3c00, 0xfc01}) == 0x7e00);
      CHECK(reduce_one<std::uint16_t>(*k, DType::bf16, reduction, {0x7f81, 0x3c00}) == 0x7fc0);
      const bool min = reduction == Reduction::min;
      for (const bool swap : {false, true}) {
        const float a = swap ? 0.0f : -0.0f;
        CHECK(bits(reduce_one<float>(*k, DType::f32, reduction, {a, -a})) == (min ? 0x80000000u : 0u));
        const double b = swap ? 0.0 : -0.0;
        CHECK(bits(reduce_one<double>(*k, DType::f64, reduction, {b, -b})) == (min ? 0x8000000000000000u : 0u));
      }
      CHECK(reduce_one<float>(*k, DType::f32, reduction, {1.0f, -kInf, -3.0f, kInf}) == (min ? -kInf : kInf));
      CHECK(reduce_one<float>(*k, DType::f32, reduction, {-2.0f, -1.0f}) == (min ? -2.0f : -1.0f));
      CHECK(reduce_one<double>(*k, DType::f64, reduction, {-5e-324, 5e-324}) == (min ? -5e-324 : 5e-324));
      CHECK(reduce_one<std::uint16_t>(*k, DType::f16, reduction, {0x8001, 0x0001}) == (min ? 0x8001 : 0x0001));
      CHECK(reduce_one<std::uint16_t>(*k, DType::bf16, reduction, {0xbf80, 0xc000}) == (min ? 0xc000 : 0xbf80));
    }
  }
}

TEST_CASE("reduce: every NaN in a result is the canonical one") {
  const float payload = std::bit_cast<float>(0xffa12345u);
  for (const Kernels* k : runnable_kernels()) {
    CAPTURE(k->name);
    for (Reduction reduction : kAllReductions) {
      CHECK(bits(reduce_one<float>(*k, DType::f32, reduction, {payload}, {2}, 2)) == 0x7fc00000u);
      CHECK(bits(reduce_one<double>(*k, DType::f64, reduction, {std::bit_cast<double>(0x7ff0000000000001u)}, {2}, 2)) ==
            0x7ff8000000000000u);
      CHECK(reduce_one<std::uint16_t>(*k, DType::f16, reduction, {0xfdab}, {2}, 2) == 0x7e00);
      CHECK(reduce_one<std::uint16_t>(*k, DType::bf16, reduction, {0xffab}, {2}, 2) == 0x7fc0);
    }
    // On x86 the processor's own default NaN is negative.
    CHECK(bits(reduce_one<float>(*k, DType::f32, Reduction::sum, {kInf, -kInf})) == 0x7fc00000u);
    CHECK(bits(reduce_one<float>(*k, DType::f32, Reduction::prod, {kInf, 0.0f})) == 0x7fc00000u);
    CHECK(bits(reduce_one<double>(*k, DType::f64, Reduction::sum, {HUGE_VAL, -HUGE_VAL})) == 0x7ff8000000000000u);
    CHECK(reduce_one<std::uint16_t>(*k, DType::f16, Reduction::sum, {0x7c00, 0xfc00}) == 0x7e00);
    CHECK(reduce_one<std::uint16_t>(*k, DType::bf16, Reduction::prod, {0xff80, 0x0000}) == 0x7fc0);
  }
}

TEST_CASE("reduce: integers wrap in sum and prod and compare by their sign") {
  for (const Kernels* k : runnable_kernels()) {
    CAPTURE(k->name);
    CHECK(reduce_one<std::int8_t>(*k, DType::i8, Reduction::sum, {127, 1}) == -128);
    CHECK(reduce_one<std::uint8_t>(*k, DType::u8, Reduction::sum, {255, 2}) == 1);
    CHECK(reduce_one<std::int32_t>(*k, DType::i32, Reduction::sum, {INT32_MAX, 1}) == INT32_MIN);
    CHECK(reduce_one<std::int64_t>(*k, DType::i64, Reduction::sum, {INT64_MIN, -1}) == INT64_MAX);
    CHECK(reduce_one<std::uint64_t>(*k, DType::u64, Reduction::sum, {UINT64_MAX, 3}) == 2u);
    CHECK(reduce_one<std::int8_t>(*k, DType::i8, Reduction::prod, {-128, -1}) == -128);
    CHECK(reduce_one<std::uint16_t>(*k, DType::u16, Reduction::prod, {65535, 65535}) == 1);
    CHECK(reduce_one<std::int16_t>(*k, DType::i16, Reduction::prod, {256, 256, 1}) == 0);
    CHECK(reduce_one<std::int32_t>(*k, DType::i32, Reduction::prod, {65537, 65537}) == 131073);
    CHECK(reduce_one<std::int64_t>(*k, DType::i64, Reduction::prod, {INT64_MIN, -1}) == INT64_MIN);
    CHECK(reduce_one<std::int8_t>(*k, DType::i8, Reduction::min, {1, -1}) == -1);
    CHECK(reduce_one<std::uint8_t>(*k, DType::u8, Reduction::min, {1, 255}) == 1);
    CHECK(reduce_one<std::uint16_t>(*k, DType::u16, Reduction::max, {1, 65535}) == 65535);
    CHECK(reduce_one<std::int64_t>(*k, DType::i64, Reduction::max, {INT64_MIN, -5, -7}) == -5);
    CHECK(reduce_one<std::uint64_t>(*k, DType::u64, Reduction::max, {1, UINT64_MAX, 2}) == UINT64_MAX);
    CHECK(reduce_one<std::uint64_t>(*k, DType::u64, Reduction::min, {UINT64_MAX, 1, 2}) == 1u);
  }
}

TEST_CASE("reduce: the tables have what the contract says, by name") {
  REQUIRE(kernels_by_name("scalar") == &scalar_kernels());
  CHECK(kernels_by_name("avx2") == avx2_kernels());
  CHECK(kernels_by_name("") == nullptr);
  CHECK(kernels_by_name("avx512") == avx512_kernels());
  CHECK(kernels_by_name("avx1024") == nullptr);
  for (const Kernels* k : runnable_kernels()) {
    CAPTURE(k->name);
    for (DType dtype : kAllDTypes) {
      for (Reduction reduction : kAllReductions) {
        const bool defined = reduction != Reduction::avg || is_floating(dtype);
        CHECK((k->reduce(dtype, reduction) != nullptr) == defined);
      }
    }
    CHECK((k->reduce(static_cast<DType>(0), Reduction::sum) == nullptr));
    CHECK((k->reduce(static_cast<DType>(13), Reduction::sum) == nullptr));
    CHECK((k->reduce(DType::f32, static_cast<Reduction>(6)) == nullptr));
  }
  if (avx2_kernels() != nullptr) {
    CHECK(avx2_kernels()->has_own(DType::bf16, Reduction::sum));
    CHECK_FALSE(avx2_kernels()->has_own(DType::i8, Reduction::prod));
    const ReduceFunction shared = scalar_kernels().reduce(DType::i8, Reduction::prod);
    CHECK((avx2_kernels()->reduce(DType::i8, Reduction::prod) == shared));
  }
}

TEST_CASE("reduce: no elements is fine, no sources is a broken invariant") {
  float unused = 5;
  const Source source{nullptr, 1};
  for (const Kernels* k : runnable_kernels()) {
    k->reduce(DType::f32, Reduction::sum)({nullptr, {&source, 1}, 0, 0});
    CHECK_THROWS_AS(k->reduce(DType::f32, Reduction::sum)({&unused, {}, 1, 0}), InvariantError);
    CHECK(unused == 5);
  }
}

}  // namespace
}  // namespace seaway
