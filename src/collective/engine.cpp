#include "collective/engine.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "base/assert.h"
#include "base/mark.h"
#include "base/mutant.h"

namespace seaway::collective {

using wire::FrameHeader;
using wire::FrameType;

// --- What is called -------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t kMostOps = kMaxOpenOps / 4;  // in flight at once: all of them fit into a report

// What a message can carry, cut between two UTF-8 characters.
std::string as_reason(const std::string& text) {
  std::size_t end = std::min<std::size_t>(text.size(), kMaxReasonBytes);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) {
    --end;
  }
  return text.substr(0, end);
}

}  // namespace

Engine::Engine(EngineConfig config) : config_(config) {}

Posted Engine::post(const Descriptor& descriptor, Time now) {
  if (std::string text = wrong(descriptor); !text.empty()) {
    return {PostError::invalid, std::move(text), 0};
  }
  if (fenced_ || leaving_ || !is_member(config_.self)) {
    return {PostError::not_member, leaving_ ? "this peer is leaving" : "not a member of the run: join first", 0};
  }
  for (const std::string& text :
       {wrong_blocks(descriptor), wrong_exchange(descriptor), wrong_in_transaction(descriptor)}) {
    if (!text.empty()) {
      return {PostError::invalid, text, 0};
    }
  }
  // Those that have ended and are remembered count too, but they are forgotten within a round trip.
  if (open_ops() >= kMostOps || ops_.size() >= kMaxOpenOps) {
    return {PostError::too_many, "too many ops in flight: wait for some of them", 0};
  }
  now_ = now;
  if (Op* const transaction = find(descriptor.transaction); transaction != nullptr && transaction->ended()) {
    return {PostError::none, "", end_with(*transaction, now)};
  }
  const OpKey key = next_key(descriptor);
  Op& op = find_or_create(key);
  if (op.handle != 0) {
    const OpHandle held = post_held(op, descriptor, now);
    settle(now);
    return {PostError::none, "", held};
  }
  const OpHandle handle = next_id_++;
  op.posted = true;
  op.handle = handle;
  handles_[handle] = key;
  op.result.op = key;
  op.result.posted = now;
  op.descriptor = descriptor;
  if (const Op* const transaction = find(descriptor.transaction)) {
    op.descriptor.fail_on_loss = transaction->descriptor.fail_on_loss;
  }
  op.descriptor.has_data = has_source(descriptor.kind) && (descriptor.has_data || descriptor.root == config_.self);
  if (op.stage == Stage::aborted) {
    SEAWAY_MARK("abort tombstone met by a post");
    key.is_transaction() ? touch(key) : tell(op, now);
  } else if (key.is_transaction()) {
    begin_transaction(op, now);
  } else {
    begin(op, now);
  }
  settle(now);  // may forget the op, where a tombstone ended it at once
  return {PostError::none, "", handle};
}

void Engine::open(Op& op, Time now) {
  op.stage = Stage::run;
  op.attempt = MUTANT(g10_attempt_is_epoch, cut_, epoch_);
  op.roster = roster_of(op.key);
  op.first_roster = op.roster;
  op.progress_at = now;
  may_be_due_earlier();
  for (const PeerId peer : op.roster) {
    if (peer != config_.self) {
      op.sides.try_emplace(peer);
    }
  }
  release_unposted(op);
  start_attempt(op, now);
  drop_unfit_parts(op);
}

void Engine::contribute(Op& op) {
  queue_eager(op);
  for (auto& [peer, side] : op.sides) {
    if (side.ready) {
      serve_ready(op, peer);
    }
    for (const auto& [attempt, want] : std::exchange(side.early_wants, {})) {
      serve_want(op, peer, want, attempt);
    }
  }
}

