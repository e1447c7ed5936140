// The reference of promise 1: what the bits of a result have to be, computed in the longest way from the definition
// and sharing no line with src/reduce.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "collective/boundary.h"

namespace seaway::sim {

struct ReferenceInput {
  PeerId id = kNoPeer;
  std::vector<std::byte> data;
  double weight = 1;
};

// Of ops of blocks: whose each is, and who has the result.
struct ReferenceBlocks {
  std::vector<PeerId> owners;
  PeerId mine = kNoPeer;
};

// `inputs` in roster order, at least one.
std::vector<std::byte> reference(const collective::Descriptor& descriptor, std::span<const ReferenceInput> inputs,
                                 const ReferenceBlocks& blocks);

}  // namespace seaway::sim
