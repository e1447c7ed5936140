// Arithmetic on vectors: linear combinations, the squared norm, the outer step of DiLoCo. Every member makes these steps
// on its own copy of the shared state, so the rules of reduce/reduce.h hold here as well: one definition (reduce/math.h), the
// same bits in all variants, each operation rounded once, canonical NaNs, the caller's floating-point environment without
// effect, no alignment needed, no allocation.
//
// Variants are of f32. f64 is for what is checked to the last digit; it has one loop, which runs everywhere.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace seaway {

template <class Real>
struct TermOf {
  const void* x;
  Real factor;
};

// dst = factor0 * x0 + factor1 * x1 + ..., a strict left fold. A term of factor 0 counts: 0 * NaN is NaN.
template <class Real>
struct LincombOf {
  void* dst;                            // may be exactly one of the terms
  std::span<const TermOf<Real>> terms;  // at least one
  std::size_t count;
};

// buf = momentum * buf + gradient;  theta -= rate * (nesterov ? momentum * buf + gradient : buf)
template <class Real>
struct OuterStepOf {
  void* theta;
  void* buf;
  const void* gradient;
  std::size_t count;
  Real rate;
  Real momentum;
  bool nesterov;
};

using Term = TermOf<float>;
using LincombArgs = LincombOf<float>;
using OuterStepArgs = OuterStepOf<float>;

struct VectorKernels {
  const char* name;
  void (*lincomb)(const LincombArgs&);
  // The sum of the squares, in f64, by blocks of math::kSquaresBlock elements. Of a block, element i belongs to partial sum i % 32;
  // these add up as a tree, halves onto halves: j + 16 to j, then j + 8, 4, 2, 1. The blocks' sums add up one after the other. So
  // the bits depend neither on the variant nor on who computes which block.
  double (*sqnorm)(const void* x, std::size_t count);
  void (*outer_step)(const OuterStepArgs&);
};

const VectorKernels& scalar_vector_kernels();                        // "scalar": runs everywhere
const VectorKernels* avx2_vector_kernels();                          // "avx2": needs AVX2; null when not compiled in
const VectorKernels* avx512_vector_kernels();                        // "avx512": needs F and DQ; null likewise
const VectorKernels* vector_kernels_by_name(std::string_view name);  // null for a name that is not compiled in

// The squared norm of a vector whose blocks have these sums, which a device has computed.
double sqnorm_of_blocks(std::span<const double> sums);

void lincomb_f64(const LincombOf<double>& args);
void outer_step_f64(const OuterStepOf<double>& args);

}  // namespace seaway
