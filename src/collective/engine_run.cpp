// A running op: its conditions, in the order in which they come true.
//
//   READY of everyone is here, digests equal   -> the contributors are known
//   all contributors' parts of a chunk of mine -> reduce it, in roster order
//   a chunk of mine is reduced                 -> RESULT to everyone who is at this attempt
//   every chunk is here                        -> HOLD to everyone, unless frozen
//   my HOLD is sent and everyone's equal one is here -> committed, also while frozen
#include <algorithm>
#include <bit>
#include <utility>

#include "base/assert.h"
#include "base/mark.h"
#include "base/mutant.h"
#include "collective/engine.h"
#include "hash/hash.h"

namespace seaway::collective {

using wire::FrameType;

// A descriptor that differs ends the op here, without the master: everybody else sees the same two READYs. Not while
// frozen, and not once I said HOLD: what I reported or said must stay true.
bool Engine::refuse_if_different(Op& op, Time now) {
  if (unit_of(op).key.is_transaction()) {
    abort_if_different(op);
    return false;
  }
  if ((frozen(op) && MUTANT(g4_refuse_while_frozen, true, false)) || (op.hold_sent && op.descriptor.quorum == 0)) {
    return false;
  }
  for (const PeerId peer : op.roster) {
    const auto it = op.sides.find(peer);
    if (it == op.sides.end() || !it->second.ready || it->second.ready->digest == op.digest) {
      continue;
    }
    const std::string reason = how_different(op, peer, *it->second.ready);
    if (!op.hold_sent) {
      end_op(op, Outcome::refused, reason, now);
    } else if (op.cancel_reason.empty()) {
      op.cancel_reason = reason;
      effects_.push_back(AskCancel{op.key, op.cancel_reason});
    }
    return op.ended();
  }
  return false;
}

// The contributors of an attempt are known to all alike, since a READY is said once, and a SET once in an attempt.
void Engine::learn_contributors(Op& op) {
  if (op.contributors) {
    return;
  }
  std::optional<std::vector<Contributor>> contributors = contributors_of(op);
  if (!contributors) {
    return;
  }
  op.weight_sum = 0;
  std::vector<std::uint64_t> hashed;
  for (const Contributor& contributor : *contributors) {
    op.weight_sum += contributor.weight;
    hashed.push_back(contributor.id);
    hashed.push_back(std::bit_cast<std::uint64_t>(contributor.weight));
  }
  op.contributors_hash = combine(hashed);
  const bool has_data = op.descriptor.kind != OpKind::barrier && op.descriptor.kind != OpKind::transaction;
  op.no_weight = has_data && (contributors->empty() || op.weight_sum == 0) && MUTANT(no_weight_ignored, true, false);
  op.contributors = std::move(contributors);
  if (op.descriptor.has_data) {
    for (std::uint32_t chunk = 0; chunk < op.plan.chunks; ++chunk) {
      op.candidates.push_back(chunk);
    }
  } else {
    op.candidates.append(op.site_chunks);
    op.candidates.append(op.my_chunks);
  }
}

// --- Attempts -------------------------------------------------------------------------------------------------------

void Engine::start_attempt(Op& op, Time now) {
  std::vector<PlanMember> base = base_of(op.key.generation);
  SEAWAY_ASSERT(!base.empty(), "EPOCH carries the base of every generation with open ops");
  const auto element = static_cast<std::uint32_t>(size_of(op.descriptor.dtype));
  const std::uint32_t grain = has_codec(op.descriptor) ? kCodecGrain : element;
  const std::uint64_t bytes = op.descriptor.kind == OpKind::barrier ? 0 : op.descriptor.count * element;
  if (has_blocks(op.descriptor.kind)) {
    const Blocks blocks = op.descriptor.kind == OpKind::all_gather ? Blocks::gathered : Blocks::scattered;
    op.plan = make_block_plan(blocks, base, bytes, grain, config_.limits);
    op.my_block = op.plan.start_of(config_.self);
  } else if (op.descriptor.kind == OpKind::exchange) {
    plan_exchange(op, base);
  } else if (op.descriptor.kind == OpKind::transfer) {
    plan_transfer(op, base, bytes, grain);
  } else {
    if (!sums_by_site(op.descriptor)) {
      std::ranges::for_each(base, [](PlanMember& member) { member.site = 0; });
    }
    op.plan = make_plan(base, op.roster, bytes, grain, config_.limits);
  }
  collect(op);
  op.contributors.reset();
  op.chunks.resize(op.plan.chunks);
  op.encodings.resize(travels_as_copy(op.descriptor) ? op.own_parts() : 0);
  op.own_set.reset();
  op.hold_sent = false;
  op.mismatch = false;
  op.progress_at = now;
  ++op.result.attempts;
}

std::size_t Engine::window_of(const Op& op) const {
  const std::size_t senders = std::max<std::size_t>(op.roster.size(), 2) - 1;
  const std::uint64_t each = std::max(config_.limits.window_bytes / senders, config_.limits.least_window_bytes);
  std::uint32_t length = op.plan.chunks == 0 ? 1 : op.part_length(0);
  if (op.plan.blocks == Blocks::exchanged) {
    length = op.plan.chunk_bytes;  // the first portion may be small
  }
  const std::size_t chunks = std::max<std::size_t>(1, each / length);
  return op.plan.is_from_owner() ? chunks * op.plan.owners.size() : chunks;  // each from one member alone
}

// A root asks for the parts of its chunks, a window ahead of what it has reduced. What was sent without being asked
// is not sent again; what was dropped for memory is. In a small op's first attempt READY has asked for everything.
void Engine::ask_for_parts(Op& op, const std::vector<std::uint32_t>& chunks, std::size_t& asked, std::size_t reduced,
                           Time now) {
  const std::size_t window = window_of(op);
  if (op.descriptor.has_data || asked > reduced + window - window / 4 || asked >= chunks.size()) {
    return;
  }
  const bool ready_asks = op.plan.ready_asks && op.result.attempts == 1 && op.posted;
  const std::size_t upto = ready_asks ? chunks.size() : std::min(chunks.size(), reduced + window);
  const bool broadcast = has_source(op.descriptor.kind);
  for (const PeerId peer : op.roster) {
    if (peer == config_.self || (broadcast && peer != op.descriptor.root) || is_left_out(op, peer)) {
      continue;
    }
    Side& side = op.sides[peer];
    wire::Want fresh;
    wire::Want again;
    again.again = true;
    const auto flush = [&](wire::Want& want) {
      if (!want.ranges.empty()) {
        queue_message(peer, FrameType::want, op, wire::encode_payload(want), now);
        want.ranges.clear();
      }
    };
    for (std::size_t i = asked; i < upto; ++i) {
      if (op.plan.is_selective() && !op.plan.sends(peer, config_.self, chunks[i])) {
        continue;
      }
      const std::uint32_t chunk = op.plan.number_of(chunks[i]);
      Part& part = side.parts[chunk];
      if (part.state == Part::State::landing || part.state == Part::State::present) {
        continue;
      }
      const bool dropped = part.state == Part::State::dropped;
      part.state = Part::State::absent;
      if (ready_asks && !dropped) {
        continue;
      }
      std::vector<wire::ChunkRange>& ranges = dropped ? again.ranges : fresh.ranges;
      if (!ranges.empty() && ranges.back().first + ranges.back().count == chunk) {
        ++ranges.back().count;
        continue;
      }
      if (ranges.size() == wire::kMaxWantRanges) {
        flush(dropped ? again : fresh);
      }
      ranges.push_back({chunk, 1});
    }
    if (!again.ranges.empty()) {
      SEAWAY_MARK("a part dropped for memory is asked for again");
    }
    flush(fresh);
    flush(again);
  }
  asked = std::max(asked, upto);
}

// --- Reducing -------------------------------------------------------------------------------------------------------

Region Engine::result_region(const Op& op, std::uint32_t chunk) const {
  const Buffer in_place = MUTANT(m11_no_pre_image, Buffer::scratch, Buffer::input);
  const Buffer buffer = op.descriptor.has_data && !op.descriptor.on_device        ? Buffer::input
                        : op.held || op.is_staged() || op.lands_beside_a_device() ? Buffer::scratch
                        : op.descriptor.in_place                                  ? in_place
                                                                                  : Buffer::output;
  const std::uint64_t start = op.plan.blocks == Blocks::scattered ? op.my_block : 0;
  return {buffer, op.handle, op.plan.offset_of(chunk) - start, op.plan.length_of(chunk)};
}

void Engine::reduce_ready_chunks(Op& op, Time now) {
  if (!op.contributors || op.no_weight) {
    return;
  }
  while (!op.candidates.empty()) {
    const std::uint32_t chunk = op.candidates.front();
    op.candidates.pop_front();
    if (op.chunks[chunk].aside != 0) {
      copy_aside(op, chunk);
    } else if (op.descriptor.has_data || op.plan.collects(config_.self, chunk)) {
      try_reduce(op, chunk, now);
    }
  }
}

// What these have contributed to a chunk, once all of it is here.
std::optional<std::vector<JobSource>> Engine::parts_of(Op& op, std::span<const Contributor> from, std::uint32_t chunk) {
  std::vector<JobSource> sources;
  for (const Contributor& contributor : from) {
    Region source = part_region(op, chunk);
    if (contributor.id == config_.self) {
      if (!encode(op, chunk, Use::own)) {
        return std::nullopt;
      }
    } else {
      const auto& parts = op.sides.at(contributor.id).parts;
      const auto part = parts.find(chunk);
      if (part == parts.end() || part->second.state != Part::State::present) {
        return std::nullopt;
      }
      source = {Buffer::slot, part->second.slot, 0, part->second.length};
    }
    sources.push_back({source, contributor.weight});
  }
  return sources;
}

bool Engine::try_reduce(Op& op, std::uint32_t chunk, Time now) {
  const Chunk& at = op.chunks[chunk];
  if (at.done || at.job != 0 || at.lease != 0 || op.releases > 0) {
    return false;
  }
  Job job;
  job.kind = has_source(op.descriptor.kind) ? JobKind::copy : JobKind::reduce;
  if (op.descriptor.has_data) {  // it is where it should be, or where it can be sent from in a moment
    job.kind = op.descriptor.on_device ? JobKind::copy : JobKind::hash;
    if (op.descriptor.on_device) {
      job.sources.push_back({input_region(op, chunk), 1});
    }
    queue_job(op, chunk, std::move(job), JobFor::result);
    return true;
  }
  if (op.plan.is_from_owner()) {
    return try_gather(op, chunk);
  }
  if (!op.plan.sites.empty() && (!try_sum(op, chunk, now) || !op.plan.is_root(config_.self, chunk))) {
    return false;
  }
  auto sources = op.plan.sites.empty() ? parts_of(op, *op.contributors, chunk) : sums_of(op, chunk);
  if (!sources) {
    return false;
  }
  job.sources = std::move(*sources);
  if (MUTANT(reduce_in_wrong_order, false, true) && job.sources.size() > 2) {
    std::swap(job.sources[0], job.sources[2]);
  }
  job.codec = op.descriptor.up;
  job.coded_by = MUTANT(root_keeps_what_it_reduced, op.down(), Codec::none);
  if (op.down() != Codec::none) {
    job.coded = sent_result_region(op, chunk);
  }
  queue_job(op, chunk, std::move(job), JobFor::result);
  return true;
}

// A result that landed in a slot, because its region had a writer or it came encoded, goes to its place.
void Engine::copy_aside(Op& op, std::uint32_t chunk) {
  Chunk& at = op.chunks[chunk];
  if (!at.aside_here || at.job != 0 || at.lease != 0 || op.releases > 0) {
    return;
  }
  if (at.done) {
    free_slot(std::exchange(at.aside, 0));
    at.aside_here = false;
    return;
  }
  Job job;
  job.kind = JobKind::copy;
  if (op.down() == Codec::none) {
    SEAWAY_MARK("a result that landed aside is copied to its place");
  } else {
    job.kind = JobKind::decode;
    job.codec = op.down();
    if (op.plan.collects(config_.self, chunk)) {  // a gateway sends on what the root has said
      job.coded = sent_result_region(op, chunk);
    }
  }
  job.sources.push_back({{Buffer::slot, at.aside, 0, op.result_length(chunk)}, 1});
  queue_job(op, chunk, std::move(job), JobFor::result);
}

// The region of an encoding, and of a last step, is the caller's to say.
void Engine::queue_job(Op& op, std::uint32_t chunk, Job job, JobFor purpose) {
  job.id = next_id_++;
  job.op = op.handle;
  if (purpose == JobFor::result) {
    job.dst = result_region(op, chunk);
  }
  job.dtype = op.descriptor.dtype;
  job.reduction = op.descriptor.reduction;
  const std::size_t element = size_of(job.dtype);
  const std::uint32_t length = purpose == JobFor::encoding ? input_region(op, chunk).length : op.plan.length_of(chunk);
  job.count = element == 0 ? 0 : length / element;
  job.weight_sum = purpose == JobFor::sum ? 1 : op.weight_sum;
  RunningJob running{op.key, op.handle, chunk, op.attempt, purpose, {}};
  for (const JobSource& source : job.sources) {
    if (source.region.buffer == Buffer::slot) {
      ++slots_.at(source.region.owner).pins;
      running.pinned.push_back(source.region.owner);
    }
  }
  if (purpose == JobFor::result || purpose == JobFor::sum) {
    op.chunks[chunk].job = job.id;
  }
  ++op.jobs;
  running_jobs_.emplace(job.id, std::move(running));
  jobs_.push_back(std::move(job));
}

bool Engine::next_job(Job& job) {
  if (jobs_.empty()) {
    return false;
  }
  job = std::move(jobs_.front());
  jobs_.pop_front();
  return true;
}

void Engine::on_done(JobId id, std::uint64_t hash, Time now) {
  now_ = now;
  const auto it = running_jobs_.find(id);
  SEAWAY_ASSERT(it != running_jobs_.end(), "a job is done once");
  const RunningJob job = std::move(it->second);
  running_jobs_.erase(it);
  for (const SlotId slot : job.pinned) {
    unpin(slot);
  }
  Op* op = find(job.op);
  SEAWAY_ASSERT(op != nullptr && op->jobs > 0, "an op outlives its jobs");
  --op->jobs;
  touch(job.op);
  if (op->open() && job.purpose == JobFor::encoding) {
    encoding_done(*op, job.chunk);
  } else if (op->open() && job.handle == op->handle) {
    Chunk& chunk = op->chunks[job.chunk];
    chunk.job = 0;
    op->progress_at = now;
    if (job.attempt == op->attempt && job.purpose == JobFor::sum) {
      sum_done(*op, job.chunk, now);
    } else if (job.attempt == op->attempt) {
      if (chunk.aside_here) {
        free_slot(std::exchange(chunk.aside, 0));
        chunk.aside_here = false;
      }
      chunk_done(*op, job.chunk, hash, now);
    } else {
      SEAWAY_MARK("a job of an earlier attempt ends after the resume");
      op->candidates.push_back(job.chunk);
    }
  }
  settle(now);
}

void Engine::chunk_done(Op& op, std::uint32_t chunk, std::uint64_t hash, Time now) {
  op.chunks[chunk].done = true;
  op.chunks[chunk].hash = hash;
  ++op.chunks_done;
  if (!op.plan.one_shot && op.plan.blocks == Blocks::none && op.plan.collects(config_.self, chunk)) {
    pass_on(op, chunk);
  }
  if (!op.plan.is_root(config_.self, chunk)) {
    return;
  }
  ++op.reduced;
  drop_used_parts(op, chunk, false);
  ask_for_parts(op, now);
}

// Contributions are kept until commit, so that a loss need not send them again, as far as memory allows. Of two members the
// one that survives the other has no use for the other's: there memory is used again at once, while it is in the cache.
// A site's sum is of one attempt.
void Engine::drop_used_parts(Op& op, std::uint32_t chunk, bool of_my_site_alone) {
  const bool has_two = op.roster.size() <= 2;
  const std::uint32_t number = op.plan.number_of(chunk);
  const bool is_of_one = op.plan.blocks == Blocks::exchanged;
  for (auto& [peer, side] : op.sides) {
    if ((is_of_one && peer != op.plan.owner_of(chunk)) ||
        (of_my_site_alone && !op.plan.sites.together(peer, config_.self))) {
      continue;
    }
    const bool serves_nobody = has_two || op.plan.sends_partials(peer, config_.self);
    const auto it = side.parts.find(number);
    if (it == side.parts.end() || it->second.state != Part::State::present) {
      continue;
    }
    keep_slot(it->second.slot);
    if (serves_nobody || kept_bytes_ > config_.limits.kept_bytes) {
      drop_part(it->second);
      it->second.state = MUTANT(m14_kept_parts_dropped, Part::State::dropped, Part::State::absent);
    }
  }
}

// --- HOLD and commit ------------------------------------------------------------------------------------------------

// I have the whole result of the op's attempt and know who contributed to it.
bool Engine::holds(const Op& op) const {
  if (op.key.is_transaction()) {
    return holds_all(op);
  }
  return op.open() && op.contributors && !op.must_abort && (op.no_weight || op.chunks_done >= op.whole());
}

std::uint64_t Engine::hash_of(const Op& op) const {
  if (op.no_weight) {
    return 0;
  }
  std::vector<std::uint64_t> hashes;
  hashes.reserve(op.chunks.size());
  for (std::uint32_t chunk = 0; chunk < op.chunks.size(); ++chunk) {
    if (op.plan.blocks != Blocks::scattered || op.plan.is_root(config_.self, chunk)) {
      hashes.push_back(op.chunks[chunk].hash);
    }
  }
  return combine(hashes);
}

// Of a reduce-scatter and an exchange nobody has the bits that another member has, so that there is nothing to compare but the
// attempt and the contributors, and with them what everybody's bits have to be (docs/PROTOCOL.md, "Ops of blocks").
Value Engine::value_of(const Op& op) const {
  if (op.key.is_transaction()) {
    return value_of_all(op);
  }
  const bool compared = !op.plan.is_own_alone() || MUTANT(scattered_bits_compared, false, true);
  return {op.attempt, op.contributors_hash, compared ? hash_of(op) : 0};
}

void Engine::hold_if_whole(Op& op, Time now) {
  const bool stops = op.key.is_transaction() ? MUTANT(m20_transaction_held_after_freeze, true, false)
                                             : MUTANT(m3_hold_after_freeze, true, false);
  if (op.hold_sent || !holds(op) || (frozen(op) && stops)) {
    return;
  }
  op.my_value = value_of(op);
  op.hold_sent = true;
  const std::vector<std::byte> payload = wire::encode_payload(wire::Hold{op.my_value});
  for (const PeerId peer : op.roster) {
    if (peer != config_.self) {
      queue_message(peer, FrameType::hold, op, payload, now);
    }
  }
}

void Engine::commit_if_all_hold(Op& op, Time now) {
  // My own HOLD was sent, which was before any freeze: only then can nobody decide against this commit.
  if (!op.hold_sent && MUTANT(m13_others_holds_suffice, true, !holds(op))) {
    return;
  }
  const Value mine = MUTANT(m13_others_holds_suffice, op.my_value, value_of(op));
  bool equal = true;
  for (const PeerId peer : op.roster) {
    if (peer == config_.self) {
      continue;
    }
    const std::optional<Value>& theirs = op.sides.at(peer).hold;
    if (!theirs && MUTANT(g12_stragglers_do_not_hold, false, op.descriptor.quorum > 0 && !has_posted(op, peer))) {
      continue;
    }
    if (!theirs) {
      return;
    }
    const bool any_attempt = MUTANT(m4_old_hold_counts, false, true) || MUTANT(m18_hold_without_attempt, false, true);
    if (theirs->attempt != op.attempt && !any_attempt) {
      return;
    }
    equal = equal && theirs->bits == mine.bits && (any_attempt || theirs->contributors == mine.contributors);
  }
  if (equal || MUTANT(commit_without_comparing, false, true)) {
    if (op.key.is_transaction() && !all_lanes_hold(op, now) && MUTANT(g14_lane_commits_alone, true, false)) {
      return;
    }
    if (frozen(op)) {
      SEAWAY_MARK("late commit while frozen");
    }
    op.my_value = mine;
    end_op(op, op.no_weight ? Outcome::no_weight : Outcome::committed, "", now);
  } else if (!op.mismatch && MUTANT(g8_mismatch_untold, true, false)) {
    SEAWAY_MARK("HOLDs differ");
    op.mismatch = true;
    effects_.push_back(AskMismatch{op.key});
  }
}

}  // namespace seaway::collective
