// Those reductions of math.h that are faster in AVX-512; AVX2's stand in for the rest (widening bf16 costs more than wider registers
// bring). This file alone is compiled for it; elsewhere it is empty. It must emit no inline function with external linkage (see fold.h);
// everything is in the unnamed namespace.
#include "reduce/reduce.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#include <immintrin.h>

#include "reduce/fold.h"
#include "reduce/variants.h"

namespace seaway {
namespace {

struct F32Lanes {
  using Value = __m512;
  using Weight = float;
  static constexpr std::size_t kElementSize = 4;
  static constexpr std::size_t kWidth = 16;
  static Value widen(const std::byte* data) { return _mm512_loadu_ps(data); }
  static Value add(Value a, Value b) { return _mm512_add_ps(a, b); }
  static Value multiply(Value a, Value b) { return _mm512_mul_ps(a, b); }
  static Value multiply(Value a, Weight b) { return _mm512_mul_ps(a, _mm512_set1_ps(b)); }
  static Value divide(Value a, Weight b) { return _mm512_div_ps(a, _mm512_set1_ps(b)); }
  static Value canonical(Value a) {
    const __m512 nan = _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(math::F32::kNan)));
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a, nan);
  }
  static void narrow(std::byte* data, Value a) { _mm512_storeu_ps(data, a); }
};

struct F64Lanes {
  using Value = __m512d;
  using Weight = double;
  static constexpr std::size_t kElementSize = 8;
  static constexpr std::size_t kWidth = 8;
  static Value widen(const std::byte* data) { return _mm512_loadu_pd(data); }
  static Value add(Value a, Value b) { return _mm512_add_pd(a, b); }
  static Value multiply(Value a, Value b) { return _mm512_mul_pd(a, b); }
  static Value multiply(Value a, Weight b) { return _mm512_mul_pd(a, _mm512_set1_pd(b)); }
  static Value divide(Value a, Weight b) { return _mm512_div_pd(a, _mm512_set1_pd(b)); }
  static Value canonical(Value a) {
    const __m512d nan = _mm512_castsi512_pd(_mm512_set1_epi64(static_cast<long long>(math::F64::kNan)));
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, a, _CMP_UNORD_Q), a, nan);
  }
  static void narrow(std::byte* data, Value a) { _mm512_storeu_pd(data, a); }
};

__m256i load_256(const std::byte* data) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data)); }
void store_256(std::byte* data, __m256i value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(data), value); }

// Sixteen halves are one register of f32.
struct F16Lanes : F32Lanes {
  static constexpr std::size_t kElementSize = 2;
  static Value widen(const std::byte* data) { return _mm512_cvtph_ps(load_256(data)); }
  static void narrow(std::byte* data, Value a) { store_256(data, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT)); }
};

// 64-bit integers: multiplied, and compared as they are.
struct Integers64 {
  using Value = __m512i;
  using Weight = float;
  static constexpr bool kWeighted = false;
  static constexpr std::size_t kElementSize = 8;
  static constexpr std::size_t kWidth = 8;
  static Value load(const std::byte* data, Weight) { return _mm512_loadu_si512(data); }
  static void store(std::byte* data, Value a, const math::Finish<Weight>&) { _mm512_storeu_si512(data, a); }
};
struct Prod64 : Integers64 {
  static Value combine(Value a, Value b) { return _mm512_mullo_epi64(a, b); }
};
struct MinI64 : Integers64 {
  static Value combine(Value a, Value b) { return _mm512_min_epi64(a, b); }
};
struct MaxI64 : Integers64 {
  static Value combine(Value a, Value b) { return _mm512_max_epi64(a, b); }
};
struct MinU64 : Integers64 {
  static Value combine(Value a, Value b) { return _mm512_min_epu64(a, b); }
};
struct MaxU64 : Integers64 {
  static Value combine(Value a, Value b) { return _mm512_max_epu64(a, b); }
};

template <class Lanes>
constexpr ReduceFunction kAvx512 = reduce_with<Lanes, 4>;

template <class F>
consteval void set_arithmetic(Kernels& kernels, DType dtype) {
  set(kernels, dtype, Reduction::sum, kAvx512<SumLanes<F>>);
  set(kernels, dtype, Reduction::avg, kAvx512<AvgLanes<F>>);
  set(kernels, dtype, Reduction::prod, kAvx512<ProdLanes<F>>);
}

consteval Kernels avx512_table() {
  Kernels kernels{"avx512", &kAvx2Kernels, {}};
  set_arithmetic<F32Lanes>(kernels, DType::f32);
  set_arithmetic<F64Lanes>(kernels, DType::f64);
  set_arithmetic<F16Lanes>(kernels, DType::f16);
  set(kernels, DType::i64, Reduction::prod, kAvx512<Prod64>);
  set(kernels, DType::u64, Reduction::prod, kAvx512<Prod64>);
  set(kernels, DType::i64, Reduction::min, kAvx512<MinI64>);
  set(kernels, DType::i64, Reduction::max, kAvx512<MaxI64>);
  set(kernels, DType::u64, Reduction::min, kAvx512<MinU64>);
  set(kernels, DType::u64, Reduction::max, kAvx512<MaxU64>);
  return kernels;
}

constinit const Kernels kAvx512Kernels = avx512_table();

}  // namespace

const Kernels* avx512_kernels() { return &kAvx512Kernels; }

}  // namespace seaway

#else

namespace seaway {

const Kernels* avx512_kernels() { return nullptr; }

}  // namespace seaway

#endif
