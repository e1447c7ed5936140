// Frames that arrive. A header says what a frame is; the engine says where its payload goes before a byte of it is
// read; the frame is counted as received, and acknowledged, once all of it is in.
//
//   frame         taken if                                               otherwise
//   READY, WANT   op not ended here                                      ignored
//   PART          op not ended, sender a member or not known yet,        sunk; for lack of memory: sunk, and asked
//                 no copy here, memory within the eager credit           for again once I post
//   RESULT        running, attempt equal (frozen too), from the root,    attempt lower: sunk (its try is over)
//                 no copy here                                           attempt higher: refused, I never asked
//   PARTIAL       running, attempt equal, from a gateway for me as the      as of a RESULT
//                 root, no copy here
//   HOLD, SET     kept if its attempt is not below the one kept          ignored; counts when the attempt is mine
//   LHOLD         as a HOLD: it is a sibling's of its transaction
//   any           link_seq seen: sunk. Still arriving elsewhere: that connection is dead to the sender, and closed
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/mark.h"
#include "base/mutant.h"
#include "collective/engine.h"

namespace seaway::collective {

using wire::FrameHeader;
using wire::FrameType;

void Engine::attach(PeerId peer, ConnId conn, bool control, Time now) {
  now_ = now;
  link(peer, now).attach(conn, control, now);
  connections_[conn] = {peer, {}, false};
  stir(peer);
  may_be_due_earlier();
}

bool Engine::linked(PeerId peer) const {
  const auto it = links_.find(peer);
  return it != links_.end() && it->second.connected();
}

void Engine::close_connection(ConnId conn, std::string reason) {
  const auto it = connections_.find(conn);
  if (it != connections_.end() && !std::exchange(it->second.closing, true)) {
    effects_.push_back(CloseLinkConnection{conn, std::move(reason)});
  }
}

void Engine::on_bytes(ConnId conn, Time now) {
  now_ = now;
  const auto it = connections_.find(conn);
  if (it == connections_.end()) {
    return;
  }
  const auto from = links_.find(it->second.peer);
  if (from != links_.end()) {
    from->second.heard(conn, now);
  }
  if (Op* op = find(it->second.incoming.header.op); op != nullptr && it->second.incoming.kind != Incoming::Kind::none) {
    op->progress_at = now;
  }
}

Landing Engine::on_header(ConnId conn, const FrameHeader& header, Time now) {
  now_ = now;
  const auto it = connections_.find(conn);
  if (it == connections_.end()) {
    return Refuse{"this connection is not known"};
  }
  Connection& connection = it->second;
  SEAWAY_ASSERT(connection.incoming.kind == Incoming::Kind::none, "a frame begins when the one before it has ended");
  connection.incoming = {};
  connection.incoming.header = header;
  connection.incoming.kind = Incoming::Kind::sink;
  add_ends(connection.incoming.header.op, header.direction, connection.peer);
  const auto from = links_.find(connection.peer);
  if (from == links_.end() || fenced_ || connection.closing) {
    return Sink{};
  }
  from->second.heard(conn, now);
  const bool counted = header.type != FrameType::ack && header.type != FrameType::ping;
  if (counted != (header.link_seq != 0)) {
    return Refuse{std::string("a ") + wire::name_of(header.type) + " frame with a wrong number"};
  }
  Landing landing = begin_frame(conn, connection, from->second, FrameHeader(connection.incoming.header), now);
  settle(now);
  return landing;
}

Landing Engine::begin_frame(ConnId conn, Connection& connection, Link& from, const FrameHeader& header, Time now) {
  if (header.link_seq != 0) {
    if (from.has_seen(header.link_seq)) {
      SEAWAY_MARK("duplicate frame");
      return Sink{};
    }
    if (from.is_too_far_ahead(header.link_seq)) {
      return Refuse{"too many frames after one that does not come"};
    }
    from.each_connection([&](ConnId other) {
      Connection& state = connections_.at(other);
      if (other != conn && state.incoming.counts && state.incoming.header.link_seq == header.link_seq) {
        SEAWAY_MARK("a frame comes again while its first copy is landing");
        abandon(state);
        close_connection(other, "its sender has given it up");
      }
    });
    connection.incoming.counts = true;
  }
  switch (header.type) {
    case FrameType::partial:
      return land_partial(connection, header);
    case FrameType::part:
      return land_part(connection, from, header, now);
    case FrameType::result:
      return land_result(conn, connection, header);
    case FrameType::ready:
    case FrameType::want:
    case FrameType::hold:
    case FrameType::set:
    case FrameType::lane_hold:
    case FrameType::ended:
    case FrameType::ack:
      connection.incoming.kind = Incoming::Kind::message;
      return Message{};
    case FrameType::ping:
    case FrameType::gone:
      return Sink{};
  }
  return Sink{};
}

// The op that a frame speaks of; nullptr when it has ended here, or `refusal` says why no healthy peer would say this.
Op* Engine::op_for_frame(Link& from, const FrameHeader& header, std::string& refusal) {
  if (!is_of_my_lane(header.op)) {
    refusal = "a frame of lane " + std::to_string(header.op.lane) + ", this is lane " + std::to_string(config_.lane);
    return nullptr;
  }
  if (Op* op = find(header.op)) {
    return op;
  }
  // Of a generation that I have left only a READY matters, or an LHOLD: its sender waits to hear that I passed the op.
  const bool waits = header.type == FrameType::ready || header.type == FrameType::lane_hold;
  const bool left = header.op.generation < generation_ && !waits;
  if (left || passed_or_ended(header.op)) {
    return nullptr;
  }
  if (from.unposted_ops >= config_.limits.unposted_ops) {
    refusal = "too many ops that this peer has not posted";
    return nullptr;
  }
  Op& op = find_or_create(header.op);
  op.created_by = from.peer();
  ++from.unposted_ops;
  return &op;
}

// --- PART -----------------------------------------------------------------------------------------------------------

Landing Engine::land_part(Connection& connection, Link& from, const FrameHeader& header, Time now) {
  // Of an op that is not posted here that is all there is to compare it with.
  const bool is_too_long = header.length > std::max(config_.limits.chunk_bytes, kCodecGrain);
  std::string refusal = header.length == 0 ? "a part without data"
                        : is_too_long      ? "a part that is longer than a chunk"
                                           : "";
  Op* op = refusal.empty() ? op_for_frame(from, header, refusal) : nullptr;
  if (!refusal.empty()) {
    return Refuse{refusal};
  }
  if (op == nullptr || op->ended() || op->descriptor.has_data) {
    return Sink{};
  }
  const PeerId sender = connection.peer;
  if (op->open()) {
    if (std::find(op->roster.begin(), op->roster.end(), sender) == op->roster.end()) {
      return Sink{};
    }
    if (!fits(*op, sender, header.chunk, header.length)) {
      // Its descriptor differs, which its READY will say; or it is no healthy peer, and then nothing is lost. Or nobody is left of
      // those who posted what is held here, and the sender knows already: then it is asked for again.
      Part& other = op->sides[sender].parts[header.chunk];
      if (!op->posted && other.state == Part::State::absent) {
        other.state = Part::State::dropped;
      }
      return Sink{};
    }
  }
  Side& side = op->sides[sender];
  Part& part = side.parts[header.chunk];
  if (part.state == Part::State::landing || part.state == Part::State::present) {
    return Sink{};
  }
  if (op->stage == Stage::unposted) {
    if (from.unposted_bytes + header.length > config_.limits.eager_bytes) {
      SEAWAY_MARK("a part beyond the eager credit is sunk");
      part.state = MUTANT(eager_overflow_not_asked, Part::State::dropped, Part::State::absent);
      return Sink{};
    }
    from.unposted_bytes += header.length;
    side.unposted_bytes += header.length;
  }
  op->progress_at = now;
  return land_in_slot(connection, part, header.length);
}

void Engine::part_landed(Connection& connection) {
  Incoming& incoming = connection.incoming;
  Op* op = find(incoming.header.op);
  unpin(incoming.slot);
  if (op == nullptr || op->ended()) {
    return;  // its slot went with it
  }
  const auto side = op->sides.find(connection.peer);
  if (side == op->sides.end()) {
    return;
  }
  Part& part = side->second.parts[incoming.header.chunk];
  if (part.state == Part::State::landing && part.slot == incoming.slot) {
    part.state = Part::State::present;
    if (op->contributors) {
      op->candidates.push_back(op->plan.chunk_of(connection.peer, incoming.header.chunk));
    }
    touch(op->key);
  }
}

// --- RESULT ---------------------------------------------------------------------------------------------------------

Landing Engine::land_result(ConnId conn, Connection& connection, const FrameHeader& header) {
  Op* op = find(header.op);
  if (op == nullptr || !op->open() || op->descriptor.has_data) {
    return Sink{};
  }
  const bool old = header.attempt < op->attempt && MUTANT(m9_old_result_taken, true, false);
  if (old) {
    SEAWAY_MARK("a result of an earlier attempt is sunk");
    return Sink{};
  }
  if (header.attempt > op->attempt) {
    return Refuse{"a result of an attempt that I have not said to be at"};
  }
  if (header.chunk >= op->plan.chunks || header.length != op->result_length(header.chunk) ||
      op->plan.blocks != Blocks::none ||
      (!op->plan.has_result_from(config_.self, connection.peer, header.chunk) &&
       MUTANT(m9_old_result_taken, true, false))) {
    // In a transaction an op whose calls differ is open until the master has aborted it.
    const auto side = op->sides.find(connection.peer);
    const bool is_same = side != op->sides.end() && side->second.ready && side->second.ready->digest == op->digest;
    if (op->key.is_in_transaction() && !is_same) {
      return Sink{};
    }
    return Refuse{"a result from a peer that is not its root"};
  }
  Chunk& chunk = op->chunks[header.chunk];
  if (chunk.done || chunk.aside != 0) {
    return Sink{};
  }
  Incoming& incoming = connection.incoming;
  incoming.attempt = op->attempt;
  incoming.op = op->handle;
  const bool is_plain = op->down() == Codec::none;
  if (is_plain && chunk.lease == 0 && chunk.job == 0 && op->releases == 0) {
    chunk.lease = conn;
    incoming.kind = Incoming::Kind::result;
    return Land{result_region(*op, header.chunk)};
  }
  chunk.aside = take_slot(header.length);
  chunk.aside_here = false;
  ++slots_.at(chunk.aside).pins;
  incoming.kind = Incoming::Kind::aside;
  incoming.slot = chunk.aside;
  return Land{{Buffer::slot, chunk.aside, 0, header.length}};
}

void Engine::result_landed(Connection& connection, ConnId conn) {
  Incoming& incoming = connection.incoming;
  Op* op = find(incoming.header.op);
  const bool aside = incoming.kind == Incoming::Kind::aside;
  if (aside) {
    unpin(incoming.slot);
  }
  if (op == nullptr || !op->open() || op->handle != incoming.op) {
    return;
  }
  Chunk& chunk = op->chunks[incoming.header.chunk];
  touch(op->key);
  if (aside) {
    if (chunk.aside == incoming.slot) {
      chunk.aside_here = true;
      op->candidates.push_back(incoming.header.chunk);
    }
    return;
  }
  if (chunk.lease == conn) {
    chunk.lease = 0;
  }
  if (incoming.attempt != op->attempt) {
    op->candidates.push_back(incoming.header.chunk);
  } else if (chunk.job == 0 && !chunk.done) {
    Job job;
    job.kind = JobKind::hash;
    queue_job(*op, incoming.header.chunk, std::move(job), JobFor::result);
  }
}

// --- The end of a frame ---------------------------------------------------------------------------------------------

void Engine::on_landed(ConnId conn, Time now) {
  now_ = now;
  const auto it = connections_.find(conn);
  SEAWAY_ASSERT(it != connections_.end() && it->second.incoming.kind != Incoming::Kind::none,
                "on_landed ends a frame that on_header began");
  Connection& connection = it->second;
  switch (connection.incoming.kind) {
    case Incoming::Kind::part:
      part_landed(connection);
      break;
    case Incoming::Kind::result:
    case Incoming::Kind::aside:
      result_landed(connection, conn);
      break;
    default:
      break;
  }
  const Incoming incoming = std::exchange(connection.incoming, {});
  if (Op* op = find(incoming.header.op)) {
    op->result.bytes_received += incoming.header.length;
  }
  const auto from = links_.find(connection.peer);
  if (incoming.header.link_seq != 0 && from != links_.end() && !connection.closing) {
    from->second.received(incoming.header.link_seq, now);
    stir_if_ack_is_due(from->second);
  }
  settle(now);
}

void Engine::on_message(ConnId conn, std::span<const std::byte> payload, Time now) {
  now_ = now;
  const auto it = connections_.find(conn);
  SEAWAY_ASSERT(it != connections_.end() && it->second.incoming.kind == Incoming::Kind::message,
                "on_message ends a frame that on_header called a message");
  Connection& connection = it->second;
  const FrameHeader header = connection.incoming.header;
  const auto from = links_.find(connection.peer);
  if (from == links_.end() || fenced_ || connection.closing) {
    connection.incoming = {};
    return;
  }
  connection.incoming = {};  // also of one that is refused: more may have come with it before the connection is closed
  const std::string refusal = take_message(from->second, header, payload, now);
  if (!refusal.empty()) {
    close_connection(conn, refusal);
    return;
  }
  if (header.link_seq != 0) {
    from->second.received(header.link_seq, now);
    stir_if_ack_is_due(from->second);
  }
  settle(now);
}

// "" or why the connection has to be closed.
std::string Engine::take_message(Link& from, const FrameHeader& header, std::span<const std::byte> payload, Time now) {
  const auto malformed = [&] { return std::string("a malformed ") + wire::name_of(header.type) + " frame"; };
  if (header.type == FrameType::ack) {
    const auto ack = wire::decode_payload<wire::Ack>(payload);
    if (!ack) {
      return malformed();
    }
    from.on_ack(*ack);
    return "";
  }
  const bool is_ended = header.type == FrameType::ended;
  const std::uint32_t upto = is_ended ? header.op.seq : header.chunk;  // a READY says it in passing
  if (is_ended || (header.type == FrameType::ready && upto > 0)) {
    if (!on_ended(from.peer(), header.op, upto)) {
      return "ops have ended of more tags than can be known";
    }
  }
  if (is_ended) {
    return "";
  }
  std::string refusal;
  Op* op = op_for_frame(from, header, refusal);
  if (op == nullptr) {
    return refusal;
  }
  Side& side = op->sides[from.peer()];
  side.attempt = std::max(side.attempt, header.attempt);
  side.shown = true;
  stir(from.peer());  // results may go to it now, or parts that it asks for
  op->progress_at = now;
  touch(op->key);
  if (header.type == FrameType::ready) {
    auto ready = wire::decode_payload<wire::Ready>(payload);
    if (!ready) {
      return malformed();
    }
    on_ready(*op, from, side, std::move(*ready));
  } else if (header.type == FrameType::want) {
    auto want = wire::decode_payload<wire::Want>(payload);
    if (!want) {
      return malformed();
    }
    if (op->open() && op->posted) {
      serve_want(*op, from.peer(), *want, header.attempt);
    } else if (!op->ended() && side.early_wants.size() < wire::kMaxWantRanges) {
      side.early_wants.emplace_back(header.attempt, std::move(*want));
    }
  } else if (header.type == FrameType::set) {
    auto set = wire::decode_payload<wire::ContributorSet>(payload);
    if (!set) {
      return malformed();
    }
    if (!side.set || side.set->first <= header.attempt) {
      side.set.emplace(header.attempt, std::move(*set));
    }
  } else {
    const auto hold = wire::decode_payload<wire::Hold>(payload);
    if (!hold || hold->value.attempt != header.attempt) {
      return malformed();
    }
    if (!side.hold || side.hold->attempt <= hold->value.attempt) {
      side.hold = hold->value;
    }
    if (header.type == FrameType::lane_hold && op->stage == Stage::unposted && op->key.generation < generation_) {
      passed_.insert(op->key);
    }
  }
  return "";
}

void Engine::on_ready(Op& op, Link& from, Side& side, wire::Ready ready) {
  if (side.ready) {
    return;  // it is said once
  }
  side.ready = std::move(ready);
  stop_eager(from, side);
  serve_ready(op, from.peer());
  if (op.stage == Stage::unposted && op.key.generation < generation_) {
    passed_.insert(unit_of(op.key));
  }
}

// What a connection was receiving does not arrive: the sender sends it again elsewhere.
void Engine::abandon(Connection& connection) {
  Incoming& incoming = connection.incoming;
  Op* op = find(incoming.header.op);
  if (incoming.kind == Incoming::Kind::part && op != nullptr && !op->ended()) {
    const auto side = op->sides.find(connection.peer);
    if (side != op->sides.end()) {
      Part& part = side->second.parts[incoming.header.chunk];
      if (part.state == Part::State::landing && part.slot == incoming.slot) {
        free_slot(part.slot);
        part = {};
        if (op->stage == Stage::unposted) {
          side->second.unposted_bytes -= incoming.header.length;
          links_.at(connection.peer).unposted_bytes -= incoming.header.length;
        }
      }
    }
  }
  if (incoming.kind == Incoming::Kind::aside && op != nullptr && op->open() && op->handle == incoming.op) {
    Chunk& chunk = op->chunks[incoming.header.chunk];
    if (chunk.aside == incoming.slot) {
      free_slot(std::exchange(chunk.aside, 0));
    }
  }
  incoming.counts = false;
}

void Engine::on_lost(ConnId conn, Time now) {
  now_ = now;
  const auto it = connections_.find(conn);
  if (it == connections_.end()) {
    return;
  }
  Connection& connection = it->second;
  Incoming& incoming = connection.incoming;
  if (incoming.kind != Incoming::Kind::none) {
    SEAWAY_MARK("connection lost in the middle of a frame");
  }
  if (incoming.counts) {
    abandon(connection);
  }
  if (incoming.kind == Incoming::Kind::part || incoming.kind == Incoming::Kind::aside) {
    unpin(incoming.slot);
  }
  if (incoming.kind == Incoming::Kind::result) {
    give_back_lease(conn, incoming);
  }
  const auto to = links_.find(connection.peer);
  if (to != links_.end()) {
    to->second.detach(conn, now);
    stir(connection.peer);
    may_be_due_earlier();
  }
  connections_.erase(it);
  settle(now);
}

}  // namespace seaway::collective
