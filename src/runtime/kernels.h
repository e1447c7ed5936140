// Which kernels: the fastest that this processor runs. SEAWAY_KERNELS=scalar|avx2|avx512 in the environment forces one. What has
// no variant of that name takes the one before it.
#pragma once

#include "codec/codec.h"
#include "reduce/reduce.h"
#include "reduce/vector.h"

namespace seaway::runtime {

const Kernels& pick_kernels();
const CodecKernels& pick_codec_kernels();
const VectorKernels& pick_vector_kernels();

}  // namespace seaway::runtime
