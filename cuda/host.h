// The bodies of the kernels on the host, one warp after the other: what a machine without a GPU tests, and what a device that is
// none computes with. `warps` is the size of the grid, which decides who does what and never a bit of the result.
#pragma once

#include "cuda/works.h"

namespace seaway::cuda::host {

template <class Some>
void for_warps(unsigned warps, const Some& some) {
  for (unsigned number = 0; number < warps; ++number) {
    some(number, warps);
  }
}

inline bool encode(unsigned warps, const SeawayEncode& call) {
  return for_encode(call, [&]<class Code>(const EncodeWork& work) {
    for_warps(warps, [&](unsigned number, unsigned of) { encode_some<Code>(HostWarp{}, work, number, of); });
  });
}

inline bool fold(unsigned warps, const SeawayFold& call) {
  return for_fold(call, [&]<class Code, class CodedBy, bool kAvg>(const FoldWork& work) {
    for_warps(warps,
              [&](unsigned number, unsigned of) { fold_some<Code, CodedBy, kAvg>(HostWarp{}, work, number, of); });
  });
}

inline bool reduce(unsigned threads, const SeawayReduce& call) {
  return for_reduce(call, [&]<class Operation, unsigned kPack>(const ReduceWork& work) {
    for_warps(threads, [&](unsigned number, unsigned of) { reduce_some<Operation, kPack>(work, number, of); });
  });
}

inline bool hash(const SeawayLeaf* leaves, std::size_t count) {
  for_leaves(leaves, count, [&](const auto& work) {
    HostBlock<HashShared> block;
    for (std::uint32_t leaf = 0; leaf < work.leaf_count; ++leaf) {
      hash_leaf(block, work.leaves[leaf]);
    }
  });
  return true;
}

inline bool lincomb(unsigned threads, const SeawayLincomb& call) {
  return for_lincomb(call, [&]<class Real>(const LincombWork<Real>& work) {
    for_warps(threads, [&](unsigned number, unsigned of) { lincomb_some(work, number, of); });
  });
}

inline bool outer_step(unsigned threads, const SeawayOuterStep& call) {
  return for_outer_step(call, [&]<class Real>(const OuterStepWork<Real>& work) {
    for_warps(threads, [&](unsigned number, unsigned of) { outer_step_some(work, number, of); });
  });
}

inline bool squares(unsigned warps, const SeawaySquares& call) {
  for_warps(warps, [&](unsigned number, unsigned of) { squares_some(HostWarp{}, work_of(call), number, of); });
  return true;
}

}  // namespace seaway::cuda::host
