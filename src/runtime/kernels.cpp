#include "runtime/kernels.h"

#include <cstdlib>
#include <string_view>

namespace seaway::runtime {
namespace {

bool runs_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }
bool runs_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
bool is_forced(std::string_view name) {
  const char* forced = std::getenv("SEAWAY_KERNELS");
  return forced != nullptr && name == forced;
}

template <class Table>
const Table* pick(const Table* scalar, const Table* avx2, const Table* avx512) {
  if (is_forced("scalar")) {
    return scalar;
  }
  if (avx512 != nullptr && runs_avx512() && !is_forced("avx2")) {
    return avx512;
  }
  return avx2 != nullptr && runs_avx2() ? avx2 : scalar;
}

}  // namespace

const Kernels& pick_kernels() { return *pick(&scalar_kernels(), avx2_kernels(), avx512_kernels()); }

const CodecKernels& pick_codec_kernels() {
  return *pick(&scalar_codec_kernels(), avx2_codec_kernels(), avx512_codec_kernels());
}

const VectorKernels& pick_vector_kernels() {
  return *pick(&scalar_vector_kernels(), avx2_vector_kernels(), avx512_vector_kernels());
}

}  // namespace seaway::runtime
