// The plans of ops of blocks: all-gather and reduce-scatter; the order of an exchange.
#include <algorithm>
#include <cstddef>

#include "base/assert.h"
#include "collective/plan.h"

namespace seaway::collective {

Plan make_block_plan(Blocks blocks, std::span<const PlanMember> base, std::uint64_t block_bytes, std::uint32_t grain,
                     const Limits& limits) {
  SEAWAY_ASSERT(!base.empty() && blocks != Blocks::none, "a block is somebody's");
  Plan plan;
  plan.blocks = blocks;
  plan.one_shot = blocks == Blocks::gathered;
  for (const PlanMember& member : base) {
    plan.owners.push_back(member.id);
  }
  plan.block_bytes = block_bytes;
  plan.bytes = block_bytes * base.size();
  plan.chunk_bytes = chunk_size(plan.bytes, base.size(), grain, limits);
  // No chunk lies in two blocks: it has one owner.
  plan.block_chunks = static_cast<std::uint32_t>((block_bytes + plan.chunk_bytes - 1) / plan.chunk_bytes);
  plan.chunks = plan.block_chunks * static_cast<std::uint32_t>(base.size());
  plan.ready_asks = plan.bytes < limits.one_shot_bytes;
  return plan;
}

std::uint64_t Plan::start_of(PeerId owner) const {
  const auto at = std::find(owners.begin(), owners.end(), owner);
  return block_bytes * static_cast<std::uint64_t>(at - owners.begin());
}

std::vector<std::uint32_t> Plan::chunks_in_turn(PeerId peer) const {
  const auto first = static_cast<std::size_t>(std::find(owners.begin(), owners.end(), peer) - owners.begin());
  std::vector<std::uint32_t> mine;
  mine.reserve(chunks);
  struct Range {
    std::uint32_t first;
    std::uint32_t chunks;
  };
  std::vector<Range> ranges;
  std::uint32_t most = 0;
  for (std::size_t i = 0; i < owners.size(); ++i) {
    const std::size_t block = (first + i) % owners.size();
    Range range{static_cast<std::uint32_t>(block) * block_chunks, block_chunks};
    if (blocks == Blocks::exchanged) {
      const Portion* portion = portions.of(owners[block]);
      range = portion == nullptr ? Range{0, 0} : Range{portion->first, portion->chunks};
    }
    ranges.push_back(range);
    most = std::max(most, range.chunks);
  }
  for (std::uint32_t within = 0; within < most; ++within) {
    for (const Range& range : ranges) {
      if (within < range.chunks) {
        mine.push_back(range.first + within);
      }
    }
  }
  return mine;
}

}  // namespace seaway::collective
