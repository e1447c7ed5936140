// The reductions of math.h in AVX2 and F16C instructions. This file alone is compiled for them; elsewhere it is empty.
// It must emit no inline function with external linkage (see fold.h); everything is in the unnamed namespace.
#include "reduce/reduce.h"

#if defined(__AVX2__) && defined(__F16C__)

#include <immintrin.h>

#include "reduce/fold.h"
#include "reduce/variants.h"

namespace seaway {
namespace {

__m256i load_256(const std::byte* data) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data)); }
void store_256(std::byte* data, __m256i value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(data), value); }

// --- arithmetic on floats --------------------------------------------------------------------------------------------

struct F32Lanes {
  using Value = __m256;
  using Weight = float;
  static constexpr std::size_t kElementSize = 4;
  static constexpr std::size_t kWidth = 8;
  static constexpr std::size_t kUnroll = 4;
  static Value widen(const std::byte* data) { return _mm256_castsi256_ps(load_256(data)); }
  static Value add(Value a, Value b) { return _mm256_add_ps(a, b); }
  static Value multiply(Value a, Value b) { return _mm256_mul_ps(a, b); }
  static Value multiply(Value a, Weight b) { return _mm256_mul_ps(a, _mm256_set1_ps(b)); }
  static Value divide(Value a, Weight b) { return _mm256_div_ps(a, _mm256_set1_ps(b)); }
  static Value canonical(Value a) {
    const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(math::F32::kNan)));
    return _mm256_blendv_ps(a, nan, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  }
  static void narrow(std::byte* data, Value a) { store_256(data, _mm256_castps_si256(a)); }
};

struct F64Lanes {
  using Value = __m256d;
  using Weight = double;
  static constexpr std::size_t kElementSize = 8;
  static constexpr std::size_t kWidth = 4;
  static constexpr std::size_t kUnroll = 4;
  static Value widen(const std::byte* data) { return _mm256_castsi256_pd(load_256(data)); }
  static Value add(Value a, Value b) { return _mm256_add_pd(a, b); }
  static Value multiply(Value a, Value b) { return _mm256_mul_pd(a, b); }
  static Value multiply(Value a, Weight b) { return _mm256_mul_pd(a, _mm256_set1_pd(b)); }
  static Value divide(Value a, Weight b) { return _mm256_div_pd(a, _mm256_set1_pd(b)); }
  static Value canonical(Value a) {
    const __m256d nan = _mm256_castsi256_pd(_mm256_set1_epi64x(static_cast<long long>(math::F64::kNan)));
    return _mm256_blendv_pd(a, nan, _mm256_cmp_pd(a, a, _CMP_UNORD_Q));
  }
  static void narrow(std::byte* data, Value a) { store_256(data, _mm256_castpd_si256(a)); }
};

// Sixteen halves as two vectors of f32. `low` and `high` are whatever halves of the sixteen the format finds cheapest.
struct HalfLanes {
  struct Value {
    __m256 low, high;
  };
  using Weight = float;
  static constexpr std::size_t kElementSize = 2;
  static constexpr std::size_t kWidth = 16;
  static constexpr std::size_t kUnroll = 2;
  static Value add(Value a, Value b) { return {F32Lanes::add(a.low, b.low), F32Lanes::add(a.high, b.high)}; }
  static Value multiply(Value a, Value b) {
    return {F32Lanes::multiply(a.low, b.low), F32Lanes::multiply(a.high, b.high)};
  }
  static Value multiply(Value a, Weight b) { return {F32Lanes::multiply(a.low, b), F32Lanes::multiply(a.high, b)}; }
  static Value divide(Value a, Weight b) { return {F32Lanes::divide(a.low, b), F32Lanes::divide(a.high, b)}; }
  static Value canonical(Value a) { return {F32Lanes::canonical(a.low), F32Lanes::canonical(a.high)}; }
};

struct F16Lanes : HalfLanes {
  static Value widen(const std::byte* data) {
    const __m256i halves = load_256(data);
    return {_mm256_cvtph_ps(_mm256_castsi256_si128(halves)), _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1))};
  }
  static void narrow(std::byte* data, Value a) {
    const __m128i low = _mm256_cvtps_ph(a.low, _MM_FROUND_TO_NEAREST_INT);
    const __m128i high = _mm256_cvtps_ph(a.high, _MM_FROUND_TO_NEAREST_INT);
    store_256(data, _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1));
  }
};

struct Bf16Lanes : HalfLanes {
  // Unpacking and packing both work within 128 bits, so that the one undoes the order the other leaves.
  static Value widen(const std::byte* data) {
    const __m256i halves = load_256(data);
    const __m256i zero = _mm256_setzero_si256();
    return {_mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, halves)),
            _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, halves))};
  }
  // A canonical NaN survives the rounding as the canonical NaN.
  static __m256i rounded(__m256 a) {
    const __m256i bits = _mm256_castps_si256(a);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  }
  static void narrow(std::byte* data, Value a) {
    store_256(data, _mm256_packus_epi32(rounded(a.low), rounded(a.high)));
  }
};

