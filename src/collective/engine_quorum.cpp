// Ops with a quorum: so many contributions suffice, and after a grace nobody waits for more.
//
//   SET     The lowest rank of the attempt's roster says once per attempt who contributes: whoever has posted when the quorum has
//           been there for the grace, or when everybody has. Roots wait for it, so that every chunk is reduced over the same set,
//           and it is part of the value. If that member is lost the next attempt has another one; nobody has to agree on
//           anything, for no HOLD of the old attempt can complete.
//   held    Who has not posted is a member of the op all the same: it is a root, says SET, has the result and HOLDs (G12). What a
//           READY says of the op is enough for all of that; results land in a scratch. From a caller who comes while the op runs
//           it is as if he had posted at once, but that he does not contribute to an attempt whose SET is without him. One who
//           comes later is given what is held.
//   differs Who posts something else in its place is refused alone when the SET is without him. Before, he may be needed: he is
//           said to be gone without posting, so that everybody refuses the op. So is a member that leaves the generation.
//   retired If all who had posted are lost, and nobody is left to say what the op was, it is unposted again.
#include <algorithm>
#include <utility>

#include "base/mark.h"
#include "base/mutant.h"
#include "collective/engine.h"

namespace seaway::collective {

using wire::FrameType;

namespace {

constexpr std::size_t kMostHeld = kMaxOpenOps / 4;  // ops: with those that are posted they fit into a report
constexpr Duration kLongestGrace = Duration{0xffffffffu} * kMillisecond;

Descriptor described_by(const wire::QuorumTerms& terms) {
  Descriptor d;
  d.kind = static_cast<OpKind>(terms.kind);
  d.dtype = terms.dtype;
  d.reduction = terms.reduction;
  d.count = terms.count;
  d.weighted = terms.weighted;
  d.fail_on_loss = terms.fail_on_loss;
  d.up = static_cast<Codec>(terms.up);
  d.down = static_cast<Codec>(terms.down);
  d.quorum = terms.quorum;
  d.grace = Duration{terms.grace_ms} * kMillisecond;
  return d;
}

bool is_in(const std::vector<PeerId>& list, PeerId peer) {
  return std::find(list.begin(), list.end(), peer) != list.end();
}

}  // namespace

wire::QuorumTerms terms_of(const Descriptor& d) {
  return {static_cast<std::uint8_t>(d.kind),
          d.dtype,
          d.reduction,
          d.count,
          d.weighted,
          d.fail_on_loss,
          static_cast<std::uint8_t>(d.up),
          static_cast<std::uint8_t>(d.down),
          d.quorum,
          static_cast<std::uint32_t>(d.grace / kMillisecond)};
}

// "" or what is wrong with it.
std::string Engine::wrong_quorum(const Descriptor& d) {
  if (d.quorum == 0) {
    return d.grace == 0 ? "" : "grace is how long more than a quorum is waited for: give a quorum, too";
  }
  if (!reduces(d.kind)) {
    return "quorum is for all_reduce and reduce_scatter: of the other ops each member's part is wanted";
  }
  if (d.grace < 0 || d.grace > kLongestGrace || d.grace % kMillisecond != 0) {
    return "grace must be whole milliseconds, not negative, and less than 2^32 of them";
  }
  return "";
}

std::string described_quorum(const Descriptor& d) {
  return d.quorum == 0
             ? ""
             : " quorum " + std::to_string(d.quorum) + " grace " + std::to_string(d.grace / kMillisecond) + " ms";
}

void Engine::add_terms(const Descriptor& descriptor, wire::Ready& ready) {
  if (descriptor.quorum > 0) {
    ready.terms = terms_of(descriptor);
  }
}

// --- Who contributes ------------------------------------------------------------------------------------------------

bool Engine::has_posted(const Op& op, PeerId peer) const {
  if (peer == config_.self) {
    return op.posted;
  }
  const auto side = op.sides.find(peer);
  return side != op.sides.end() && side->second.ready &&
         (op.descriptor.quorum == 0 || side->second.ready->digest == op.digest);
}

Contributor Engine::contribution_of(const Op& op, PeerId peer) const {
  const double mine = op.descriptor.weighted ? op.descriptor.weight : 1;
  return {peer, peer == config_.self ? mine : op.sides.at(peer).ready->weight};
}

// Of those of the attempt's roster that have posted: those whose standing lets them, of a broadcast its source.
std::vector<Contributor> Engine::counted(const Op& op) const {
  const auto standing = [&](PeerId peer) {
    return peer == config_.self ? op.standing : op.sides.at(peer).ready->standing;
  };
  const bool somebody_synced = std::any_of(op.roster.begin(), op.roster.end(), [&](PeerId peer) {
    return has_posted(op, peer) && standing(peer) == Standing::synced;
  });
  // The oldest member was in every sync that anybody here was in: without its post nobody knows whether there was one.
  const bool is_known = op.descriptor.quorum == 0 || has_posted(op, op.roster.front());
  const bool newcomers_count =
      (is_known && !somebody_synced) || is_librarys(op.key) || MUTANT(newcomer_counts, false, true);
  std::vector<Contributor> contributors;
  for (const PeerId peer : op.roster) {
    if (!has_posted(op, peer) || (has_source(op.descriptor.kind) && peer != op.descriptor.root)) {
      continue;
    }
    if (may_contribute(op.key, standing(peer)) && (standing(peer) != Standing::newcomer || newcomers_count)) {
      contributors.push_back(contribution_of(op, peer));
    }
  }
  return contributors;
}

bool Engine::chooses(const Op& op) const {
  return MUTANT(m16_each_picks_its_set, op.roster.front() == config_.self, true);
}

// Who contributes to this attempt, as far as it is said; null: not yet.
const wire::ContributorSet* Engine::set_of(const Op& op) const {
  if (chooses(op)) {
    return op.own_set ? &*op.own_set : nullptr;
  }
  const auto side = op.sides.find(op.roster.front());
  if (side == op.sides.end() || !side->second.set) {
    return nullptr;
  }
  const auto& [attempt, set] = *side->second.set;
  return attempt == op.attempt || MUTANT(set_of_another_attempt, false, true) ? &set : nullptr;
}

std::optional<std::vector<Contributor>> Engine::contributors_of(const Op& op) const {
  if (op.descriptor.quorum == 0) {
    const bool all = std::all_of(op.roster.begin(), op.roster.end(), [&](PeerId p) { return has_posted(op, p); });
    return all ? std::optional(counted(op)) : std::nullopt;
  }
  const wire::ContributorSet* set = set_of(op);
  if (set == nullptr) {
    return std::nullopt;
  }
  std::vector<Contributor> contributors;
  for (const PeerId peer : op.roster) {
    if (!is_in(set->members, peer)) {
      continue;
    }
    if (!has_posted(op, peer)) {
      return std::nullopt;  // its READY, with its weight, is under way
    }
    contributors.push_back(contribution_of(op, peer));
  }
  return contributors;
}

// It is known that its contribution is not wanted in this attempt.
bool Engine::is_left_out(const Op& op, PeerId peer) const {
  const wire::ContributorSet* const set = op.descriptor.quorum == 0 ? nullptr : set_of(op);
  return set != nullptr && !is_in(set->members, peer);
}

// Everybody keeps in mind since when there is a quorum: whoever comes to say SET after a loss does not begin to wait anew.
void Engine::choose_set(Op& op, Time now) {
  if (op.descriptor.quorum == 0 || set_of(op) != nullptr || frozen(op)) {
    return;
  }
  const std::vector<Contributor> contributors = counted(op);
  if (contributors.size() < op.descriptor.quorum) {
    op.quorum_since.reset();
  } else if (!op.quorum_since) {
    op.quorum_since = now;
    may_be_due(set_due(op));
  }
  const bool everybody =
      std::all_of(op.roster.begin(), op.roster.end(), [&](PeerId peer) { return has_posted(op, peer); });
  if (!chooses(op) || (!everybody && MUTANT(grace_ignored, set_due(op) > now, !op.quorum_since))) {
    return;
  }
  if (!op.posted) {
    SEAWAY_MARK("SET is said by a member that has not posted");
  }
  if (!everybody) {
    SEAWAY_MARK("SET is without somebody who has not posted");
  }
  op.own_set.emplace();
  for (const Contributor& contributor : contributors) {
    op.own_set->members.push_back(contributor.id);
  }
  const std::vector<std::byte> payload = wire::encode_payload(*op.own_set);
  for (const PeerId peer : op.roster) {
    if (peer != config_.self) {
      queue_message(peer, FrameType::set, op, payload, now);
    }
  }
}

// When the grace ends after which this member says SET.
Time Engine::set_due(const Op& op) const {
  const bool waits = op.open() && op.quorum_since && !op.own_set && !frozen(op) && chooses(op);
  return waits ? *op.quorum_since + op.descriptor.grace : kNever;
}

// --- Held for a caller who has not posted -----------------------------------------------------------------------------

// The READY of a member of the op that says what it is.
const wire::Ready* Engine::terms_from(const Op& op, const std::vector<PeerId>& roster) {
  for (const PeerId peer : roster) {
    const auto side = op.sides.find(peer);
    if (side != op.sides.end() && side->second.ready && side->second.ready->terms) {
      return &*side->second.ready;
    }
  }
  return nullptr;
}

void Engine::hold_unposted(Op& op, Time now) {
  const bool is_known = std::any_of(op.sides.begin(), op.sides.end(),
                                    [](const auto& entry) { return entry.second.ready && entry.second.ready->terms; });
  if (!is_known || fenced_ || op.key.generation < generation_ || passed_or_ended(op.key) ||
      MUTANT(g12_stragglers_do_not_hold, false, true)) {
    return;
  }
  const std::vector<PeerId> roster = roster_of(op.key);
  const wire::Ready* const ready = terms_from(op, roster);
  if (ready == nullptr || !is_in(roster, config_.self) || base_of(op.key.generation).empty()) {
    return;
  }
  Descriptor descriptor = described_by(*ready->terms);
  if (!wrong(descriptor).empty() || descriptor.quorum == 0) {
    return;  // no healthy member says so
  }
  const std::uint64_t bytes = descriptor.count * size_of(descriptor.dtype);
  const std::uint64_t coded = coded_bytes(descriptor, descriptor.down);
  if (held_bytes_ + bytes + coded > config_.limits.held_bytes || held_.size() >= kMostHeld ||
      ops_.size() > kMaxOpenOps) {
    SEAWAY_MARK("no room to hold an op: it waits for the caller");
    not_held_.insert(op.key);
    return;
  }
  SEAWAY_MARK("an op is held for a caller who has not posted it");
  if (has_blocks(descriptor.kind)) {
    descriptor.blocks = base_of(op.key.generation).size();
  }
  op.descriptor = descriptor;
  op.digest = ready->digest;
  op.posted = false;
  op.held = true;
  op.handle = next_id_++;
  handles_[op.handle] = op.key;
  held_[op.handle] = bytes + coded;
  held_bytes_ += bytes + coded;
  sequences_[tag_of(op.key)].open.insert(op.key.seq);  // it ends here when it has ended, whoever comes for it
  op.result = {};
  op.result.op = op.key;
  op.result.posted = now;
  ++op.releases;
  effects_.push_back(HoldResult{op.handle, bytes, coded});
  open(op, now);
  for (const PeerId peer : op.roster) {
    if (peer != config_.self) {  // "I am at this attempt"
      queue_message(peer, FrameType::want, op, wire::encode_payload(wire::Want{}), now);
    }
  }
  ask_for_parts(op, now);
}

// The caller comes for an op that is held here. Returns its name.
OpHandle Engine::post_held(Op& op, const Descriptor& descriptor, Time now) {
  const bool same = digest_of(descriptor) == op.digest && terms_of(descriptor) == terms_of(op.descriptor);
  if (!same && op.stage != Stage::aborted) {
    SEAWAY_MARK("a straggler posts another op than the one that is held");
    op.passed_by = true;
    touch(op.key);
    Result result;
    result.outcome = Outcome::refused;
    result.op = op.key;
    result.posted = result.ended = now;
    result.reason = "the others posted \"" + described(op) + "\", you posted \"" + describe(descriptor) +
                    "\": make the calls alike";
    const OpHandle handle = next_id_++;
    effects_.push_back(OpEnded{handle, std::move(result)});
    return handle;
  }
  op.posted = true;
  op.result.posted = now;
  forget_held(op.handle);
  touch(op.key);
  if (same) {
    op.descriptor = descriptor;
    op.encodings.resize(travels_as_copy(descriptor) ? op.own_parts() : 0);  // only now is it known where its input lies
  }
  if (op.open()) {
    join_running(op, now);
  } else if (op.stage == Stage::committed) {
    SEAWAY_MARK("a straggler is given the result that was held for it");
  }
  return op.handle;
}

void Engine::join_running(Op& op, Time now) {
  const bool untouched =
      op.chunks_done == 0 && op.releases == 0 && op.jobs == 0 &&
      std::all_of(op.chunks.begin(), op.chunks.end(), [](const Chunk& c) { return c.lease == 0 && c.aside == 0; });
  op.held = !untouched;  // the caller's output will do
  op.progress_at = now;
  may_be_due_earlier();
  op.standing = standing_;
  send_ready(op, now);
  const wire::ContributorSet* const set = set_of(op);
  if (set == nullptr) {
    SEAWAY_MARK("a member posts while its op is held, and in time");
    contribute(op);
    return;
  }
  SEAWAY_MARK("a straggler posts an op that runs without it");
  for (auto& [peer, side] : op.sides) {
    for (const auto& [attempt, want] : std::exchange(side.early_wants, {})) {
      if (side.attempt > op.attempt) {  // it asks for an attempt that may count me
        serve_want(op, peer, want, attempt);
      }
    }
  }
}

std::string Engine::described(const Op& op) const {
  const wire::Ready* const ready = terms_from(op, op.roster);
  return op.posted || ready == nullptr ? describe(op.descriptor) : ready->described;
}

// It runs here, and its caller will not come.
bool Engine::is_passed(const Op& op) const {
  return op.handle != 0 && !op.posted && (op.passed_by || op.key.generation < generation_);
}

// While it is open who contributes, this member may be waited for: the others have to know that it will not post.
bool Engine::refuse_if_passed(Op& op, Time now) {
  if (!is_passed(op) || frozen(op) || op.hold_sent || set_of(op) != nullptr ||
      MUTANT(differing_straggler_not_said, false, true)) {
    return false;
  }
  SEAWAY_MARK("an op that is held, and may need this member, is refused");
  say_passed(op, op.roster, now);
  end_op(op, Outcome::refused, "this member went on without posting this op: its calls differ from the others'", now);
  return true;
}

// Ended, and nobody has come for it.
void Engine::finish_unposted(Op& op) {
  const TagKey tag = tag_of(op.key);
  if (op.stage == Stage::committed && !is_passed(op)) {
    for (auto& [peer, side] : op.sides) {
      drop_parts(side);  // nothing of it will be reduced again, and the caller may come late
    }
    return;
  }
  op.told = is_passed(op);
  free_held(op.handle);
  op.handle = 0;
  sequences_.at(tag).open.erase(op.key.seq);
  dirty_tags_.insert(tag);
  clear_sides(op);
}

// --- Memory ---------------------------------------------------------------------------------------------------------

// From now on it is the caller's op, with what that takes.
void Engine::forget_held(OpHandle handle) {
  const auto it = held_.find(handle);
  if (it != held_.end()) {
    held_bytes_ -= it->second;
    held_.erase(it);
    for (const OpKey& key : std::exchange(not_held_, {})) {
      touch(key);
    }
  }
}

void Engine::free_held(OpHandle handle) {
  forget_held(handle);
  handles_.erase(handle);
  effects_.push_back(FreeHeld{handle});
}

bool Engine::nobody_posted(const Op& op) const {
  return std::none_of(op.roster.begin(), op.roster.end(), [&](PeerId peer) { return has_posted(op, peer); });
}

// All who had posted it are lost. What they posted binds nobody: the op is as it was before they did.
void Engine::retire(Op& op) {
  SEAWAY_MARK("an op is held no longer: all who had posted it are lost");
  cancel_queued_jobs(op);
  for (auto& [peer, to] : links_) {
    to.drop_payload(op.handle);
  }
  ++op.releases;
  effects_.push_back(Release{op.handle, false});
  op.retired.push_back(std::exchange(op.handle, 0));
  for (auto it = op.sides.begin(); it != op.sides.end();) {
    stop_sending(it->second, it->first);
    std::erase_if(it->second.early_wants, [&](const auto& want) { return want.first < op.attempt; });
    for (auto& [number, part] : it->second.parts) {
      const bool had_come = part.state != Part::State::absent;  // of somebody whose READY is under way
      drop_part(part);
      part.state = had_come ? Part::State::dropped : Part::State::absent;
    }
    it = is_in(op.roster, it->first) ? std::next(it) : op.sides.erase(it);
  }
  for (Chunk& chunk : op.chunks) {
    if (chunk.aside != 0) {
      free_slot(std::exchange(chunk.aside, 0));
    }
  }
  op.chunks.clear();
  op.candidates.clear();
  op.plan = {};
  op.chunks_done = 0;
  op.contributors.reset();
  op.quorum_since.reset();
  op.own_set.reset();
  op.hold_sent = false;
  op.cancel_reason.clear();
  op.held = false;
  op.mismatches = 0;
  op.result = {};
  op.stage = Stage::unposted;
  sequences_.at(tag_of(op.key)).open.erase(op.key.seq);
  touch(op.key);
}

// The memory of former names, once nobody touches it. True: nothing is left of the op.
bool Engine::free_retired(Op& op) {
  if (op.retired.empty() || op.releases > 0 || op.jobs > 0) {
    return false;
  }
  for (const OpHandle handle : std::exchange(op.retired, {})) {
    free_held(handle);
  }
  if (op.stage == Stage::unposted && op.sides.empty()) {
    ops_.erase(OpKey(op.key));
    return true;
  }
  return false;
}

}  // namespace seaway::collective
