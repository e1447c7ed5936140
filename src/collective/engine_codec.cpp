// Contributions and results that travel encoded (codec/codec.h), or as a copy of what is on a device.
//
//   with `up`     a chunk of my input is encoded once, when somebody is to have it, and is from then on its encoding: for its root,
//                 for every later attempt, and where I am the root myself. A gathered block is what its encoding says, for its
//                 owner too. The input is not changed, so the encoding is of no attempt.
//   with `down`   a root encodes what it has reduced, and takes for the result what the encoding says; everybody gets that. A
//                 one-shot plan has no results that travel.
//   on a device   without `up` a chunk of the input is copied in the same way. Results land in a scratch, and are copied to the output
//                 once the op has committed. Of an encoding that only I need, as I am the root, nothing leaves the device. A
//                 chunk that I have inherited may go to another heir at the next loss: then it is encoded again, to travel
//   a residual    is added before encoding. What encoding lost replaces it once the op has committed with my contribution, by
//                 encoding again: an op that ends otherwise has changed nothing of the caller's.
#include <algorithm>

#include "base/mark.h"
#include "base/mutant.h"
#include "collective/engine.h"
#include "hash/hash.h"

namespace seaway::collective {

// "" or what is wrong with them.
std::string Engine::wrong_codecs(const Descriptor& d) {
  if (!is_valid(d.up) || !is_valid(d.down)) {
    return "codec is none of none, bf16, q8, q4";
  }
  if (d.down != Codec::none && d.kind != OpKind::all_reduce) {
    return "codec down: only an all-reduce sends results";
  }
  if (d.up == Codec::none && (d.feeds_back || d.rounding != Rounding::nearest)) {
    return "a residual and stochastic rounding are for contributions that are encoded: choose a codec up";
  }
  if (!has_codec(d)) {
    return "";
  }
  if (!reduces(d.kind) && d.kind != OpKind::all_gather) {
    return "a codec is for all_reduce, reduce_scatter and all_gather";
  }
  if (d.dtype != DType::f32) {
    return "a codec is for dtype f32";
  }
  if (reduces(d.kind) && d.reduction != Reduction::sum && d.reduction != Reduction::avg) {
    return "a codec is for sum and avg: of the others, rounding would decide which contribution counts";
  }
  return "";
}

// A part of mine, as it travels and is reduced. A copy lies as the input does.
Region Engine::part_region(const Op& op, std::uint32_t part) const {
  const Codec codec = op.descriptor.up;
  if (codec == Codec::none) {
    Region region = input_region(op, part);
    const bool is_copy = MUTANT(sent_from_a_device, op.descriptor.on_device, false);
    region.buffer = is_copy ? Buffer::coded_input : region.buffer;
    return region;
  }
  std::uint64_t start = 0;
  if (op.plan.blocks == Blocks::gathered) {  // my block is all that I have
    start = op.plan.coded_offset_of(codec, part / op.plan.block_chunks * op.plan.block_chunks);
  }
  return {Buffer::coded_input, op.handle, op.plan.coded_offset_of(codec, part) - start, op.part_length(part)};
}

Region Engine::sent_result_region(const Op& op, std::uint32_t chunk) const {
  const Codec codec = op.down();
  return codec == Codec::none
             ? result_region(op, chunk)
             : Region{Buffer::coded_result, op.handle, op.plan.coded_offset_of(codec, chunk), op.result_length(chunk)};
}

// Whether nobody else is to have what I contribute to the chunk, and it may stay on a device.
bool Engine::is_mine_alone(const Op& op, std::uint32_t chunk) const {
  return lands_on_device(op.descriptor) && !op.plan.one_shot && op.plan.sites.empty() && !op.plan.is_from_owner() &&
         op.plan.is_root(config_.self, chunk);
}

Job Engine::encoding_job(const Op& op, std::uint32_t part) const {
  Job job;
  job.kind = op.descriptor.up == Codec::none ? JobKind::copy : JobKind::encode;
  job.dst = part_region(op, part);
  const Region from = input_region(op, part);
  job.sources.push_back({from, 1});
  job.codec = op.descriptor.up;
  job.rounding = op.descriptor.rounding;
  const std::uint64_t keyed[] = {op.key.lane, op.key.generation, op.key.tag, op.key.seq, config_.self};
  job.key = combine(keyed);
  if (op.descriptor.feeds_back) {
    job.residual = {Buffer::residual, op.handle, from.offset, from.length};
    job.feeds_back = MUTANT(residual_rewritten_at_once, false, true);
  }
  return job;
}

// Whether it is ready for this use; if not, it will be.
bool Engine::encode(Op& op, std::uint32_t part, Use use) {
  if (!travels_as_copy(op.descriptor)) {
    return true;
  }
  Encoding& encoding = op.encodings[part];
  const bool stays = MUTANT(part_stays_that_travels, use == Use::own && is_mine_alone(op, part), true);
  if (encoding == Encoding::queued || encoding == Encoding::staying) {
    return false;
  }
  if (encoding == Encoding::done || (encoding == Encoding::stays && stays)) {
    if (op.result.attempts > 1) {
      SEAWAY_MARK("what was encoded before a loss is used after it");
    }
    return true;
  }
  if (op.descriptor.on_device) {
    SEAWAY_MARK("a contribution comes from a device");
    if (op.plan.blocks == Blocks::exchanged) {
      SEAWAY_MARK("what an exchange gives comes from a device");
    }
  }
  if (op.result.attempts > 1 && stays) {
    SEAWAY_MARK("after a loss a root encodes what only it needs");
  }
  encoding = stays ? Encoding::staying : MUTANT(part_sent_before_it_is_encoded, Encoding::queued, Encoding::done);
  Job job = encoding_job(op, part);
  job.stays = stays;
  queue_job(op, part, std::move(job), JobFor::encoding);
  return op.encoded(part);
}

// Those that are next to go. Not all that were asked for: jobs run in their order, and what has come is to be reduced meanwhile.
void Engine::encode_next(Op& op, PeerId to, const ChunkQueue& chunks) {
  if (!travels_as_copy(op.descriptor)) {
    return;
  }
  constexpr std::ptrdiff_t kAhead = 32;  // a few times what one turn sends
  const std::uint32_t* const end = chunks.begin() + std::min(kAhead, chunks.end() - chunks.begin());
  for (const std::uint32_t* chunk = chunks.begin(); chunk != end; ++chunk) {
    encode(op, op.own_part(to, *chunk), Use::travel);
  }
}

void Engine::encoding_done(Op& op, std::uint32_t part) {
  if (op.encodings[part] != Encoding::staying) {
    op.encodings[part] = Encoding::done;
  } else {
    op.encodings[part] = Encoding::stays;
    for (const auto& [peer, side] : op.sides) {
      for (const ChunkQueue* queue : {&side.wanted, &side.eager}) {
        if (!queue->empty() && op.own_part(peer, queue->front()) == part) {
          encode(op, part, Use::travel);
        }
      }
    }
  }
  if (const std::uint32_t chunk = op.own_chunk(config_.self, part); op.contributors && chunk < op.plan.chunks) {
    op.candidates.push_back(chunk);
  }
  for (const auto& [peer, side] : op.sides) {
    stir(peer);
  }
}

// What did not count was not sent for good: it stays to be sent.
bool Engine::is_to_feed_back(const Op& op) const {
  const auto& counted = op.result.contributors;
  return op.stage == Stage::committed && op.descriptor.feeds_back && op.has_result() &&
         std::any_of(counted.begin(), counted.end(), [&](const Contributor& contributor) {
           return contributor.id == config_.self && contributor.weight > 0;
         });
}

void Engine::feed_back(Op& op) {
  for (std::uint32_t chunk = 0; chunk < op.plan.chunks; ++chunk) {
    if (op.plan.blocks != Blocks::gathered || op.plan.owner_of(chunk) == config_.self) {
      Job job = encoding_job(op, chunk);
      job.feeds_back = true;
      job.stays = true;  // it has travelled
      queue_job(op, chunk, std::move(job), JobFor::last_step);
    }
  }
}

}  // namespace seaway::collective
