// What a loss does to ops: adopt() freezes, report() says where each op stands, resolve() goes on with what was
// decided. The tables are those of docs/PROTOCOL.md ("Resolving open ops").
//
//   RESOLVE   stage, attempt            effect
//   COMMIT    RUN and holds             COMMITTED
//   RESUME    RUN, attempt < cut        next attempt over the survivors: kept parts stay, results are made anew
//             UNPOSTED or attempt = cut nothing
//   ABORT     RUN                       ABORTED, input intact
//             UNPOSTED                  a tombstone: the later post returns it and uses up its seq
//   any       ended                     nothing
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.h"
#include "base/mark.h"
#include "base/mutant.h"
#include "collective/engine.h"

namespace seaway::collective {

using wire::FrameType;
using wire::OpStatus;
using wire::Verdict;

void Engine::adopt(const wire::EpochMessage& epoch, Time now) {
  now_ = now;
  may_be_due_earlier();
  epoch_ = epoch.epoch;
  roster_.clear();
  for (const wire::MemberInfo& member : epoch.roster) {
    if (member.lane == config_.lane) {
      roster_.push_back(member);
    }
  }
  siblings_.clear();
  const auto me = std::ranges::find(epoch.roster, config_.self, &wire::MemberInfo::id);
  for (const wire::MemberInfo& member : epoch.roster) {
    if (me != epoch.roster.end() && member.replica == me->replica && member.lane != me->lane) {
      siblings_.push_back(member.id);
    }
  }
  bases_ = epoch.bases;
  forget_generations();
  // Final decisions come first: before the report and before any post, in whatever epoch they were made.
  decided_.clear();
  if (MUTANT(g1_decisions_not_applied, true, false)) {
    for (const wire::Decision& decision : epoch.decisions) {
      decide(decision, now);
    }
  }
  if (epoch.cut > cut_) {
    cut_ = epoch.cut;
    SEAWAY_MARK("frozen by a cut");
  }
  for (auto& [key, op] : ops_) {
    touch(key);
    touch_tag(key);
  }
  settle(now);
}

// A base goes when no op of its generation is open anywhere or can be posted any more.
void Engine::forget_generations() {
  const auto is_over = [&](const auto& entry) { return entry.first.generation < oldest_base(); };
  std::erase_if(sequences_, is_over);
  for (auto& [peer, upto] : ended_by_) {
    std::erase_if(upto, is_over);
  }
  for (auto it = ops_.begin(); it != ops_.end() && it->first.generation < oldest_base();) {
    Op& op = it->second;
    if (op.stage == Stage::unposted) {
      entomb(op, "its generation is over");
    }
    it = (op.told || op.handle == 0) && op.jobs == 0 && op.retired.empty() ? ops_.erase(it) : std::next(it);
  }
}

std::vector<wire::OpReport> Engine::report() const {
  std::vector<wire::OpReport> reports;
  for (const auto& [key, op] : ops_) {
    if (op.stage == Stage::unposted || key.is_in_transaction()) {
      continue;
    }
    wire::OpReport report;
    report.op = key;
    report.fail_on_loss = op.descriptor.fail_on_loss;
    report.mismatches = static_cast<std::uint8_t>(op.mismatches + (op.mismatch ? 1 : 0));
    if (op.stage == Stage::aborted) {
      report.status = OpStatus::aborted;
    } else if (op.stage == Stage::committed) {
      report.status = OpStatus::committed;
      report.value = op.my_value;
    } else if (!frozen(op) && MUTANT(g2_current_reported, true, false)) {
      report.status = OpStatus::current;
    } else {
      // Where HOLDs differ nobody can have committed, and whose bits are right is not known: what is disputed is not held.
      const bool held = holds(op) && !op.mismatch;
      report.status = held ? OpStatus::holds : OpStatus::running;
      report.value = held ? value_of(op) : Value{};
      report.essential_lost = essential_lost(op);
      for (const PeerId peer : op.roster) {
        report.roster_gone = report.roster_gone || (!is_member(peer) && !left(key.generation, peer));
      }
    }
    reports.push_back(report);
  }
  return reports;
}

// Gone by LEAVE: every op it had posted ended at it first.
bool Engine::left(std::uint32_t generation, PeerId peer) const {
  for (const wire::Base& base : bases_) {
    if (base.generation == generation) {
      return std::any_of(base.members.begin(), base.members.end(),
                         [&](const wire::BaseMember& member) { return member.id == peer && member.left; });
    }
  }
  return false;
}

void Engine::resolve(Cut cut, std::span<const wire::Decision> decisions, Time now) {
  now_ = now;
  SEAWAY_ASSERT(cut == cut_, "RESOLVE is taken for the cut that was adopted");
  for (const wire::Decision& decision : decisions) {
    decide(decision, now);
  }
  settle(now);
}

void Engine::decide(const wire::Decision& decision, Time now) {
  const auto me = std::find_if(roster_.begin(), roster_.end(), [&](const auto& m) { return m.id == config_.self; });
  if (!is_of_my_lane(decision.op) || !decision.op.involves(config_.self) || me == roster_.end() ||
      me->generation > decision.op.generation) {
    return;  // not an op of mine
  }
  if (decision.verdict != Verdict::resume) {
    decided_[decision.op] = decision;
  }
  Op* op = find(decision.op);
  if (op == nullptr && passed_or_ended(decision.op)) {
    return;
  }
  if (contradicts(decision, op)) {
    return;
  }
  switch (decision.verdict) {
    case Verdict::commit:
      if (op->open()) {
        SEAWAY_MARK("committed by decision");
        op->my_value = value_of(*op);
        end_op(*op, op->no_weight ? Outcome::no_weight : Outcome::committed, "", now);
      }
      break;
    case Verdict::resume:
      if (op != nullptr && op->open() && frozen(*op)) {
        op->key.is_transaction() ? resume_all(*op, now) : resume(*op, now);
      }
      break;
    case Verdict::abort:
      if (op != nullptr && op->open()) {
        end_op(*op, Outcome::aborted, decision.reason, now);
      } else if (op == nullptr || op->stage == Stage::unposted) {
        SEAWAY_MARK("abort of an op that is not posted here");
        entomb(find_or_create(decision.op), decision.reason);
      }
      break;
  }
}

// What no master decides from true reports: then somebody's was false. Nothing is done by it: what has been told here stays true.
bool Engine::contradicts(const wire::Decision& decision, const Op* op) {
  const bool committed = op != nullptr && op->stage == Stage::committed;
  std::string finding;
  switch (decision.verdict) {
    case Verdict::commit:
      if (!committed && (op == nullptr || op->stage == Stage::unposted || op->stage == Stage::aborted || !holds(*op))) {
        finding = "is committed, and there is no result of it here";
      }
      break;
    case Verdict::resume:
      if (committed && op->my_value.attempt != cut_) {
        finding = "is resumed, and has committed here";
      }
      break;
    case Verdict::abort:
      if (committed) {
        finding = "is aborted, and has committed here";
      }
      break;
  }
  if (!finding.empty() && contradiction_.empty()) {
    contradiction_ = std::string(kContradiction) + ": the op of tag " + std::to_string(decision.op.tag) + ", number " +
                     std::to_string(decision.op.seq) + ", " + finding + ". A member's report was false; join again";
  }
  return !finding.empty();
}

void Engine::resume(Op& op, Time now) {
  SEAWAY_MARK("resume");
  if (op.result.attempts > 1) {
    SEAWAY_MARK("resume of a resumed op");
  }
  if (op.chunks_done > 0) {
    SEAWAY_MARK("resume after results had come");
  }
  op.mismatches = static_cast<std::uint8_t>(op.mismatches + (op.mismatch ? 1 : 0));
  op.attempt = cut_;
  op.roster = roster_of(op.key);
  may_be_due_earlier();
  const auto stays = [&](PeerId peer) {
    return std::find(op.roster.begin(), op.roster.end(), peer) != op.roster.end();
  };
  if (op.handle != 0 && !op.posted && !is_passed(op) && nobody_posted(op) && MUTANT(lost_poster_binds, true, false)) {
    retire(op);
    return;
  }
  forget_sums(op);
  for (auto& [peer, side] : op.sides) {
    side.results.clear();
    if (!stays(peer)) {
      if (side.ready && side.parts.empty() && op.plan.chunks > 0) {
        SEAWAY_MARK("resume without a part of the lost member");
      }
      stop_sending(side, peer);
      drop_parts(side);
    }
  }
  const bool had_root = std::any_of(op.plan.roots.begin(), op.plan.roots.end(), [&](PeerId p) { return !stays(p); });
  if (had_root) {
    SEAWAY_MARK("resume with a root dead");
  }
  mark_resumed_blocks(op);
  clear_results(op);
  const Plan before = std::move(op.plan);
  start_attempt(op, now);
  for (const PeerId peer : op.roster) {
    if (peer != config_.self) {  // "I am at this attempt"
      queue_message(peer, FrameType::want, op, wire::encode_payload(wire::Want{}), now);
    }
  }
  serve_heirs(op, before);
  ask_for_parts(op, now);
  touch(op.key);
}

// Who now collects what a lost member collected will ask for its parts. A window of them goes at once: a one-way delay less.
void Engine::serve_heirs(Op& op, const Plan& before) {
  std::map<PeerId, wire::Want> inherited;
  for (std::uint32_t chunk = 0; chunk < before.roots.size(); ++chunk) {
    const PeerId heir = op.plan.collector_for(config_.self, chunk);
    if (heir != before.collector_for(config_.self, chunk) && heir != config_.self) {
      inherited[heir].ranges.push_back({chunk, 1});
    }
  }
  for (auto& [heir, want] : inherited) {
    const std::optional<wire::Ready>& ready = op.sides[heir].ready;
    if (ready && !ready->has_data) {  // who has not posted would have to sink what is above its credit
      SEAWAY_MARK("parts go to the heir of a lost root before it asks");
      want.ranges.resize(std::min(want.ranges.size(), window_of(op)));
      serve_want(op, heir, want, op.attempt);
    }
  }
}

// Results of the attempt that is over. Connections that write one, or still send one to a member that has not heard of
// the end of the attempt, have to let go before anything new is written there; a job runs to its end.
void Engine::clear_results(Op& op) {
  for (std::size_t i = MUTANT(m6_one_chunk_not_cleared, 0, 1); i < op.chunks.size(); ++i) {
    Chunk& chunk = op.chunks[i];
    chunk.done = false;
    chunk.summed = false;
    chunk.hash = 0;
    if (chunk.aside != 0) {
      free_slot(std::exchange(chunk.aside, 0));
      chunk.aside_here = false;
    }
  }
  op.chunks_done = static_cast<std::uint32_t>(
      std::count_if(op.chunks.begin(), op.chunks.end(), [](const Chunk& chunk) { return chunk.done; }));
  op.candidates.clear();
  for (auto& [peer, to] : links_) {
    to.drop_results(op.handle);
  }
  if (MUTANT(results_overwritten_while_sent, true, false)) {
    ++op.releases;
    effects_.emplace_back(Release{op.handle, true});
  }
}

void Engine::stop_sending(Side& side, PeerId peer) {
  side.wanted.clear();
  side.results.clear();
  side.partials.clear();
  side.sums_wanted.clear();
  const auto to = links_.find(peer);
  if (to != links_.end()) {
    stop_eager(to->second, side);
  }
  side.eager.clear();
  side.eager_bytes = 0;
}

// An op that will never be posted here, or whose later post returns at once.
void Engine::entomb(Op& op, const std::string& reason) {
  op.stage = Stage::aborted;
  op.result.outcome = Outcome::aborted;
  op.result.reason = reason;
  release_unposted(op);
  clear_sides(op);
  if (op.key.is_transaction()) {
    drop_unposted_ops(op.key);
  }
}

void Engine::enter_generation(std::uint32_t generation, Time now) {
  now_ = now;
  generation_ = generation;
  for (const auto& [key, op] : ops_) {
    touch_tag(key);
    const bool posted_elsewhere = std::any_of(op.sides.begin(), op.sides.end(), [&](const auto& entry) {
      return entry.second.ready || (key.is_transaction() && entry.second.hold);
    });
    if (op.stage == Stage::unposted && key.generation < generation && posted_elsewhere) {
      passed_.insert(unit_of(key));
    }
    if (is_passed(op)) {
      touch(key);
    }
  }
  for (const auto& [tag, sequence] : sequences_) {
    dirty_tags_.insert(tag);
  }
  settle(now);
}

// Ops that others posted in a generation that I have left without posting them: said so to their roster with a digest
// that differs from everyone's, so that they are refused there, with no master.
void Engine::settle_passed(Time now) {
  for (const OpKey& key : std::exchange(passed_, {})) {
    Op* op = find(key);
    if (op == nullptr && key.is_transaction() && !passed_or_ended(key)) {
      op = &find_or_create(key);  // an op that is in it was posted elsewhere
    }
    if (op == nullptr || op->stage != Stage::unposted) {
      continue;
    }
    SEAWAY_MARK("an op that others posted is passed without posting it");
    entomb(*op, "this op's generation was left without posting it");
    op->attempt = cut_;
    if (MUTANT(passed_op_not_said, false, true)) {
      continue;
    }
    say_passed(*op, who_hears(*op, roster_of(key)), now);
    touch_tag(key);
  }
}

void Engine::say_passed(const Op& op, const std::vector<PeerId>& roster, Time now) {
  const std::vector<std::byte> none = wire::encode_payload(wire::Ready{0, 1, Standing::unsynced, false, ""});
  for (const PeerId peer : roster) {
    if (peer != config_.self) {
      queue_message(peer, FrameType::ready, op, none, now);
    }
  }
}

void Engine::fence(Outcome outcome, const std::string& reason, Time now) {
  now_ = now;
  fenced_ = true;  // before anybody is told: no frame leaves any more
  for (auto& [key, op] : ops_) {
    if (op.open()) {
      end_op(op, outcome, reason, now);
    }
  }
  settle(now);
}

void Engine::forget(PeerId peer, Time now) {
  now_ = now;
  links_.erase(peer);
  stall_told_.erase(peer);
  ended_by_.erase(peer);
  std::vector<OpKey> orphans;
  for (auto& [key, op] : ops_) {
    touch_tag(key);
    const auto side = op.sides.find(peer);
    if (side == op.sides.end()) {
      continue;
    }
    side->second.eager.clear();  // the credit went with the link; there may be another one before the op is resumed
    side->second.eager_bytes = 0;
    if (op.stage != Stage::unposted) {
      continue;
    }
    drop_parts(side->second);
    op.sides.erase(side);
    if (op.sides.empty() && op.retired.empty()) {
      orphans.push_back(key);
    }
  }
  for (const OpKey& key : orphans) {
    release_unposted(ops_.at(key));
    ops_.erase(key);
  }
  settle(now);
}

std::vector<EngineEffect> Engine::standing_requests() const {
  std::vector<EngineEffect> requests;
  for (const auto& [handle, key] : handles_) {
    const Op& op = ops_.at(key);
    if (op.open() && op.mismatch) {
      requests.push_back(AskMismatch{key});
    }
    if (op.open() && !op.cancel_reason.empty()) {
      requests.push_back(AskCancel{key, op.cancel_reason});
    }
  }
  return requests;
}

std::vector<wire::Decision> Engine::final_decisions() const {
  std::vector<wire::Decision> decisions;
  decisions.reserve(decided_.size());
  for (const auto& [key, decision] : decided_) {
    decisions.push_back(decision);
  }
  return decisions;
}

// An op has ended here when its caller was told, or when it will never be posted.
std::vector<OpKey> Engine::finished_decisions() const {
  std::vector<OpKey> finished;
  for (const auto& [key, decision] : decided_) {
    const auto op = ops_.find(key);
    const bool told = op == ops_.end() ? passed_or_ended(key) : op->second.told;
    const bool never = (op == ops_.end() || !op->second.handle) && key.generation < generation_;
    if (told || never) {
      finished.push_back(key);
    }
  }
  return finished;
}

}  // namespace seaway::collective
