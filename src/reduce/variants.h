// What the variants share to build their tables. A table is a constant: it needs no code at start-up, which for a
// variant the processor lacks would be code it cannot run.
#pragma once

#include "reduce/reduce.h"

namespace seaway {

extern const Kernels kScalarKernels;
extern const Kernels kAvx2Kernels;  // where it is compiled in

consteval void set(Kernels& kernels, DType dtype, Reduction reduction, ReduceFunction function) {
  kernels.functions[static_cast<std::size_t>(dtype)][static_cast<std::size_t>(reduction)] = function;
}

}  // namespace seaway
