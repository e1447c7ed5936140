// Transactions: ops that commit together, in all lanes of all replicas, or not at all.
//
// A transaction T is an op of its own: no data, a key that is the same in every lane (kTransactionTag, numbered as it is opened),
// and a stage. The ops that name it (its_ops) have no HOLD, no report and no decision of their own; T's are theirs.
//
//   open       T gets its key, attempt and standing, which its ops take over. Nothing is sent
//   post       an op in T is numbered in T and runs as ever, but for its result, which lands in a scratch (lands_in_scratch)
//   close      the list is fixed. READY(T) to my group; its digest covers the list. None of one that was cancelled before: it is not
//              to commit any more, and the request to abort it stands
//   holds      closed, READY(T) of my whole group is here, every op of the list holds in T's attempt
//   HOLD       to my group, when it holds and is not frozen. The value: attempt, *places* of the contributors, bits of all ops.
//              Places, in the base of the generation, since they are the same in all lanes, where the incarnations are not
//   LHOLD      to my siblings, when my group's HOLDs are here and equal, and mine was sent: "nobody of my lane lacks anything"
//   committed  LHOLD of every sibling is here, of my attempt and with my contributors. Then all ops of the list are
//   freeze     stops HOLD. It need not stop LHOLD, which says of HOLDs only that they were sent before any freeze
//   report     T's alone. The master counts all lanes of all replicas, and decides once (core/master_resolve.cpp)
//   RESUME, ABORT, COMMIT   of T is of all its ops. RESUME of those whose attempt is below the cut, as ever
//   ended      when its caller has closed it and all its ops have ended. Remembered until it has ended in all lanes: ENDED to my
//              siblings says that it has here, ENDED to my group that it has at them, too
//
// Why LHOLD follows HOLD: one bit that flips in lane 1 keeps its HOLDs from being equal. Were HOLD said when all siblings hold, lane 0
// could commit before lane 1 has compared, and lane 1 could not.
//
// Nothing is refused locally in a transaction, for the other lanes would not hear of it: what would be refused (calls that differ,
// a list that differs, a source that is gone, T passed by a member) is not held, and the master is asked to abort T.
#include <algorithm>
#include <limits>
#include <utility>

#include "base/mark.h"
#include "base/mutant.h"
#include "collective/engine.h"
#include "hash/hash.h"

