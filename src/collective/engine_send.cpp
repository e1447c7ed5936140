// Frames that leave. They are made when a connection can take them (late binding): first what the link has (an ACK that
// is due, frames to repeat, messages), then of the op whose turn it is (turns.h) results, then parts.
//
// A part goes to a root that asked for it, or, until that root's READY is here, within the link's eager credit. A
// result goes to who has shown to be at the attempt, so that nobody ever has to park one; so does a site's sum, which was asked for.
#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "base/mark.h"
#include "base/mutant.h"
#include "collective/engine.h"

namespace seaway::collective {

using wire::FrameHeader;
using wire::FrameType;

namespace {

constexpr std::size_t kMostFrames = 8;  // of one pull: one sendmsg

bool gives_parts(const Op& op, PeerId self) {
  return op.open() && op.posted && may_contribute(op.key, op.standing) &&
         (!has_source(op.descriptor.kind) || op.descriptor.root == self);
}

// Whether or not it may go now.
bool has_queued_for(const Op& op, PeerId peer) {
  const auto side = op.sides.find(peer);
  return op.open() && side != op.sides.end() &&
         !(side->second.results.empty() && side->second.partials.empty() && side->second.wanted.empty() &&
           side->second.eager.empty());
}

bool may_go(const Op& op, PeerId to, const ChunkQueue& parts) {
  return !parts.empty() && op.encoded(op.own_part(to, parts.front()));
}

bool may_have_results(const Op& op, const Side& side) {
  return !side.results.empty() &&
         ((side.shown && side.attempt == op.attempt) || MUTANT(result_before_shown, false, true));
}

}  // namespace

std::size_t Engine::pull(ConnId conn, std::size_t max_bytes, std::vector<OutFrame>& frames, Time now) {
  now_ = now;
  const auto it = connections_.find(conn);
  if (it == connections_.end() || fenced_ || it->second.closing) {
    return 0;
  }
  const auto to = links_.find(it->second.peer);
  if (to == links_.end()) {
    return 0;
  }
  std::size_t bytes = 0;
  std::size_t count = 0;
  while (count < kMostFrames && (count == 0 || bytes < max_bytes)) {
    std::optional<OutFrame> frame = to->second.pull(conn, epoch_, now);
    if (!frame) {
      frame = next_data(conn, it->second.peer, to->second, now);
    }
    if (!frame) {
      break;
    }
    bytes += wire::kFrameHeaderBytes + frame->header.length;
    ++count;
    frames.push_back(std::move(*frame));
  }
  if (count > 0) {
    may_be_due(to->second.deadline(now));  // the next PING
  }
  return count;
}

bool Engine::wants_to_send(ConnId conn) const {
  const auto it = connections_.find(conn);
  if (it == connections_.end() || fenced_ || it->second.closing) {
    return false;
  }
  const auto to = links_.find(it->second.peer);
  return to != links_.end() &&
         (to->second.wants_to_send(conn, now_) || has_data_for(conn, it->second.peer, to->second));
}

void Engine::take_stirred(std::vector<ConnId>& conns) {
  if (stirred_.empty()) {
    return;
  }
  std::sort(stirred_.begin(), stirred_.end());
  stirred_.erase(std::unique(stirred_.begin(), stirred_.end()), stirred_.end());
  for (const PeerId peer : stirred_) {
    if (const auto it = links_.find(peer); it != links_.end()) {
      it->second.each_connection([&](ConnId conn) { conns.push_back(conn); });
    }
  }
  stirred_.clear();
}

void Engine::stir_if_ack_is_due(const Link& to) {
  if (to.ack_is_due(now_)) {
    stir(to.peer());
  }
  may_be_due(to.deadline(now_));
}

void Engine::set_offer(PeerId peer, const wire::Offer& offer) {
  if (const auto it = links_.find(peer); it != links_.end()) {
    it->second.set_offer(offer);
  }
}

wire::Offer Engine::offered_by(PeerId peer) const {
  const auto it = links_.find(peer);
  return it == links_.end() ? wire::Offer{} : it->second.offered();
}

// The op has queued something for the peer; it takes its turns until it has nothing left.
void Engine::offer(const Op& op, PeerId peer) {
  if (const auto to = links_.find(peer); to != links_.end()) {
    to->second.turns.add(op.descriptor.priority, op.handle);
    stir(peer);
  }
}

bool Engine::has_data_for(ConnId conn, PeerId peer, const Link& to) const {
  return to.turns.any([&](OpHandle op) { return has_data_for(op, conn, peer, to); });
}

bool Engine::has_data_for(OpHandle handle, ConnId conn, PeerId peer, const Link& to) const {
  const auto key = handles_.find(handle);
  if (key == handles_.end()) {
    return false;
  }
  const Op& op = ops_.at(key->second);
  return to.carries(conn, op.data_bytes()) && has_data_for(op, peer, to);
}

bool Engine::has_data_for(const Op& op, PeerId peer, const Link& to) const {
  const auto it = op.sides.find(peer);
  if (!op.open() || it == op.sides.end()) {
    return false;
  }
  const Side& side = it->second;
  return may_have_results(op, side) || !side.partials.empty() || may_go(op, peer, side.wanted) ||
         (may_go(op, peer, side.eager) &&
          to.eager_used + op.sent_length(peer, side.eager.front()) <= config_.limits.eager_bytes);
}

std::optional<OutFrame> Engine::next_data(ConnId conn, PeerId peer, Link& to, Time now) {
  const OpHandle next = to.turns.next([&](OpHandle op) { return has_data_for(op, conn, peer, to); },
                                      [&](OpHandle handle) {
                                        const Op* op = find(handle);
                                        return op == nullptr || !has_queued_for(*op, peer);
                                      });
  return next == 0 ? std::nullopt : std::optional(next_data_of(*find(next), conn, peer, to, now));
}

OutFrame Engine::next_data_of(Op& op, ConnId conn, PeerId peer, Link& to, Time now) {
  Side& side = op.sides.at(peer);
  FrameHeader header;
  header.op = op.key;
  header.epoch = epoch_;
  Region region{Buffer::input, op.handle, 0, 0};
  if (may_have_results(op, side)) {
    header.type = FrameType::result;
    header.attempt = op.attempt;
    header.chunk = side.results.front();
    side.results.pop_front();
    region = sent_result_region(op, header.chunk);
  } else if (!side.partials.empty()) {
    header.type = FrameType::partial;
    header.attempt = op.attempt;
    header.chunk = side.partials.front();
    side.partials.pop_front();
    region = partial_region(op, header.chunk);
  } else {
    const bool asked = may_go(op, peer, side.wanted);
    ChunkQueue& parts = asked ? side.wanted : side.eager;
    header.type = FrameType::part;
    header.chunk = parts.front();
    parts.pop_front();
    encode_next(op, peer, parts);
    region = part_region(op, op.own_part(peer, header.chunk));
    side.sent[header.chunk] = true;
    if (!asked) {
      side.eager_bytes += region.length;
      to.eager_used += region.length;
    }
  }
  op.result.bytes_sent += region.length;
  if (op.result.attempts > 1) {
    op.result.bytes_resent += region.length;
  }
  op.progress_at = now;
  return to.push_data(conn, header, region, now);
}

// What a root that has posted what I did will ask for.
std::vector<std::uint32_t> Engine::parts_to(const Op& op, PeerId peer) const {
  if (op.plan.blocks == Blocks::exchanged) {
    std::vector<std::uint32_t> numbers(op.parts_for(peer));
    std::iota(numbers.begin(), numbers.end(), 0u);
    return numbers;
  }
  std::vector<std::uint32_t> parts = op.plan.chunks_of(peer);
  std::erase_if(parts, [&](std::uint32_t chunk) {
    return op.plan.sends_partials(config_.self, peer) ||
           (op.plan.is_selective() && !op.plan.sends(config_.self, peer, chunk));
  });
  return parts;
}

// Until a root's READY is here, nobody knows whether it has posted: within the link's credit its parts go at once. Not of a state
// sync's broadcasts: many a member has the data already, and its READY says so.
void Engine::queue_eager(Op& op) {
  const bool may_be_there = has_source(op.descriptor.kind) && is_librarys(op.key);
  if (!gives_parts(op, config_.self) || may_be_there) {
    return;
  }
  for (const PeerId peer : op.roster) {
    if (peer == config_.self) {
      continue;
    }
    Side& side = op.sides[peer];
    side.sent.resize(op.parts_for(peer));
    if (!side.ready) {
      side.eager.append(parts_to(op, peer));
      encode_next(op, peer, side.eager);
      offer(op, peer);
    }
  }
}

// Its READY is here: from now on it asks for what it wants, and what it kept in credit is its op's.
void Engine::stop_eager(Link& to, Side& side) {
  side.eager.clear();
  stir(to.peer());  // another op's eager parts may fit now
  to.eager_used -= MUTANT(eager_credit_not_returned, std::exchange(side.eager_bytes, 0), 0);
}

// Of a small op everybody is root of every chunk: a READY needs no WANT beside it.
void Engine::serve_ready(Op& op, PeerId peer) {
  if (op.open() && op.plan.ready_asks && op.plan.chunks > 0 && !op.sides.at(peer).ready->has_data) {
    serve_want(op, peer, {{{0, op.plan.chunks}}, false}, op.attempt);
  }
}

void Engine::serve_want(Op& op, PeerId peer, const wire::Want& want, Cut attempt) {
  Side& side = op.sides.at(peer);
  if (op.plan.sends_partials(config_.self, peer)) {
    want_sums(op, peer, want, attempt);
    return;
  }
  if (!gives_parts(op, config_.self)) {
    return;
  }
  side.sent.resize(op.parts_for(peer));
  const bool has_owners = op.plan.blocks != Blocks::none && op.plan.blocks != Blocks::exchanged;
  for (const wire::ChunkRange& range : want.ranges) {
    for (std::uint64_t chunk = range.first; chunk < std::uint64_t{range.first} + range.count; ++chunk) {
      if (chunk >= side.sent.size()) {
        break;
      }
      if (has_owners && !op.plan.sends(config_.self, peer, static_cast<std::uint32_t>(chunk))) {
        continue;  // READY asks for all of a small op
      }
      if (!side.sent[chunk] || (want.again && MUTANT(want_again_ignored, true, false))) {
        side.sent[chunk] = true;
        side.wanted.push_back(static_cast<std::uint32_t>(chunk));
      }
    }
  }
  encode_next(op, peer, side.wanted);
  offer(op, peer);
  // What is asked for is not also sent without being asked.
  side.eager.remove_if([&](std::uint32_t chunk) { return side.sent[chunk]; });
  encode_next(op, peer, side.eager);
}

}  // namespace seaway::collective
