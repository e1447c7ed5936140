#include <algorithm>

#include "cuda/kernels.h"
#include "cuda/works.h"

namespace seaway::cuda {
namespace {

constexpr unsigned kThreads = kWarps * kLanes;

__device__ std::uint64_t thread_number() { return std::uint64_t{blockIdx.x} * kThreads + threadIdx.x; }
__device__ std::uint64_t thread_count() { return std::uint64_t{gridDim.x} * kThreads; }

template <class Code>
__global__ void __launch_bounds__(kThreads) encode_kernel(const __grid_constant__ EncodeWork work) {
  encode_some<Code>(DeviceWarp{}, work, thread_number() / kLanes, thread_count() / kLanes);
}

template <class Code, class CodedBy, bool kAvg>
__global__ void __launch_bounds__(kThreads) fold_kernel(const __grid_constant__ FoldWork work) {
  fold_some<Code, CodedBy, kAvg>(DeviceWarp{}, work, thread_number() / kLanes, thread_count() / kLanes);
}

template <class Operation, unsigned kPack>
__global__ void __launch_bounds__(kThreads) reduce_kernel(const __grid_constant__ ReduceWork work) {
  reduce_some<Operation, kPack>(work, thread_number(), thread_count());
}

template <unsigned kMost>
__global__ void __launch_bounds__(kThreads) hash_kernel(const __grid_constant__ HashWork<kMost> work) {
  __shared__ HashShared shared;
  DeviceBlock<HashShared> block{shared};
  hash_leaf(block, work.leaves[blockIdx.x]);
}

template <class Real>
__global__ void __launch_bounds__(kThreads) lincomb_kernel(const __grid_constant__ LincombWork<Real> work) {
  lincomb_some(work, thread_number(), thread_count());
}

template <class Real>
__global__ void __launch_bounds__(kThreads) outer_step_kernel(const __grid_constant__ OuterStepWork<Real> work) {
  outer_step_some(work, thread_number(), thread_count());
}

__global__ void __launch_bounds__(kThreads) squares_kernel(const __grid_constant__ SquaresWork work) {
  squares_some(DeviceWarp{}, work, thread_number() / kLanes, thread_count() / kLanes);
}

// Blocks for so many threads, but no more than keep the device busy: each goes on with the next elements.
unsigned blocks_for(const Where& where, std::uint64_t threads) {
  constexpr std::uint64_t kBlocksPerProcessor = 8;
  const std::uint64_t most = static_cast<std::uint64_t>(where.processors) * kBlocksPerProcessor;
  return static_cast<unsigned>(std::clamp<std::uint64_t>((threads + kThreads - 1) / kThreads, 1, most));
}

cudaError_t launched(bool is_defined) { return is_defined ? cudaGetLastError() : cudaErrorInvalidValue; }

}  // namespace

cudaError_t encode(const Where& where, const SeawayEncode& call) {
  return launched(for_encode(call, [&]<class Code>(const EncodeWork& work) {
    const unsigned blocks = blocks_for(where, (work.end_tile - work.first_tile) * kLanes);
    encode_kernel<Code><<<blocks, kThreads, 0, where.stream>>>(work);
  }));
}

cudaError_t fold(const Where& where, const SeawayFold& call) {
  const unsigned blocks = blocks_for(where, (call.count + kTile - 1) / kTile * kLanes);
  return launched(for_fold(call, [&]<class Code, class CodedBy, bool kAvg>(const FoldWork& work) {
    fold_kernel<Code, CodedBy, kAvg><<<blocks, kThreads, 0, where.stream>>>(work);
  }));
}

cudaError_t reduce(const Where& where, const SeawayReduce& call) {
  return launched(for_reduce(call, [&]<class Operation, unsigned kPack>(const ReduceWork& work) {
    const unsigned blocks = blocks_for(where, (work.end - work.first) / kPack);
    reduce_kernel<Operation, kPack><<<blocks, kThreads, 0, where.stream>>>(work);
  }));
}

cudaError_t hash(const Where& where, const SeawayLeaf* leaves, std::size_t count) {
  for_leaves(leaves, count, [&]<unsigned kMost>(const HashWork<kMost>& work) {
    hash_kernel<kMost><<<work.leaf_count, kThreads, 0, where.stream>>>(work);
  });
  return launched(true);
}

cudaError_t lincomb(const Where& where, const SeawayLincomb& call) {
  const unsigned blocks = blocks_for(where, call.count);
  return launched(for_lincomb(call, [&]<class Real>(const LincombWork<Real>& work) {
    lincomb_kernel<Real><<<blocks, kThreads, 0, where.stream>>>(work);
  }));
}

cudaError_t outer_step(const Where& where, const SeawayOuterStep& call) {
  const unsigned blocks = blocks_for(where, call.count);
  return launched(for_outer_step(call, [&]<class Real>(const OuterStepWork<Real>& work) {
    outer_step_kernel<Real><<<blocks, kThreads, 0, where.stream>>>(work);
  }));
}

cudaError_t squares(const Where& where, const SeawaySquares& call) {
  const SquaresWork work = work_of(call);
  squares_kernel<<<blocks_for(where, work.blocks() * kLanes), kThreads, 0, where.stream>>>(work);
  return launched(true);
}

}  // namespace seaway::cuda