// --- integers --------------------------------------------------------------------------------------------------------

struct IntegerLanes {
  using Value = __m256i;
  using Weight = float;
  static constexpr bool kWeighted = false;
  static constexpr std::size_t kUnroll = 4;
  static Value load(const std::byte* data, Weight) { return load_256(data); }
  static void store(std::byte* data, Value a, const math::Finish<Weight>&) { store_256(data, a); }
};

// AVX2 compares 64-bit numbers as signed ones only, and has no min or max for them.
__m256i max_epi64(__m256i a, __m256i b) { return _mm256_blendv_epi8(b, a, _mm256_cmpgt_epi64(a, b)); }
__m256i min_epi64(__m256i a, __m256i b) { return _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi64(a, b)); }
__m256i above_epu64(__m256i a, __m256i b) {
  const __m256i sign = _mm256_set1_epi64x(INT64_MIN);
  return _mm256_cmpgt_epi64(_mm256_xor_si256(a, sign), _mm256_xor_si256(b, sign));
}
__m256i max_epu64(__m256i a, __m256i b) { return _mm256_blendv_epi8(b, a, above_epu64(a, b)); }
__m256i min_epu64(__m256i a, __m256i b) { return _mm256_blendv_epi8(a, b, above_epu64(a, b)); }

// Twenty-two operations that differ in one instruction.
#define SEAWAY_INTEGER_LANES(Name, size, instruction)                    \
  struct Name : IntegerLanes {                                           \
    static constexpr std::size_t kElementSize = size;                    \
    static constexpr std::size_t kWidth = 32 / (size);                   \
    static Value combine(Value a, Value b) { return instruction(a, b); } \
  };

SEAWAY_INTEGER_LANES(Sum8, 1, _mm256_add_epi8)
SEAWAY_INTEGER_LANES(Sum16, 2, _mm256_add_epi16)
SEAWAY_INTEGER_LANES(Sum32, 4, _mm256_add_epi32)
SEAWAY_INTEGER_LANES(Sum64, 8, _mm256_add_epi64)
SEAWAY_INTEGER_LANES(Prod16, 2, _mm256_mullo_epi16)
SEAWAY_INTEGER_LANES(Prod32, 4, _mm256_mullo_epi32)
SEAWAY_INTEGER_LANES(MinI8, 1, _mm256_min_epi8)
SEAWAY_INTEGER_LANES(MinU8, 1, _mm256_min_epu8)
SEAWAY_INTEGER_LANES(MinI16, 2, _mm256_min_epi16)
SEAWAY_INTEGER_LANES(MinU16, 2, _mm256_min_epu16)
SEAWAY_INTEGER_LANES(MinI32, 4, _mm256_min_epi32)
SEAWAY_INTEGER_LANES(MinU32, 4, _mm256_min_epu32)
SEAWAY_INTEGER_LANES(MinI64, 8, min_epi64)
SEAWAY_INTEGER_LANES(MinU64, 8, min_epu64)
SEAWAY_INTEGER_LANES(MaxI8, 1, _mm256_max_epi8)
SEAWAY_INTEGER_LANES(MaxU8, 1, _mm256_max_epu8)
SEAWAY_INTEGER_LANES(MaxI16, 2, _mm256_max_epi16)
SEAWAY_INTEGER_LANES(MaxU16, 2, _mm256_max_epu16)
SEAWAY_INTEGER_LANES(MaxI32, 4, _mm256_max_epi32)
SEAWAY_INTEGER_LANES(MaxU32, 4, _mm256_max_epu32)
SEAWAY_INTEGER_LANES(MaxI64, 8, max_epi64)
SEAWAY_INTEGER_LANES(MaxU64, 8, max_epu64)

#undef SEAWAY_INTEGER_LANES

// --- min and max of floats: the integer ones, on keys (see math::ordered) --------------------------------------------

struct Bits16 {
  static __m256i all(std::uint16_t x) { return _mm256_set1_epi16(static_cast<short>(x)); }
  static __m256i above(__m256i a, __m256i b) { return _mm256_cmpgt_epi16(a, b); }
  static __m256i ordered(__m256i a) { return _mm256_xor_si256(a, _mm256_srli_epi16(_mm256_srai_epi16(a, 15), 1)); }
};

struct Bits32 {
  static __m256i all(std::uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
  static __m256i above(__m256i a, __m256i b) { return _mm256_cmpgt_epi32(a, b); }
  static __m256i ordered(__m256i a) { return _mm256_xor_si256(a, _mm256_srli_epi32(_mm256_srai_epi32(a, 31), 1)); }
};

struct Bits64 {
  static __m256i all(std::uint64_t x) { return _mm256_set1_epi64x(static_cast<long long>(x)); }
  static __m256i above(__m256i a, __m256i b) { return _mm256_cmpgt_epi64(a, b); }
  static __m256i ordered(__m256i a) {
    const __m256i sign = _mm256_cmpgt_epi64(_mm256_setzero_si256(), a);
    return _mm256_xor_si256(a, _mm256_srli_epi64(sign, 1));
  }
};

template <class F, bool kMax, class Bits, class Compare>
struct ExtremeLanes : Compare {
  using typename Compare::Value;
  using typename Compare::Weight;
  using Scalar = math::Extreme<F, kMax>;
  using Stored = typename F::Stored;