void Engine::begin(Op& op, Time now) {
  op.digest = digest_of(op.descriptor);
  open(op, now);
  op.standing = op.key.is_in_transaction() ? unit_of(op).standing : standing_;
  send_ready(op, now);
  contribute(op);
  if (essential_lost(op) && MUTANT(g6_post_without_source, true, false)) {
    // It takes its seq and is reported as ABORTED, so that those who posted it before the loss learn the same.
    SEAWAY_MARK("broadcast posted after its source was lost");
    if (!op.key.is_in_transaction()) {
      end_op(op, Outcome::refused, who_is_gone(op), now);
      return;
    }
    ask_to_abort(op, who_is_gone(op));
  }
  look_for_lost(op);
  ask_for_parts(op, now);
  touch(op.key);
}

// Parts that came before the post were taken without knowing the plan. What does not fit into it is of a descriptor that
// differs, as its READY will say; or of no healthy peer.
void Engine::drop_unfit_parts(Op& op) {
  for (auto& [peer, side] : op.sides) {
    for (auto it = side.parts.begin(); it != side.parts.end();) {
      auto& [chunk, part] = *it;
      const bool is_here = part.state == Part::State::landing || part.state == Part::State::present;
      const bool stays =
          chunk_from(op, peer, chunk) < op.plan.chunks && (!is_here || fits(op, peer, chunk, part.length));
      if (!stays) {
        drop_part(part);
      }
      it = stays ? std::next(it) : side.parts.erase(it);
    }
  }
}

void Engine::cancel(OpHandle handle, const std::string& reason, Time now) {
  Op* op = find(handle);
  op = op == nullptr ? op : &unit_of(*op);
  if (op != nullptr && op->open() && op->cancel_reason.empty()) {
    op->cancel_reason = reason.empty() ? "cancelled" : as_reason(reason);
    effects_.push_back(AskCancel{op->key, op->cancel_reason});
  }
  settle(now);
}

void Engine::cancel_all(const std::string& reason, Time now) {
  leaving_ = true;
  std::vector<OpHandle> open;
  open.reserve(handles_.size());
  for (const auto& [handle, key] : handles_) {
    if (!held_.contains(handle)) {
      open.push_back(handle);
    }
  }
  for (const OpHandle handle : open) {
    cancel(handle, reason, now);
  }
}

std::optional<Progress> Engine::progress(OpHandle handle) const {
  const auto it = handles_.find(handle);
  if (it == handles_.end()) {
    return std::nullopt;
  }
  const Op& op = ops_.at(it->second);
  Progress progress;
  progress.op = op.key;
  for (const PeerId peer : op.roster) {
    if (peer != config_.self && !op.sides.at(peer).ready) {
      progress.not_posted.push_back(peer);
    }
  }
  progress.bytes_total = op.plan.blocks == Blocks::scattered ? op.plan.block_bytes : op.plan.bytes;
  progress.bytes_done = std::min(progress.bytes_total, std::uint64_t{op.chunks_done} * op.plan.chunk_bytes);
  if (!op.open()) {
    progress.phase = "ending";
  } else if (op.key.is_transaction() && !op.closed) {
    progress.phase = "open";
  } else if (frozen(op)) {
    progress.phase = "waiting for the master's decision";
  } else if (!progress.not_posted.empty()) {
    progress.phase = "waiting for peers to post";
  } else if (op.hold_sent) {
    progress.phase = "HOLD";
  } else if (op.reduced < op.my_chunks.size()) {
    progress.phase = "contributing and reducing";
  } else {
    progress.phase = "broadcasting";
  }
  return progress;
}

bool Engine::idle() const { return open_ops() == 0; }

std::uint32_t Engine::oldest_generation() const {
  std::uint32_t oldest = generation_;
  for (const auto& [key, op] : ops_) {
    const bool awaited = std::any_of(op.sides.begin(), op.sides.end(), [of = &key](const auto& entry) {
      return entry.second.ready || !entry.second.parts.empty() || (of->is_transaction() && entry.second.hold);
    });
    if (op.handle != 0 || (op.stage == Stage::unposted && awaited)) {
      oldest = std::min(oldest, key.generation);
    }
  }
  return oldest;
}

