// The reference of promise 1: what the bits of a result have to be, computed in the longest way from the definition
// and sharing no line with src/reduce.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "collective/boundary.h"

namespace seaway::sim {

struct ReferenceInput {
  PeerId id = kNoPeer;
  std::vector<std::byte> data;
  double weight = 1;
  std::vector<std::byte> residual;       // none: empty
  std::vector<collective::Share> sends;  // of an exchange: to whom each piece of `data` goes
};

// Of ops of blocks: whose each is, and who has the result.
struct ReferenceBlocks {
  std::vector<PeerId> owners;
  PeerId mine = kNoPeer;
};

// What else the bits depend on.
struct ReferenceAttempt {
  OpKey op;
  collective::PlanKind plan = collective::PlanKind::direct;
  std::uint32_t chunk_bytes = 0;            // with a codec
  std::map<PeerId, std::uint32_t> sites{};  // of a hierarchical plan: the contributors', by number
};

// `inputs` in roster order, at least one. Of an exchange the result is `blocks.mine`'s, whose `receives` the descriptor has.
std::vector<std::byte> reference(const collective::Descriptor& descriptor, std::vector<ReferenceInput> inputs,
                                 const ReferenceBlocks& blocks, const ReferenceAttempt& attempt);

// The contribution becomes what its encoding says, its residual what that has lost.
void encode_and_decode(const collective::Descriptor& descriptor, const ReferenceAttempt& attempt,
                       ReferenceInput& input);

}  // namespace seaway::sim
