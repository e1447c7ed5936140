// How an op ends: its buffers are asked back from whoever moves bytes, its jobs run out, an in-place result is copied
// over the input, the caller is told. What was decided of it is remembered until it has ended everywhere: a member that
// is still waiting may be lost, and then the master asks.
#include <algorithm>
#include <limits>
#include <utility>

#include "base/assert.h"
#include "base/mark.h"
#include "base/mutant.h"
#include "collective/engine.h"

namespace seaway::collective {

void Engine::end_op(Op& op, Outcome outcome, const std::string& reason, Time now) {
  SEAWAY_ASSERT(op.open(), "an op ends once");
  if (op.key.is_transaction()) {
    end_its_ops(op, outcome, reason, now);
  }
  const bool success = outcome == Outcome::committed || outcome == Outcome::no_weight;
  op.stage = success ? Stage::committed : Stage::aborted;
  op.result.outcome = outcome;
  op.result.reason = reason;
  op.result.value = success ? op.my_value : Value{};
  op.result.ended = now;
  op.result.plan = op.plan.kind();
  op.result.chunk_bytes = op.plan.chunk_bytes;
  if (success) {
    op.result.hash = op.plan.is_own_alone() ? hash_of(op) : op.my_value.bits;
    op.result.contributors = *op.contributors;
    op.result.weight_sum = op.weight_sum;
  }
  for (const PeerId peer : op.first_roster) {
    if (std::find(op.roster.begin(), op.roster.end(), peer) == op.roster.end()) {
      op.result.lost.push_back(peer);
    }
  }
  add_lost(op);
  for (auto& [peer, side] : op.sides) {
    stop_sending(side, peer);
  }
  for (auto& [peer, to] : links_) {
    op.result.bytes_resent += to.repeated_bytes(op.handle);
    op.result.bytes_sent += to.repeated_bytes(op.handle);
    to.drop_payload(op.handle);
  }
  touch(op.key);
  if (op.key.is_transaction()) {
    return;  // it has no buffers of its own
  }
  cancel_queued_jobs(op);
  ++op.releases;
  effects_.emplace_back(Release{op.handle, false});
  if (MUTANT(release_not_awaited, false, true)) {
    op.releases = 0;
  }
}

// Jobs that nobody has taken yet are not needed any more.
void Engine::cancel_queued_jobs(Op& op) {
  for (const Job& job : jobs_) {
    const auto running = running_jobs_.find(job.id);
    if (running->second.op == op.key) {
      for (const SlotId slot : running->second.pinned) {
        unpin(slot);
      }
      if (running->second.purpose == JobFor::result || running->second.purpose == JobFor::sum) {
        op.chunks[running->second.chunk].job = 0;
      }
      running_jobs_.erase(running);
      --op.jobs;
    }
  }
  std::erase_if(jobs_, [&](const Job& job) { return !running_jobs_.contains(job.id); });
}

void Engine::on_released(OpHandle handle, Time now) {
  now_ = now;
  Op* op = find(handle);
  if (op == nullptr || op->releases == 0) {
    return;
  }
  --op->releases;
  if (op->releases == 0) {
    for (auto& [conn, connection] : connections_) {
      if (connection.incoming.kind == Incoming::Kind::result && connection.incoming.op == handle) {
        SEAWAY_MARK("a result was landing when its attempt or its op ended");
        connection.incoming.kind = Incoming::Kind::sink;
      }
    }
    for (std::uint32_t chunk = 0; chunk < op->chunks.size(); ++chunk) {
      op->chunks[chunk].lease = 0;
      op->candidates.push_back(chunk);
    }
    touch(op->key);
  }
  settle(now);
}

void Engine::give_back_lease(ConnId conn, const Incoming& incoming) {
  Op* op = find(incoming.header.op);
  const bool is_of_it = op != nullptr && op->open() && op->handle == incoming.op;
  if (is_of_it && op->chunks[incoming.header.chunk].lease == conn) {
    op->chunks[incoming.header.chunk].lease = 0;
    op->candidates.push_back(incoming.header.chunk);
    touch(op->key);
  }
}

void Engine::finish_if_released(Op& op, Time now) {
  if (op.told || op.handle == 0 || op.releases > 0 || op.jobs > 0) {
    return;
  }
  if (!op.posted) {
    finish_unposted(op);
    return;
  }
  if (op.key.is_transaction() && !is_over(op)) {
    return;
  }
  // The residual first: it is of the input that the copy overwrites.
  if (op.last_step == LastStep::none) {
    op.last_step = LastStep::feed_back;
    if (is_to_feed_back(op)) {
      feed_back(op);
      return;
    }
  }
  if (op.last_step == LastStep::feed_back) {
    op.last_step = LastStep::copy;
    const bool lies_in_scratch = MUTANT(held_result_not_copied, op.held, false) ||
                                 (op.descriptor.in_place && MUTANT(m11_no_pre_image, true, false)) || op.is_staged() ||
                                 MUTANT(device_result_not_copied, op.is_owed_to_a_device(), false);
    if (op.stage == Stage::committed && lies_in_scratch && op.has_result()) {
      if (op.is_owed_to_a_device()) {
        SEAWAY_MARK("a result goes to a device");
      }
      copy_from_scratch(op);
      return;
    }
  }
  tell(op, now);
}

void Engine::copy_from_scratch(Op& op) {
  for (std::uint32_t chunk = 0; chunk < op.plan.chunks; ++chunk) {
    if (op.plan.blocks == Blocks::scattered && !op.plan.is_root(config_.self, chunk)) {
      continue;
    }
    Job job;
    job.kind = JobKind::copy;
    job.dst = result_region(op, chunk);
    job.sources.push_back({job.dst, 1});
    job.dst.buffer = op.descriptor.in_place ? Buffer::input : Buffer::output;
    queue_job(op, chunk, std::move(job), JobFor::last_step);
  }
}

void Engine::tell(Op& op, Time now) {
  op.told = true;
  op.result.ended = now;
  effects_.push_back(OpEnded{op.handle, op.result});
  handles_.erase(op.handle);
  if (op.key.is_in_transaction()) {
    touch(op.key.transaction());
  } else {
    sequences_.at(tag_of(op.key)).open.erase(op.key.seq);
    touch_tag(op.key);
  }
  clear_sides(op);
}

// Everything but what a report needs.
void Engine::clear_sides(Op& op) {
  for (auto& [peer, side] : op.sides) {
    drop_parts(side);
  }
  for (Chunk& chunk : op.chunks) {
    if (chunk.aside != 0) {
      free_slot(std::exchange(chunk.aside, 0));
    }
  }
  op.sides.clear();
  op.chunks.clear();
  op.encodings.clear();
  op.candidates.clear();
}

void Engine::release_unposted(Op& op) {
  const auto creator = links_.find(std::exchange(op.created_by, kNoPeer));
  if (creator != links_.end()) {
    --creator->second.unposted_ops;
  }
  for (auto& [peer, side] : op.sides) {
    const auto from = links_.find(peer);
    if (from != links_.end()) {
      from->second.unposted_bytes -= side.unposted_bytes;
    }
    side.unposted_bytes = 0;
  }
}

// --- What has ended where -------------------------------------------------------------------------------------------

std::uint32_t Engine::ended_upto(const TagKey& tag) const {
  const Sequence& sequence = sequences_.at(tag);
  const std::uint32_t upto = tag.generation < generation_ ? std::numeric_limits<std::uint32_t>::max() : sequence.next;
  return sequence.open.empty() ? upto
                               : std::min(upto, *sequence.open.begin());  // one that is held may come after `next`
}

// All ops of the tag below this have ended at `peer`, as far as it has said so.
std::uint32_t Engine::ended_at(PeerId peer, const TagKey& tag) const {
  const auto by = ended_by_.find(peer);
  if (by == ended_by_.end()) {
    return 0;
  }
  const auto upto = by->second.find(tag);
  return upto == by->second.end() ? 0 : upto->second;
}

bool Engine::ended_everywhere(const Op& op) const {
  for (const wire::MemberInfo& member : roster_) {
    if (member.id == config_.self || member.generation > op.key.generation || !op.key.involves(member.id)) {
      continue;
    }
    if (ended_at(member.id, tag_of(op.key)) <= op.key.seq) {
      return false;
    }
  }
  return !op.key.is_transaction() || ended_in_other_lanes(tag_of(op.key)) > op.key.seq;
}

bool Engine::on_ended(PeerId from, const OpKey& op, std::uint32_t upto) {
  const TagKey tag = tag_of(op);
  auto& by = ended_by_[from];
  // A healthy peer's tags are mine, but for those of ops that have ended before I came to post them.
  if (!by.contains(tag) && by.size() >= sequences_.size() + config_.limits.unposted_ops) {
    return false;
  }
  by[tag] = std::max(by[tag], upto);
  dirty_tags_.insert(tag);
  return true;
}

void Engine::tell_ended(const TagKey& tag, Time now) {
  if (tag.generation < generation_) {
    sequences_.try_emplace(tag);  // a passed tag that was never used has ended as well
  }
  const auto it = sequences_.find(tag);
  if (it != sequences_.end() && tag.tag == kTransactionTag) {
    tell_transactions_ended(tag, it->second, now);
    return;
  }
  if (it == sequences_.end() || ended_upto(tag) <= it->second.told) {
    return;
  }
  it->second.told = ended_upto(tag);
  tell_ended(tag, roster_of(first_of(tag)), it->second.told, now);
}

void Engine::tell_ended(const TagKey& tag, const std::vector<PeerId>& peers, std::uint32_t upto, Time now) {
  for (const PeerId peer : peers) {
    if (peer != config_.self) {
      Link& to = link(peer, now);
      to.queue_ended(first_of(tag), upto, now);
      may_be_due(to.deadline(now));
    }
  }
}

void Engine::forget_ended(Time now) {
  for (const TagKey& tag : std::exchange(dirty_tags_, {})) {
    tell_ended(tag, now);
    auto it = ops_.lower_bound(first_of(tag));
    while (it != ops_.end() && tag_of(it->first) == tag) {
      const Op& op = it->second;
      const bool never = op.handle == 0 && op.stage == Stage::aborted && tag.generation < generation_;
      const bool ended = (op.told || never) && op.jobs == 0 && op.retired.empty();
      if (op.told && op.stage == Stage::committed && !passed_or_ended(it->first)) {
        ++it;  // held for a caller who never came: a decision may still be repeated. It goes with its generation
      } else if (ended && (ended_everywhere(op) || MUTANT(g13_commit_forgotten, false, true))) {
        forget_its_ops(op);
        it = ops_.erase(it);
      } else if (ended) {
        break;  // what has not ended everywhere, nothing after it has
      } else {
        ++it;
      }
    }
  }
}

// --- Slots ----------------------------------------------------------------------------------------------------------

SlotId Engine::take_slot(std::uint32_t length) {
  const SlotId slot = next_id_++;
  slots_[slot].length = length;
  return slot;
}

// Memory that a connection or a job still touches goes with the last of them.
void Engine::free_slot(SlotId id) {
  Slot& slot = slots_.at(id);
  if (std::exchange(slot.kept, false)) {
    kept_bytes_ -= slot.length;
  }
  if (slot.pins > 0 && MUTANT(slot_freed_under_a_job, true, false)) {
    SEAWAY_MARK("memory waits for who touches it");
    slot.doomed = true;
    return;
  }
  effects_.push_back(FreeSlot{id});
  slots_.erase(id);
}

void Engine::unpin(SlotId id) {
  const auto it = slots_.find(id);
  if (it == slots_.end()) {
    return;
  }
  SEAWAY_ASSERT(it->second.pins > 0, "a slot is unpinned as often as it was pinned");
  if (--it->second.pins == 0 && it->second.doomed) {
    free_slot(id);
  }
}

void Engine::keep_slot(SlotId id) {
  Slot& slot = slots_.at(id);
  if (!std::exchange(slot.kept, true)) {
    kept_bytes_ += slot.length;
  }
}

void Engine::drop_parts(Side& side) {
  for (auto& [number, part] : side.parts) {
    drop_part(part);
  }
  side.parts.clear();
}

void Engine::drop_part(Part& part) {
  if (part.state == Part::State::landing || part.state == Part::State::present) {
    free_slot(part.slot);
  }
  part = {};
}

void Engine::check_invariants() const {
  std::uint64_t kept = 0;
  for (const auto& [id, slot] : slots_) {
    SEAWAY_ASSERT(!slot.doomed || slot.pins > 0, "a doomed slot waits for a pin");
    kept += slot.kept ? slot.length : 0;
  }
  SEAWAY_ASSERT(kept == kept_bytes_, "kept bytes are those of the slots kept");
  std::uint64_t held = 0;
  for (const auto& [handle, bytes] : held_) {
    SEAWAY_ASSERT(handles_.contains(handle), "what is held has a name");
    held += bytes;
  }
  SEAWAY_ASSERT(held == held_bytes_ && held <= config_.limits.held_bytes, "what is held is within its limit");
  for (const auto& [handle, key] : handles_) {
    const auto op = ops_.find(key);
    const bool is_retired = op != ops_.end() && op->second.handle != handle && held_.contains(handle);
    SEAWAY_ASSERT(is_retired || (op != ops_.end() && op->second.handle == handle && !op->second.told),
                  "a handle names an op not told");
  }
  std::map<PeerId, std::uint64_t> eager;
  for (const auto& [key, op] : ops_) {
    for (const auto& [peer, side] : op.sides) {
      eager[peer] += side.eager_bytes;
    }
  }
  for (const auto& [peer, to] : links_) {
    SEAWAY_ASSERT(to.eager_used == eager[peer], "credit that is used is some op's, and comes back with it");
  }
  for (const auto& [key, op] : ops_) {
    SEAWAY_ASSERT(op.attempt <= cut_ || op.stage == Stage::unposted, "no attempt is above the cut");
    if (op.open()) {
      const auto done = std::count_if(op.chunks.begin(), op.chunks.end(), [](const Chunk& c) { return c.done; });
      SEAWAY_ASSERT(static_cast<std::uint32_t>(done) == op.chunks_done, "done chunks are counted");
      SEAWAY_ASSERT(!op.hold_sent || holds(op), "who said HOLD holds");
    }
  }
}

}  // namespace seaway::collective
