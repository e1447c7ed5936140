// Puts the kernels into a stream of the current device. cudaErrorInvalidValue for what there is none of: an average of integers,
// more sources than a roster has members.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "device/calls.h"

namespace seaway::cuda {

// How many multiprocessors the device has decides how many threads there are, and never a bit of the result.
struct Where {
  cudaStream_t stream;
  int processors;
};

cudaError_t encode(const Where& where, const SeawayEncode& call);
cudaError_t fold(const Where& where, const SeawayFold& call);
cudaError_t reduce(const Where& where, const SeawayReduce& call);
cudaError_t hash(const Where& where, const SeawayLeaf* leaves, std::size_t count);
cudaError_t lincomb(const Where& where, const SeawayLincomb& call);
cudaError_t outer_step(const Where& where, const SeawayOuterStep& call);
cudaError_t squares(const Where& where, const SeawaySquares& call);

}  // namespace seaway::cuda
