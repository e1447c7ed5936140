#include "reduce/reduce.h"

namespace seaway {

bool Kernels::has_own(DType dtype, Reduction reduction) const {
  return is_valid(dtype) && is_valid(reduction) &&
         functions[static_cast<std::size_t>(dtype)][static_cast<std::size_t>(reduction)] != nullptr;
}

ReduceFunction Kernels::reduce(DType dtype, Reduction reduction) const {
  if (has_own(dtype, reduction)) {
    return functions[static_cast<std::size_t>(dtype)][static_cast<std::size_t>(reduction)];
  }
  return shared != nullptr ? shared->reduce(dtype, reduction) : nullptr;
}

const Kernels* kernels_by_name(std::string_view name) {
  for (const Kernels* kernels : {&scalar_kernels(), avx2_kernels(), avx512_kernels()}) {
    if (kernels != nullptr && name == kernels->name) {
      return kernels;
    }
  }
  return nullptr;
}

}  // namespace seaway
