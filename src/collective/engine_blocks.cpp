// Ops of blocks: one block of data for each member of the generation's base, lost members included, in its order. Whom a
// block belongs to is known to everybody alike, whenever they post, and does not change when somebody is lost.
//
//   all-gather      a member's block is its input. Everybody has each block from its owner, as in a one-shot plan: a PART is
//                   bound to no attempt, so that blocks which have come stay when somebody is lost. A block whose owner does
//                   not contribute (lost, or not counted) is zeros, at everybody.
//   reduce-scatter  the root of a block's chunks is its owner, for good, and the result stays there: no RESULT. The block of a
//                   member that is lost is reduced for nobody.
#include <algorithm>

#include "base/mark.h"
#include "base/mutant.h"
#include "collective/engine.h"

namespace seaway::collective {

// "" or why these are not the blocks of this generation. Whoever made the memory for them may have looked at another one.
std::string Engine::wrong_blocks(const Descriptor& descriptor) const {
  if (!has_blocks(descriptor.kind) || descriptor.count == 0) {
    return "";
  }
  const std::size_t members = base_of(generation_).size();
  if (descriptor.blocks == members) {
    return "";
  }
  return std::string("there is memory for ") + std::to_string(descriptor.blocks) + " blocks, and this generation has " +
         std::to_string(members) + ": one for each member, those included that were lost since it began";
}

// The members of this lane with which the generation began; none if it is not known here.
std::vector<PlanMember> Engine::base_of(std::uint32_t generation) const {
  std::vector<PlanMember> members;
  for (const wire::Base& base : bases_) {
    for (const wire::BaseMember& member : base.members) {
      const bool counts = MUTANT(base_loses_members, true, is_member(member.id));
      if (base.generation == generation && member.lane == config_.lane && counts) {
        // The mutant has those of the newest generation, of as many members as there are.
        members.push_back({member.id,
                           MUTANT(rates_before_join_point, member.rate_mbps,
                                  bases_.back().members[members.size() % bases_.back().members.size()].rate_mbps),
                           member.site});
      }
    }
  }
  return members;
}

// A part of mine (Op::own_parts), as it is in the input. That of an all-gather is my block alone.
Region Engine::input_region(const Op& op, std::uint32_t part) const {
  if (op.plan.blocks == Blocks::exchanged) {
    return {Buffer::input, op.handle, op.given.offset_of(part), op.given.length_of(part)};
  }
  const std::uint64_t start = op.plan.blocks == Blocks::gathered ? op.my_block : 0;
  return {Buffer::input, op.handle, op.plan.offset_of(part) - start, op.plan.length_of(part)};
}

// The chunk to which a peer that posted what I did may send a part of this number; plan.chunks if it would not. Who collects
// a chunk changes with the attempts, and its sender may be at the next one already.
std::uint32_t Engine::chunk_from(const Op& op, PeerId sender, std::uint32_t number) const {
  const std::uint32_t chunk = op.plan.chunk_of(sender, number);
  const bool is_sent = chunk < op.plan.chunks && !op.plan.sends_partials(sender, config_.self) &&
                       (op.plan.blocks == Blocks::none || op.plan.sends(sender, config_.self, chunk));
  return is_sent ? chunk : op.plan.chunks;
}

bool Engine::fits(const Op& op, PeerId sender, std::uint32_t number, std::uint32_t length) const {
  const std::uint32_t chunk = chunk_from(op, sender, number);
  return chunk < op.plan.chunks && length == op.part_length(chunk);
}

// A gathered chunk goes to its place, if it has come.
bool Engine::try_gather(Op& op, std::uint32_t chunk) {
  const PeerId owner = op.plan.owner_of(chunk);
  const std::uint32_t number = op.plan.number_of(chunk);
  const bool contributes = std::any_of(op.contributors->begin(), op.contributors->end(),
                                       [&](const Contributor& contributor) { return contributor.id == owner; });
  Job job;
  job.kind = op.descriptor.up == Codec::none ? JobKind::copy : JobKind::decode;
  job.codec = op.descriptor.up;
  if (!contributes) {
    SEAWAY_MARK("a block of nobody who contributed is zeros");
    job.kind = MUTANT(lost_block_not_zeroed, JobKind::zero, JobKind::hash);
  } else if (owner == config_.self) {
    const std::uint32_t own = op.own_part(owner, number);
    if (!encode(op, own, Use::own)) {
      return false;
    }
    job.sources.push_back({part_region(op, own), 1});
  } else {
    const auto& parts = op.sides.at(owner).parts;
    const auto part = parts.find(number);
    if (part == parts.end() || part->second.state != Part::State::present) {
      return false;
    }
    if (slots_.at(part->second.slot).kept) {
      SEAWAY_MARK("a block that came before a loss is used after it");
    }
    job.sources.push_back({{Buffer::slot, part->second.slot, 0, part->second.length}, 1});
  }
  queue_job(op, chunk, std::move(job), JobFor::result);
  return true;
}

// Of an op that a loss is about to resume: was it in the middle?
void Engine::mark_resumed_blocks(const Op& op) {
  const bool whole = op.chunks_done == op.whole();
  if (op.plan.blocks == Blocks::scattered && whole) {
    SEAWAY_MARK("a reduce-scatter is resumed after my block was whole");
  } else if (op.plan.blocks == Blocks::scattered && op.chunks_done > 0) {
    SEAWAY_MARK("a reduce-scatter is resumed in the middle of my block");
  } else if (op.plan.blocks == Blocks::gathered && whole) {
    SEAWAY_MARK("an all-gather is resumed after all blocks had come");
  } else if (op.plan.blocks == Blocks::gathered && op.chunks_done > 0) {
    SEAWAY_MARK("an all-gather is resumed in the middle");
  } else if (op.plan.blocks == Blocks::exchanged && whole && op.chunks_done > 0) {
    SEAWAY_MARK("an exchange is resumed after all of mine had come");
  } else if (op.plan.blocks == Blocks::exchanged && op.chunks_done > 0) {
    SEAWAY_MARK("an exchange is resumed in the middle");
  }
}

}  // namespace seaway::collective