std::set<std::uint32_t> Engine::open_generations() const {
  std::set<std::uint32_t> generations;
  for (const auto& [handle, key] : handles_) {
    if (ops_.at(key).open()) {
      generations.insert(key.generation);
    }
  }
  return generations;
}

// --- What everything else stands on ---------------------------------------------------------------------------------

Op* Engine::find(const OpKey& key) {
  const auto it = ops_.find(key);
  return it == ops_.end() ? nullptr : &it->second;
}

Op* Engine::find(OpHandle handle) {
  const auto it = handles_.find(handle);
  return it == handles_.end() ? nullptr : find(it->second);
}

Op& Engine::find_or_create(const OpKey& key) {
  Op& op = ops_[key];
  op.key = key;
  return op;
}

Link& Engine::link(PeerId peer, Time now) {
  const auto [entry, added] = links_.try_emplace(peer, peer, config_.limits, config_.ladder, now);
  if (added) {
    may_be_due_earlier();  // the edge may stall
  }
  return entry->second;
}

bool Engine::is_member(PeerId peer) const {
  return std::any_of(roster_.begin(), roster_.end(), [&](const auto& member) { return member.id == peer; });
}

// The roster of an op: members admitted at or before its generation, by admission; of a transfer its ends among them.
std::vector<PeerId> Engine::roster_of(const OpKey& op) const {
  constexpr auto kEverybody [[maybe_unused]] = std::numeric_limits<std::uint32_t>::max();
  const std::uint32_t newest = MUTANT(g11_roster_is_everybody, op.generation, kEverybody);
  std::vector<PeerId> roster;
  for (const wire::MemberInfo& member : roster_) {
    if (member.generation <= newest && op.involves(member.id)) {
      roster.push_back(member.id);
    }
  }
  return roster;
}

bool Engine::was_addressed() const {
  return std::any_of(links_.begin(), links_.end(), [](const auto& entry) { return entry.second.has_received(); });
}

// No op of this key is to come any more.
bool Engine::passed_or_ended(const OpKey& key) const {
  if (key.is_in_transaction()) {
    const auto transaction = ops_.find(key.transaction());
    return transaction == ops_.end() ? passed_or_ended(key.transaction()) : transaction->second.ended();
  }
  const auto it = sequences_.find(tag_of(key));
  return key.generation < oldest_base() || (it != sequences_.end() && key.seq < it->second.next);
}

void Engine::queue_message(PeerId to, FrameType type, const Op& op, std::vector<std::byte> payload, Time now) {
  if (!is_member(to) && !is_sibling(to) && !links_.contains(to)) {
    return;  // lost, while the op still waits for the decision
  }
  FrameHeader header;
  header.type = type;
  header.op = op.key;
  header.attempt = op.attempt;
  link(to, now).queue(header, std::move(payload));
  stir(to);
}

void Engine::send_ready(Op& op, Time now) {
  wire::Ready ready;
  ready.digest = op.digest;
  ready.weight = op.descriptor.weighted ? op.descriptor.weight : 1;
  ready.standing = op.standing;
  ready.has_data = op.descriptor.has_data;
  ready.described = describe(op.descriptor);
  add_terms(op.descriptor, ready);
  for (const PeerId peer : op.roster) {
    if (peer != config_.self) {
      add_counts(op.descriptor, peer, ready);
      queue_message(peer, FrameType::ready, op, wire::encode_payload(ready), now);
    }
  }
}

void Engine::settle(Time now) {
  settle_passed(now);
  while (!dirty_.empty()) {
    const OpKey key = *dirty_.begin();
    dirty_.erase(dirty_.begin());
    if (Op* op = find(key)) {
      settle_op(*op, now);
    }
  }
  forget_ended(now);
}

