// Arithmetic on f32 vectors: linear combinations, the squared norm, the outer step of DiLoCo. Every member makes these steps
// on its own copy of the shared state, so the rules of reduce/reduce.h hold here as well: one definition (reduce/math.h), the
// same bits in all variants, each operation rounded once, canonical NaNs, the caller's floating-point environment without
// effect, no alignment needed, no allocation.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace seaway {

struct Term {
  const void* x;
  float factor;
};

// dst = factor0 * x0 + factor1 * x1 + ..., a strict left fold. A term of factor 0 counts: 0 * NaN is NaN.
struct LincombArgs {
  void* dst;                    // may be exactly one of the terms
  std::span<const Term> terms;  // at least one
  std::size_t count;
};

// buf = momentum * buf + gradient;  theta -= rate * (nesterov ? momentum * buf + gradient : buf)
struct OuterStepArgs {
  void* theta;
  void* buf;
  const void* gradient;
  std::size_t count;
  float rate;
  float momentum;
  bool nesterov;
};

struct VectorKernels {
  const char* name;
  void (*lincomb)(const LincombArgs&);
  // The sum of the squares, in f64. Element i belongs to partial sum i % 32; these add up as a tree, halves onto halves:
  // j + 16 to j, then j + 8, 4, 2, 1. So the bits do not depend on the variant.
  double (*sqnorm)(const void* x, std::size_t count);
  void (*outer_step)(const OuterStepArgs&);
};

const VectorKernels& scalar_vector_kernels();                        // "scalar": runs everywhere
const VectorKernels* avx2_vector_kernels();                          // "avx2": needs AVX2; null when not compiled in
const VectorKernels* avx512_vector_kernels();                        // "avx512": needs F and DQ; null likewise
const VectorKernels* vector_kernels_by_name(std::string_view name);  // null for a name that is not compiled in

}  // namespace seaway
