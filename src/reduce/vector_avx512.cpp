// The vector kernels in AVX-512 instructions. This file alone is compiled for them; elsewhere it is empty. It must emit no
// inline function with external linkage (see fold.h); everything is in the unnamed namespace.
#include "reduce/vector.h"

#if defined(__AVX512F__) && defined(__AVX512DQ__)

#include <immintrin.h>

#include "reduce/vector_loops.h"

namespace seaway {
namespace {

struct Avx512Lanes {
  struct Row {
    __m512 low, high;
  };
  struct Sums {
    __m512d v[4];
  };

  static Row load(const std::byte* from) { return {_mm512_loadu_ps(from), _mm512_loadu_ps(from + 64)}; }
  static void store(std::byte* to, Row row) {
    _mm512_storeu_ps(to, row.low);
    _mm512_storeu_ps(to + 64, row.high);
  }
  static Row add(Row a, Row b) { return {_mm512_add_ps(a.low, b.low), _mm512_add_ps(a.high, b.high)}; }
  static Row subtract(Row a, Row b) { return {_mm512_sub_ps(a.low, b.low), _mm512_sub_ps(a.high, b.high)}; }
  static Row multiply(Row a, float b) {
    return {_mm512_mul_ps(a.low, _mm512_set1_ps(b)), _mm512_mul_ps(a.high, _mm512_set1_ps(b))};
  }
  static __m512 canonical(__m512 a) {
    const __m512 nan = _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(math::F32::kNan)));
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a, nan);
  }
  static Row canonical(Row a) { return {canonical(a.low), canonical(a.high)}; }

  static __m512d add_square(__m512d sum, __m256 a) {
    const __m512d wide = _mm512_cvtps_pd(a);
    return _mm512_add_pd(sum, _mm512_mul_pd(wide, wide));
  }
  static Sums add_squares(const Sums& sums, Row a) {
    return {{add_square(sums.v[0], _mm512_castps512_ps256(a.low)),
             add_square(sums.v[1], _mm512_extractf32x8_ps(a.low, 1)),
             add_square(sums.v[2], _mm512_castps512_ps256(a.high)),
             add_square(sums.v[3], _mm512_extractf32x8_ps(a.high, 1))}};
  }
  static void store_sums(double* to, const Sums& sums) {
    for (std::size_t v = 0; v < 4; ++v) {
      _mm512_storeu_pd(to + v * 8, sums.v[v]);
    }
  }
};

constinit const VectorKernels kAvx512VectorKernels = vector_table<Avx512Lanes>("avx512");

}  // namespace

const VectorKernels* avx512_vector_kernels() { return &kAvx512VectorKernels; }

}  // namespace seaway

#else

namespace seaway {

const VectorKernels* avx512_vector_kernels() { return nullptr; }

}  // namespace seaway

#endif