// Each step may make the next one's condition true, none an earlier one's, so once through is enough.
void Engine::settle_op(Op& op, Time now) {
  if (free_retired(op)) {
    return;
  }
  if (op.stage == Stage::unposted) {
    hold_unposted(op, now);
  }
  if (op.open()) {
    if (refuse_if_different(op, now) || refuse_if_passed(op, now)) {
      return;
    }
    if (op.key.is_transaction() && !op.closed) {
      return;
    }
    compare_counts(op);
    choose_set(op, now);
    learn_contributors(op);
    reduce_ready_chunks(op, now);
    if (op.key.is_in_transaction()) {
      touch(op.key.transaction());
      return;
    }
    hold_if_whole(op, now);
    commit_if_all_hold(op, now);
  } else if (op.ended()) {
    finish_if_released(op, now);
  }
}

std::vector<EngineEffect> Engine::take_effects() { return std::exchange(effects_, {}); }

void Engine::tick(Time now) {
  now_ = now;
  may_be_due_earlier();
  for (auto& [peer, to] : links_) {
    if (to.is_due(now)) {
      stir(peer);
    }
    for (const ConnId conn : to.give_up_silent(now)) {
      close_connection(conn, "nothing was heard on it for too long");
    }
  }
  std::vector<std::pair<OpHandle, const char*>> overdue;
  std::set<PeerId> waited_for;
  for (const auto& [handle, key] : handles_) {
    const Op& op = ops_.at(key);
    if (!op.open()) {
      continue;
    }
    if (now >= op.descriptor.deadline) {
      overdue.emplace_back(handle, "its deadline passed");
    } else if (now >= no_progress_due(op)) {
      overdue.emplace_back(handle, "it made no progress for its time-out");
    }
    if (now >= set_due(op)) {
      touch(key);
    }
    waited_for.insert(op.roster.begin(), op.roster.end());
    if (op.closed) {
      waited_for.insert(siblings_.begin(), siblings_.end());
    }
  }
  for (const auto& [handle, reason] : overdue) {
    cancel(handle, reason, now);
  }
  for (const PeerId peer : waited_for) {
    if ((is_member(peer) || is_sibling(peer)) && now >= stall_due(peer)) {
      stall_told_[peer] = now;
      effects_.push_back(EdgeStalled{peer});
    }
  }
  settle(now);
}

Time Engine::no_progress_due(const Op& op) const {
  if (op.descriptor.no_progress == 0 || (op.key.is_transaction() && !op.closed)) {
    return kNever;
  }
  Time since = op.progress_at;
  for (const OpKey& key : op.its_ops) {
    since = std::max(since, ops_.at(key).progress_at);
  }
  return since + op.descriptor.no_progress;
}

// When the edge to `peer`, which some op waits for, counts as stalled; told again at every `suspect`.
Time Engine::stall_due(PeerId peer) const {
  const auto it = links_.find(peer);
  if (peer == config_.self || it == links_.end()) {
    return kNever;
  }
  const Time due = it->second.last_heard() + config_.ladder.stall;
  const auto told = stall_told_.find(peer);
  const bool again = told != stall_told_.end() && told->second >= it->second.last_heard();
  return again ? std::max(due, told->second + config_.ladder.suspect) : due;
}

// Asked after everything that happens, so it is computed anew only when it may have become earlier, or is reached.
Time Engine::deadline() const {
  if (!due_known_ || due_ <= now_) {
    due_ = exact_deadline();
    due_known_ = true;
  }
  return due_;
}

Time Engine::exact_deadline() const {
  Time due = kNever;
  for (const auto& [peer, to] : links_) {
    due = std::min(due, to.deadline(now_));
  }
  for (const auto& [handle, key] : handles_) {
    const Op& op = ops_.at(key);
    if (!op.open()) {
      continue;
    }
    due = std::min(due, set_due(op));
    if (unit_of(op).cancel_reason.empty()) {
      due = std::min({due, op.descriptor.deadline, no_progress_due(op)});
    }
    if (op.closed) {
      for (const PeerId sibling : siblings_) {
        due = std::min(due, stall_due(sibling));
      }
    }
    for (const PeerId peer : op.roster) {
      due = std::min(due, is_member(peer) ? stall_due(peer) : kNever);
    }
  }
  return due;
}

}  // namespace seaway::collective
