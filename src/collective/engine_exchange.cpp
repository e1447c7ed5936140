// Exchange, and send and receive: what is different in ops in which each member says who gets what.
//
//   exchange   every member of the roster posts it, with a list of what it gives to whom and takes from whom; the lists are not in
//              the digest. READY tells each member what its sender gives to it and takes from it. What one takes is asked for
//              and kept as a block of an all-gather is: from its owner, bound to no attempt; zeros of who does not contribute
//              (lost, or not counted). Nobody else has these bits, so there is none to compare: as in a reduce-scatter.
//                  what I give differs from what you take, or the reverse -> neither of us holds, both ask the master to abort it
//   transfer   a send and its receive: a broadcast whose roster is its two ends. Neither can be done without: as a broadcast's source.
#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"
#include "base/hex.h"
#include "base/mark.h"
#include "base/mutant.h"
#include "collective/engine.h"

namespace seaway::collective {

namespace {

std::uint64_t count_for(const std::vector<Share>& list, PeerId peer) {
  const auto it = std::ranges::find(list, peer, &Share::peer);
  return it == list.end() ? 0 : it->count;
}

}  // namespace

// --- Both -----------------------------------------------------------------------------------------------------------

// The key of what is posted next with this tag; it uses its number up.
OpKey Engine::next_key(const Descriptor& descriptor) {
  if (Op* const transaction = find(descriptor.transaction)) {
    return next_key_in(*transaction);
  }
  OpKey key{config_.lane, generation_, descriptor.tag, 0, kNoPeer, kNoPeer};
  if (descriptor.kind == OpKind::transaction) {
    key.lane = kEveryLane;
    key.tag = kTransactionTag;
  }
  if (descriptor.kind == OpKind::transfer) {
    key.source = descriptor.root;
    key.target = descriptor.target;
  }
  Sequence& sequence = sequences_[tag_of(key)];
  key.seq = sequence.next++;
  sequence.open.insert(key.seq);
  return key;
}

// "" or what is wrong with the lists of an exchange, or the ends of a transfer, wherever it is posted.
std::string Engine::wrong_lists(const Descriptor& d) {
  const bool has_lists = d.kind == OpKind::exchange;
  const bool has_ends = d.kind == OpKind::transfer;
  if (!has_lists && (!d.sends.empty() || !d.receives.empty())) {
    return "sends and receives are of an exchange";
  }
  if ((has_lists || has_ends) && d.in_place) {
    return "in_place: nothing is reduced";
  }
  if (has_ends && (d.root == kNoPeer || d.target == kNoPeer)) {
    return "a transfer needs the member that sends and the one that receives";
  }
  if (has_ends && d.root == d.target) {
    return "who sends is who receives: copy, or use an exchange";
  }
  if (has_lists && d.count != 0) {
    return "count: in an exchange each member has its own";
  }
  for (const std::vector<Share>* list : {&d.sends, &d.receives}) {
    std::uint64_t left = kMostBytes / std::max<std::size_t>(size_of(d.dtype), 1);
    for (const Share& share : *list) {
      if (share.count > left) {
        return "sends or receives have together more than one op may carry (2^50 bytes)";
      }
      left -= share.count;
    }
  }
  return "";
}

// The same, here and in this generation.
std::string Engine::wrong_exchange(const Descriptor& d) const {
  if (d.kind == OpKind::transfer) {
    const bool is_mine = d.root == config_.self || d.target == config_.self;
    return is_mine ? "" : "neither who sends nor who receives is this member";
  }
  if (d.kind != OpKind::exchange) {
    return "";
  }
  const std::vector<PlanMember> base = base_of(generation_);
  for (const std::vector<Share>* list : {&d.sends, &d.receives}) {
    const char* const name = list == &d.sends ? "sends" : "receives";
    std::set<PeerId> seen;
    for (const Share& share : *list) {
      if (std::ranges::find(base, share.peer, &PlanMember::id) == base.end()) {
        return std::string(name) + " names " + hex(share.peer) +
               ", which is no member of this generation: take members from the view of the last update";
      }
      if (!seen.insert(share.peer).second) {
        return std::string(name) + " names " + name_of(share.peer) + " twice";
      }
    }
  }
  const std::uint64_t gives = count_for(d.sends, config_.self);
  const std::uint64_t takes = count_for(d.receives, config_.self);
  return gives == takes ? ""
                        : "sends has " + std::to_string(gives) + " elements for this member itself, and receives " +
                              std::to_string(takes) + ": make the two alike";
}

// Which op a frame on the link to `peer` speaks of.
void Engine::add_ends(OpKey& op, wire::Direction direction, PeerId peer) const {
  if (direction != wire::Direction::none) {
    const bool forward = direction == wire::Direction::forward;
    op.source = forward ? peer : config_.self;
    op.target = forward ? config_.self : peer;
  }
}

std::string Engine::name_of(PeerId peer) const {
  const auto member = std::ranges::find(roster_, peer, &wire::MemberInfo::id);
  return member == roster_.end() ? "a member" : member->name;
}

// What the op cannot do without: the source of a broadcast, both ends of a transfer. Once all hold it does without.
bool Engine::essential_lost(const Op& op) const {
  if (op.key.is_transaction()) {
    return std::ranges::any_of(op.its_ops, [&](const OpKey& key) { return essential_lost(ops_.at(key)); });
  }
  const Descriptor& d = op.descriptor;
  const bool source_lost = has_source(d.kind) && !is_member(d.root);
  const bool target_lost = d.kind == OpKind::transfer && !is_member(d.target);
  return source_lost || (target_lost && MUTANT(receiver_not_essential, true, false));
}

std::string Engine::who_is_gone(const Op& op) const {
  if (op.descriptor.kind != OpKind::transfer) {
    return "the broadcast's source is not a member any more: choose another one";
  }
  SEAWAY_MARK("a send or a receive is posted after its other end was lost");
  return op.descriptor.root == config_.self ? "who was to receive is not a member any more: choose another one"
                                            : "who was to send is not a member any more: choose another one";
}

// --- Transfer -------------------------------------------------------------------------------------------------------

// Over its two ends alone, lost ones included: the receiver is the root of every chunk.
void Engine::plan_transfer(Op& op, std::vector<PlanMember> base, std::uint64_t bytes, std::uint32_t grain) {
  std::erase_if(base, [&](const PlanMember& member) { return !op.key.is_end(member.id); });
  op.plan = make_plan(base, op.roster, bytes, grain, config_.limits);
  op.plan.one_shot = true;
  op.plan.roots.clear();
}

// --- Exchange -------------------------------------------------------------------------------------------------------

void Engine::plan_exchange(Op& op, std::span<const PlanMember> base) {
  const auto element = static_cast<std::uint32_t>(size_of(op.descriptor.dtype));
  SEAWAY_ASSERT(element > 0, "a dtype was looked at when its op was posted");
  const auto cut = [&](Portions& portions, const std::vector<Share>& list) {
    portions = {};
    portions.chunk_bytes = std::max(config_.limits.chunk_bytes / element, 1u) * element;
    for (const Share& share : list) {
      portions.add(share.peer, share.count * element);
    }
  };
  op.plan = {};
  op.plan.blocks = Blocks::exchanged;
  op.plan.one_shot = true;
  for (const PlanMember& member : base) {
    op.plan.owners.push_back(member.id);
  }
  cut(op.plan.portions, op.descriptor.receives);
  cut(op.given, op.descriptor.sends);
  op.plan.bytes = op.plan.portions.bytes;
  op.plan.chunks = op.plan.portions.chunks;
  op.plan.chunk_bytes = op.plan.portions.chunk_bytes;
}

void Engine::add_counts(const Descriptor& descriptor, PeerId peer, wire::Ready& ready) {
  ready.gives = count_for(descriptor.sends, peer);
  ready.takes = count_for(descriptor.receives, peer);
}

// Not refused here alone: only the two ends know of it, and the others wait for both.
void Engine::ask_to_abort(Op& asked, const std::string& reason) {
  Op& op = unit_of(asked);
  op.must_abort = MUTANT(differing_counts_held, true, false);
  if (op.cancel_reason.empty()) {
    op.cancel_reason = reason;
    effects_.emplace_back(AskCancel{op.key, op.cancel_reason});
  }
}

// Who posts an exchange after a loss may still name the lost one: it gives to nobody, and takes zeros. Not with on_loss = fail.
void Engine::look_for_lost(Op& op) {
  const Descriptor& d = op.descriptor;
  if (d.kind != OpKind::exchange) {
    return;
  }
  for (const std::vector<Share>* list : {&d.sends, &d.receives}) {
    for (const Share& share : *list) {
      if (is_member(share.peer)) {
        continue;
      }
      SEAWAY_MARK("an exchange is posted that names a lost member");
      if (d.fail_on_loss && !left(op.key.generation, share.peer) && MUTANT(named_lost_ignored, true, false)) {
        SEAWAY_MARK("an exchange that is to fail on a loss is posted after it");
        ask_to_abort(op, "it names a member that was lost, and it was posted with on_loss=fail");
        return;
      }
    }
  }
}

// Each end of a pair sees that they differ. A member holds only with everyone's READY, and then it has compared with everyone.
void Engine::compare_counts(Op& op) {
  const Descriptor& d = op.descriptor;
  if (d.kind != OpKind::exchange || op.contributors || unit_of(op).must_abort ||
      MUTANT(counts_not_compared, false, true)) {
    return;
  }
  for (const PeerId peer : op.roster) {
    const auto side = op.sides.find(peer);
    if (side == op.sides.end() || !side->second.ready) {
      continue;
    }
    const wire::Ready& theirs = *side->second.ready;
    wire::Ready mine;
    add_counts(d, peer, mine);
    const auto differ = [&](PeerId from, std::uint64_t gives, PeerId to, std::uint64_t takes) {
      SEAWAY_MARK("what one gives in an exchange is not what the other takes");
      ask_to_abort(op, name_of(from) + " sends " + std::to_string(gives) + " elements to " + name_of(to) +
                           ", which receives " + std::to_string(takes) + " from it: make the two alike");
    };
    if (mine.gives != theirs.takes) {
      differ(config_.self, mine.gives, peer, theirs.takes);
      return;
    }
    if (mine.takes != theirs.gives) {
      differ(peer, theirs.gives, config_.self, mine.takes);
      return;
    }
  }
}

// Also those that were lost before this member posted, and that it names.
void Engine::add_lost(Op& op) const {
  for (const std::vector<Share>* list : {&op.descriptor.sends, &op.descriptor.receives}) {
    for (const Share& share : *list) {
      const bool is_there = std::ranges::find(op.roster, share.peer) != op.roster.end();
      if (!is_there && MUTANT(named_lost_not_told, true, false) &&
          std::ranges::find(op.result.lost, share.peer) == op.result.lost.end()) {
        op.result.lost.push_back(share.peer);
      }
    }
  }
}

}  // namespace seaway::collective