  // With the sign cleared both sides are non-negative, so the signed comparison is enough.
  static Value is_nan(Value bits) {
    return Bits::above(_mm256_and_si256(bits, Bits::all(static_cast<Stored>(Scalar::kLeast - 1u))),
                       Bits::all(F::kInfinity));
  }
  static Value load(const std::byte* data, Weight) {
    const Value bits = load_256(data);
    return _mm256_blendv_epi8(Bits::ordered(bits), Bits::all(static_cast<Stored>(Scalar::kWinner)), is_nan(bits));
  }
  static void store(std::byte* data, Value key, const math::Finish<Weight>& finish) {
    const Value bits = Bits::ordered(key);
    store_256(data, finish.canonical ? _mm256_blendv_epi8(bits, Bits::all(F::kNan), is_nan(bits)) : bits);
  }
};

// --- the table -------------------------------------------------------------------------------------------------------

template <class Lanes>
constexpr ReduceFunction kAvx2 = reduce_with<Lanes, Lanes::kUnroll>;

template <class F>
consteval void set_arithmetic(Kernels& kernels, DType dtype) {
  set(kernels, dtype, Reduction::sum, kAvx2<SumLanes<F>>);
  set(kernels, dtype, Reduction::avg, kAvx2<AvgLanes<F>>);
  set(kernels, dtype, Reduction::prod, kAvx2<ProdLanes<F>>);
}

template <class F, class Bits, class MinKey, class MaxKey>
consteval void set_order(Kernels& kernels, DType dtype) {
  set(kernels, dtype, Reduction::min, kAvx2<ExtremeLanes<F, false, Bits, MinKey>>);
  set(kernels, dtype, Reduction::max, kAvx2<ExtremeLanes<F, true, Bits, MaxKey>>);
}

template <class SumOf, class MinOf, class MaxOf>
consteval void set_integer(Kernels& kernels, DType dtype) {
  set(kernels, dtype, Reduction::sum, kAvx2<SumOf>);
  set(kernels, dtype, Reduction::min, kAvx2<MinOf>);
  set(kernels, dtype, Reduction::max, kAvx2<MaxOf>);
}

consteval Kernels avx2_table() {
  Kernels kernels{"avx2", &kScalarKernels, {}};
  set_arithmetic<F32Lanes>(kernels, DType::f32);
  set_arithmetic<F64Lanes>(kernels, DType::f64);
  set_arithmetic<F16Lanes>(kernels, DType::f16);
  set_arithmetic<Bf16Lanes>(kernels, DType::bf16);
  set_order<math::F32, Bits32, MinI32, MaxI32>(kernels, DType::f32);
  set_order<math::F64, Bits64, MinI64, MaxI64>(kernels, DType::f64);
  set_order<math::F16, Bits16, MinI16, MaxI16>(kernels, DType::f16);
  set_order<math::Bf16, Bits16, MinI16, MaxI16>(kernels, DType::bf16);
  set_integer<Sum8, MinI8, MaxI8>(kernels, DType::i8);
  set_integer<Sum8, MinU8, MaxU8>(kernels, DType::u8);
  set_integer<Sum16, MinI16, MaxI16>(kernels, DType::i16);
  set_integer<Sum16, MinU16, MaxU16>(kernels, DType::u16);
  set_integer<Sum32, MinI32, MaxI32>(kernels, DType::i32);
  set_integer<Sum32, MinU32, MaxU32>(kernels, DType::u32);
  set_integer<Sum64, MinI64, MaxI64>(kernels, DType::i64);
  set_integer<Sum64, MinU64, MaxU64>(kernels, DType::u64);
  // AVX2 has no 8-bit and no 64-bit multiplication: prod of i8, u8, i64 and u64 stays shared with the scalar variant.
  set(kernels, DType::i16, Reduction::prod, kAvx2<Prod16>);
  set(kernels, DType::u16, Reduction::prod, kAvx2<Prod16>);
  set(kernels, DType::i32, Reduction::prod, kAvx2<Prod32>);
  set(kernels, DType::u32, Reduction::prod, kAvx2<Prod32>);
  return kernels;
}

}  // namespace

constinit const Kernels kAvx2Kernels = avx2_table();

const Kernels* avx2_kernels() { return &kAvx2Kernels; }

}  // namespace seaway

#else

namespace seaway {

const Kernels* avx2_kernels() { return nullptr; }

}  // namespace seaway

#endif
