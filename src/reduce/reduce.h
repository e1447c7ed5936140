// Reductions of N sources into one destination: sum, avg (weighted), min, max, prod over every dtype.
//
// Rules that hold for every kernel of every variant:
// - Each element is a strict left fold in source order, ((s0 + s1) + s2) + ..., so all variants and all peers give the
//   same bits. reduce/math.h is the definition; a variant is only a faster way to compute it.
// - f16 and bf16 accumulate in f32 and are rounded once, to nearest even. f32 accumulates in f32, f64 in f64.
// - avg is (w0*x0 + w1*x1 + ...) / weight_sum in the accumulator type, each product rounded before it is added. A
//   source whose weight is 0 in that type is skipped, so its NaN and Inf do no harm. With no source left the dividend
//   is 0. avg is not defined on integers.
// - Integer sum and prod wrap.
// - A NaN in a result is the dtype's one canonical NaN (quiet, positive). min and max give NaN if any source is NaN,
//   and order -0 below +0.
// - The caller's floating-point environment (rounding, flush-to-zero, exception masks and flags) neither changes a
//   result nor is changed.
// - Pointers need no alignment. `dst` may be exactly one of the sources; it must not overlap one partly.
// - No allocation, no state: any kernel may run on any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/dtype.h"

namespace seaway {

struct Source {
  const void* data;
  double weight;  // read by avg only
};

struct ReduceArgs {
  void* dst;
  std::span<const Source> sources;  // in roster order, at least one
  std::size_t count;                // elements in dst and in each source; may be 0
  double weight_sum;                // read by avg only
};

using ReduceFunction = void (*)(const ReduceArgs&);

// One variant of every kernel. Which one suits this processor is decided above the purity line.
struct Kernels {
  const char* name;
  const Kernels* shared;  // the variant whose function stands in where this one has none of its own; may be null
  ReduceFunction functions[13][6];

  // Null where the reduction is not defined on the dtype (avg on integers), or for a value that is no dtype.
  ReduceFunction reduce(DType dtype, Reduction reduction) const;
  // Whether the function is this variant's own and not the shared one.
  bool has_own(DType dtype, Reduction reduction) const;
};

const Kernels& scalar_kernels();                        // "scalar": runs everywhere
const Kernels* avx2_kernels();                          // "avx2": needs AVX2 and F16C; null when not compiled in
const Kernels* avx512_kernels();                        // "avx512": needs F, BW, DQ, VL too; null likewise
const Kernels* kernels_by_name(std::string_view name);  // null for a name that is not compiled in

}  // namespace seaway