namespace seaway::collective {

using wire::FrameType;

// --- Opening, posting, closing --------------------------------------------------------------------------------------

// "" or what is wrong with it wherever it is posted.
std::string Engine::wrong_transaction(const Descriptor& d) {
  if (d.transaction == 0) {
    return "";
  }
  if (d.kind == OpKind::transaction) {
    return "transaction: one cannot be in another";
  }
  if (d.kind == OpKind::transfer) {
    return "transaction: a send or a receive has two ends, and a transaction is everybody's: use an exchange";
  }
  return d.quorum == 0 ? "" : "transaction: its ops are everybody's, so none has a quorum";
}

// The same, here and now.
std::string Engine::wrong_in_transaction(const Descriptor& d) const {
  if (d.transaction == 0) {
    return "";
  }
  const auto handle = handles_.find(d.transaction);
  if (handle == handles_.end() || !handle->second.is_transaction()) {
    return "transaction: it has ended, or is none of this member's";
  }
  const Op& transaction = ops_.at(handle->second);
  if (transaction.closed) {
    return "transaction: it is closed, and its list of ops with it";
  }
  if (transaction.key.generation != generation_ && !transaction.ended()) {
    return "transaction: it was opened before the last update, at which others joined: open, post and close it between "
           "two";
  }
  return d.fail_on_loss && !transaction.descriptor.fail_on_loss
             ? "on_loss: a transaction has one for all its ops, stated where it is opened"
             : "";
}

OpKey Engine::next_key_in(Op& transaction) {
  const OpKey key{
      config_.lane, transaction.key.generation, transaction.key.tag_of_its_ops(), transaction.posts++, kNoPeer,
      kNoPeer};
  transaction.its_ops.push_back(key);
  return key;
}

void Engine::begin_transaction(Op& op, Time now) {
  op.stage = Stage::run;
  op.attempt = cut_;
  op.roster = roster_of(op.key);
  op.first_roster = op.roster;
  op.standing = standing_;
  op.progress_at = now;
  ++op.result.attempts;
  may_be_due_earlier();
  for (const PeerId peer : op.roster) {
    if (peer != config_.self) {
      op.sides.try_emplace(peer);
    }
  }
  release_unposted(op);
  touch(op.key);
}

void Engine::close_transaction(OpHandle handle, Time now) {
  now_ = now;
  Op* const op = find(handle);
  if (op == nullptr || !op->key.is_transaction() || op->closed) {
    return;
  }
  op->closed = true;
  op->progress_at = now;
  may_be_due_earlier();
  if (op->open() && !op->cancel_reason.empty()) {
    op->must_abort = true;  // given up before anybody could hold it: it is not said that it is closed
  } else if (op->open()) {
    std::vector<std::uint64_t> digests;
    digests.reserve(op->its_ops.size());
    for (const OpKey& key : op->its_ops) {
      digests.push_back(ops_.at(key).digest);
    }
    op->descriptor.count = digests.size();
    op->descriptor.layout = combine(digests);
    op->digest = digest_of(op->descriptor);
    send_ready(*op, now);
  }
  touch(op->key);
  settle(now);
}

// An op is posted in a transaction that was aborted: it ends as the transaction did, and nobody hears of it.
OpHandle Engine::end_with(Op& transaction, Time now) {
  SEAWAY_MARK("an op is posted in a transaction that was aborted");
  Result result;
  result.outcome = transaction.result.outcome;
  result.reason = transaction.result.reason;
  result.op = {config_.lane, transaction.key.generation, transaction.key.tag_of_its_ops(), transaction.posts++, kNoPeer,
               kNoPeer};
  result.posted = result.ended = now;
  const OpHandle handle = next_id_++;
  effects_.push_back(OpEnded{handle, std::move(result)});
  return handle;
}

// The transaction, or an op in it. Of a transaction before it is closed, and of a sibling's, only that it was passed matters.
void Engine::abort_if_different(Op& op) {
  for (const PeerId peer : who_hears(op, op.roster)) {
    const auto side = op.sides.find(peer);
    if (side == op.sides.end() || !side->second.ready || side->second.ready->digest == op.digest) {
      continue;
    }
    const bool is_passed = side->second.ready->digest == 0;
    if (is_passed || !op.key.is_transaction() || (op.closed && !is_sibling(peer))) {
      ask_to_abort(op, how_different(op, peer, *side->second.ready));
      return;
    }
  }
}

// Of a transaction my siblings, too.
std::vector<PeerId> Engine::who_hears(const Op& op, std::vector<PeerId> roster) const {
  if (op.key.is_transaction()) {
    roster.insert(roster.end(), siblings_.begin(), siblings_.end());
  }
  return roster;
}

// --- HOLD and commit ------------------------------------------------------------------------------------------------

bool Engine::holds_all(const Op& transaction) const {
  return transaction.open() && transaction.closed && transaction.contributors && !transaction.must_abort &&
         std::ranges::all_of(transaction.its_ops, [&](const OpKey& key) {
           const Op& op = ops_.at(key);
           return op.attempt == transaction.attempt && holds(op);
         });
}

std::uint64_t Engine::places_of_contributors(const Op& transaction) const {
  const std::vector<PlanMember> base = base_of(transaction.key.generation);
  std::vector<std::uint64_t> places;
  places.reserve(transaction.contributors->size());
  for (const Contributor& contributor : *transaction.contributors) {
    const auto member = std::ranges::find(base, contributor.id, &PlanMember::id);
    places.push_back(static_cast<std::uint64_t>(member - base.begin()));
  }
  return combine(places);
}

Value Engine::value_of_all(const Op& transaction) const {
  std::vector<std::uint64_t> bits;
  for (const OpKey& key : transaction.its_ops) {
    const Op& op = ops_.at(key);
    bits.insert(bits.end(), {op.digest, op.contributors_hash, value_of(op).bits});
  }
  return {transaction.attempt, places_of_contributors(transaction), combine(bits)};
}

// My group's HOLDs are here and equal.
bool Engine::all_lanes_hold(Op& transaction, Time now) {
  Value mine = transaction.my_value;
  mine.bits = 0;  // each lane has its own
  if (!std::exchange(transaction.lane_hold_sent, true)) {
    const std::vector<std::byte> payload = wire::encode_payload(wire::Hold{mine});
    for (const PeerId sibling : siblings_) {
      queue_message(sibling, FrameType::lane_hold, transaction, payload, now);
    }
  }
  bool all = true;
  for (const PeerId sibling : siblings_) {
    const auto side = transaction.sides.find(sibling);
    const bool here =
        side != transaction.sides.end() && side->second.hold &&
        (side->second.hold->attempt == transaction.attempt || MUTANT(lane_hold_of_another_attempt, false, true));
    all = all && here;
    if (here && side->second.hold->contributors != mine.contributors && !std::exchange(transaction.mismatch, true)) {
      effects_.push_back(AskMismatch{transaction.key});
    }
  }
  return all && !transaction.mismatch;
}

// --- What is decided of it ------------------------------------------------------------------------------------------

void Engine::resume_all(Op& transaction, Time now) {
  SEAWAY_MARK("a transaction is resumed");
  transaction.mismatches = static_cast<std::uint8_t>(transaction.mismatches + (transaction.mismatch ? 1 : 0));
  transaction.attempt = cut_;
  transaction.roster = roster_of(transaction.key);
  transaction.contributors.reset();
  transaction.hold_sent = false;
  transaction.lane_hold_sent = false;
  transaction.mismatch = false;
  transaction.progress_at = now;
  ++transaction.result.attempts;
  may_be_due_earlier();
  for (const OpKey& key : transaction.its_ops) {
    Op& op = ops_.at(key);
    if (frozen(op)) {
      resume(op, now);
    } else {
      SEAWAY_MARK("an op of a transaction was posted after the cut for which that is resumed");
    }
  }
  touch(transaction.key);
}

void Engine::end_its_ops(Op& transaction, Outcome outcome, const std::string& reason, Time now) {
  const bool success = outcome == Outcome::committed;
  for (const OpKey& key : transaction.its_ops) {
    Op& op = ops_.at(key);
    if (!op.open()) {
      continue;  // fenced before
    }
    if (success) {
      op.my_value = value_of(op);
    }
    end_op(op, success && op.no_weight ? Outcome::no_weight : outcome, reason, now);
  }
  if (success && !siblings_.empty()) {
    SEAWAY_MARK("a transaction commits in several lanes");
  }
  drop_unposted_ops(transaction.key);
}

// What the others have posted in it, and this member has not: it has ended here.
void Engine::drop_unposted_ops(const OpKey& transaction) {
  const OpKey first{config_.lane, transaction.generation, transaction.tag_of_its_ops(), 0, kNoPeer, kNoPeer};
  for (auto it = ops_.lower_bound(first); it != ops_.end() && it->first.counts_with(first);) {
    Op& op = it->second;
    if (op.stage != Stage::unposted) {
      ++it;
      continue;
    }
    SEAWAY_MARK("a transaction ends before an op of it that others have posted");
    release_unposted(op);
    clear_sides(op);
    it = ops_.erase(it);
  }
}

// Its caller is told when nothing can come any more: until it is closed its name takes posts.
bool Engine::is_over(const Op& transaction) const {
  return (transaction.closed || fenced_ || leaving_) &&
         std::ranges::all_of(transaction.its_ops, [&](const OpKey& key) { return ops_.at(key).told; });
}

void Engine::forget_its_ops(const Op& transaction) {
  for (const OpKey& key : transaction.its_ops) {
    ops_.erase(key);
  }
}

std::uint32_t Engine::ended_in_other_lanes(const TagKey& tag) const {
  std::uint32_t upto = std::numeric_limits<std::uint32_t>::max();
  for (const PeerId sibling : siblings_) {
    upto = MUTANT(transaction_forgotten_by_lane, std::min(upto, ended_at(sibling, tag)), upto);
  }
  return upto;
}

void Engine::tell_transactions_ended(const TagKey& tag, Sequence& sequence, Time now) {
  const std::uint32_t here = ended_upto(tag);
  if (here > sequence.told_lanes) {
    sequence.told_lanes = here;
    tell_ended(tag, siblings_, here, now);
  }
  const std::uint32_t everywhere = std::min(here, ended_in_other_lanes(tag));
  if (everywhere > sequence.told) {
    sequence.told = everywhere;
    tell_ended(tag, roster_of(first_of(tag)), everywhere, now);
  }
}

}  // namespace seaway::collective
