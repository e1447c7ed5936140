// The vector kernels in AVX2 instructions. This file alone is compiled for them; elsewhere it is empty. It must emit no inline
// function with external linkage (see fold.h); everything is in the unnamed namespace.
#include "reduce/vector.h"

#if defined(__AVX2__)

#include <immintrin.h>

#include "reduce/vector_loops.h"

namespace seaway {
namespace {

struct Avx2Lanes {
  struct Row {
    __m256 v[4];
  };
  struct Sums {
    __m256d v[8];
  };

  template <class Function>
  [[gnu::always_inline]] static Row each(Function function) {
    return {{function(0), function(1), function(2), function(3)}};
  }
  static Row load(const std::byte* from) {
    return each([&](std::size_t v) { return _mm256_loadu_ps(reinterpret_cast<const float*>(from) + v * 8); });
  }
  static void store(std::byte* to, const Row& row) {
    for (std::size_t v = 0; v < 4; ++v) {
      _mm256_storeu_ps(reinterpret_cast<float*>(to) + v * 8, row.v[v]);
    }
  }
  static Row add(const Row& a, const Row& b) {
    return each([&](std::size_t v) { return _mm256_add_ps(a.v[v], b.v[v]); });
  }
  static Row subtract(const Row& a, const Row& b) {
    return each([&](std::size_t v) { return _mm256_sub_ps(a.v[v], b.v[v]); });
  }
  static Row multiply(const Row& a, float b) {
    return each([&](std::size_t v) { return _mm256_mul_ps(a.v[v], _mm256_set1_ps(b)); });
  }
  static Row canonical(const Row& a) {
    const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(math::F32::kNan)));
    return each(
        [&](std::size_t v) { return _mm256_blendv_ps(a.v[v], nan, _mm256_cmp_ps(a.v[v], a.v[v], _CMP_UNORD_Q)); });
  }
  static Sums add_squares(Sums sums, const Row& a) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < 4; ++v) {
      const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(a.v[v]));
      const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(a.v[v], 1));
      sums.v[2 * v] = _mm256_add_pd(sums.v[2 * v], _mm256_mul_pd(low, low));
      sums.v[2 * v + 1] = _mm256_add_pd(sums.v[2 * v + 1], _mm256_mul_pd(high, high));
    }
    return sums;
  }
  static void store_sums(double* to, const Sums& sums) {
    for (std::size_t v = 0; v < 8; ++v) {
      _mm256_storeu_pd(to + v * 4, sums.v[v]);
    }
  }
};

constinit const VectorKernels kAvx2VectorKernels = vector_table<Avx2Lanes>("avx2");

}  // namespace

const VectorKernels* avx2_vector_kernels() { return &kAvx2VectorKernels; }

}  // namespace seaway

#else

namespace seaway {

const VectorKernels* avx2_vector_kernels() { return nullptr; }

}  // namespace seaway

#endif
