#include "collective/link.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/mark.h"
#include "base/mutant.h"

namespace seaway::collective {

using wire::FrameHeader;
using wire::FrameType;

namespace {

bool is_data(const OutFrame& frame) { return frame.region.length > 0; }

}  // namespace

// --- Connections ----------------------------------------------------------------------------------------------------

void Link::attach(ConnId conn, bool control, Time now) {
  connections_.push_back({conn, control, now, now});
  heard_ = now;
}

void Link::detach(ConnId conn, Time now) {
  std::erase_if(connections_, [&](const Connection& connection) { return connection.id == conn; });
  for (std::size_t i = 0; i < sent_.size(); ++i) {
    Sent& sent = sent_[i];
    if (sent.conn == conn && !sent.acknowledged) {
      sent.conn = 0;
      SEAWAY_MARK("link repeats a frame of a broken connection");
      if (MUTANT(link_no_repeat, true, false)) {
        repeats_.push_back(first_sent_ + i);
      }
    }
  }
  // The ACK that this connection carried may be lost with it.
  ack_due_ = std::min(ack_due_, now);
}

Link::Connection* Link::find(ConnId conn) {
  const auto it = std::find_if(connections_.begin(), connections_.end(), [&](const auto& c) { return c.id == conn; });
  return it == connections_.end() ? nullptr : &*it;
}

const Link::Connection* Link::find(ConnId conn) const { return const_cast<Link*>(this)->find(conn); }

bool Link::carries_messages(ConnId conn) const {
  const Connection* connection = find(conn);
  const bool has_control =
      std::any_of(connections_.begin(), connections_.end(), [](const auto& c) { return c.control; });
  return connection != nullptr && (connection->control || !has_control);
}

bool Link::carries_data(ConnId conn) const {
  const Connection* connection = find(conn);
  const bool has_data = std::any_of(connections_.begin(), connections_.end(), [](const auto& c) { return !c.control; });
  return connection != nullptr && (!connection->control || !has_data);
}

void Link::heard(ConnId conn, Time now) {
  heard_ = now;
  if (Connection* connection = find(conn)) {
    connection->heard = now;
  }
}

std::vector<ConnId> Link::give_up_silent(Time now) {
  std::vector<ConnId> given_up;
  for (Connection& connection : connections_) {
    if (now - connection.heard >= ladder_->connection && !std::exchange(connection.given_up, true)) {
      given_up.push_back(connection.id);
    }
  }
  return given_up;
}

// --- Sending --------------------------------------------------------------------------------------------------------

void Link::queue(FrameHeader header, std::vector<std::byte> message) {
  header.length = static_cast<std::uint32_t>(message.size());
  messages_.push_back({header, std::move(message), {}});
}

void Link::queue_ended(const OpKey& tag, std::uint32_t seq, Time now) {
  const auto it = std::find_if(ended_.begin(), ended_.end(), [&](const Ended& e) { return e.tag.counts_with(tag); });
  if (it != ended_.end()) {
    it->seq = std::max(it->seq, seq);
  } else {
    ended_.push_back({tag, seq});
  }
  ended_due_ = std::min(ended_due_, now + limits_->ack_delay);
}

// A READY says as well what ENDED would say of its tag.
void Link::tell_ended_with(FrameHeader& ready) {
  const auto it =
      std::find_if(ended_.begin(), ended_.end(), [&](const Ended& e) { return e.tag.counts_with(ready.op); });
  if (it != ended_.end()) {
    ready.chunk = it->seq;
    ended_.erase(it);
    ended_due_ = ended_.empty() ? kNever : ended_due_;
  }
}

bool Link::ping_due(const Connection& connection, Time now) const {
  return now - connection.sent >= ladder_->heartbeat;
}

// The first frame to repeat that may go on this connection.
std::optional<std::uint64_t> Link::next_repeat(ConnId conn) const {
  for (const std::uint64_t seq : repeats_) {
    const Sent& sent = sent_[seq - first_sent_];
    if (carries(conn, sent.frame.region.length)) {
      return seq;
    }
  }
  return std::nullopt;
}

OutFrame Link::make_ack() {
  wire::Ack ack{received_upto_, {}, offer_};
  for (const std::uint64_t seq : received_beyond_) {
    const std::uint64_t bit = seq - received_upto_ - 2;
    if (bit / 64 >= wire::kMaxAckWords) {
      break;  // told as soon as what is missing before it has come
    }
    ack.beyond.resize(std::max<std::size_t>(ack.beyond.size(), bit / 64 + 1));
    ack.beyond[bit / 64] |= std::uint64_t{1} << (bit % 64);
  }
  ack_due_ = kNever;
  unacknowledged_ = 0;
  FrameHeader header;
  header.type = FrameType::ack;
  std::vector<std::byte> message = wire::encode_payload(ack);
  header.length = static_cast<std::uint32_t>(message.size());
  return {header, std::move(message), {}};
}

OutFrame Link::send(Connection& connection, OutFrame frame, Time now) {
  connection.sent = now;
  if (frame.header.op.has_two_ends()) {
    frame.header.direction = frame.header.op.target == peer_ ? wire::Direction::forward : wire::Direction::backward;
  }
  frame.header.link_seq = next_seq_++;
  sent_.push_back({frame, connection.id, false});
  return frame;
}

std::optional<OutFrame> Link::pull(ConnId conn, const Epoch& epoch, Time now) {
  Connection* connection = find(conn);
  if (connection == nullptr) {
    return std::nullopt;
  }
  if (carries_messages(conn) && ack_is_due(now)) {
    connection->sent = now;
    return make_ack();
  }
  if (const auto seq = next_repeat(conn)) {
    std::erase(repeats_, *seq);
    Sent& sent = sent_[*seq - first_sent_];
    sent.conn = conn;
    connection->sent = now;
    if (is_data(sent.frame)) {
      repeated_[sent.frame.region.owner] += sent.frame.region.length;
    }
    return sent.frame;
  }
  if (carries_messages(conn)) {
    if (!messages_.empty()) {
      OutFrame frame = std::move(messages_.front());
      messages_.pop_front();
      frame.header.epoch = epoch;
      if (frame.header.type == FrameType::ready) {
        tell_ended_with(frame.header);
      }
      return send(*connection, std::move(frame), now);
    }
    if (ended_due_ <= now) {
      OutFrame frame;
      frame.header.type = FrameType::ended;
      frame.header.op = ended_.back().tag;
      frame.header.op.seq = ended_.back().seq;
      frame.header.epoch = epoch;
      ended_.pop_back();
      ended_due_ = ended_.empty() ? kNever : ended_due_;
      return send(*connection, std::move(frame), now);
    }
  }
  if (ping_due(*connection, now)) {
    connection->sent = now;
    return OutFrame{};
  }
  return std::nullopt;
}

OutFrame Link::push_data(ConnId conn, FrameHeader header, const Region& region, Time now) {
  Connection* connection = find(conn);
  SEAWAY_ASSERT(connection != nullptr, "a frame is sent on a connection of its link");
  header.length = region.length;
  return send(*connection, {header, {}, region}, now);
}

bool Link::wants_to_send(ConnId conn, Time now) const {
  const Connection* connection = find(conn);
  if (connection == nullptr) {
    return false;
  }
  if (carries_messages(conn) && (!messages_.empty() || ended_due_ <= now || ack_is_due(now))) {
    return true;
  }
  return ping_due(*connection, now) || (!repeats_.empty() && next_repeat(conn).has_value());
}

bool Link::is_due(Time now) const {
  return ack_is_due(now) || ended_due_ <= now ||
         std::any_of(connections_.begin(), connections_.end(), [&](const auto& c) { return ping_due(c, now); });
}

void Link::on_ack(const wire::Ack& ack) {
  offered_ = ack.offer;
  const auto acknowledge = [&](std::uint64_t seq) {
    if (seq >= first_sent_ && seq < next_seq_) {
      sent_[seq - first_sent_].acknowledged = true;
    }
  };
  for (std::uint64_t seq = first_sent_; seq <= ack.upto && seq < next_seq_; ++seq) {
    acknowledge(seq);
  }
  for (std::size_t bit = 0; bit < ack.beyond.size() * 64; ++bit) {
    if ((ack.beyond[bit / 64] >> (bit % 64) & 1) != 0) {
      acknowledge(ack.upto + 2 + bit);
    }
  }
  std::erase_if(repeats_, [&](std::uint64_t seq) { return sent_[seq - first_sent_].acknowledged; });
  while (!sent_.empty() && sent_.front().acknowledged) {
    sent_.pop_front();
    ++first_sent_;
  }
}

void Link::drop(Sent& sent) {
  sent.frame.header.type = FrameType::gone;
  sent.frame.header.length = 0;
  sent.frame.region = {};
}

void Link::drop_payload(OpHandle op) {
  for (Sent& sent : sent_) {
    if (is_data(sent.frame) && sent.frame.region.owner == op) {
      drop(sent);
    }
  }
  repeated_.erase(op);
}

void Link::drop_results(OpHandle op) {
  for (Sent& sent : sent_) {
    const FrameType type = sent.frame.header.type;
    if ((type == FrameType::result || type == FrameType::partial) && sent.frame.region.owner == op) {
      drop(sent);
    }
  }
}

std::uint64_t Link::repeated_bytes(OpHandle op) const {
  const auto it = repeated_.find(op);
  return it == repeated_.end() ? 0 : it->second;
}

// --- Receiving ------------------------------------------------------------------------------------------------------

bool Link::has_seen(std::uint64_t link_seq) const {
  return link_seq <= received_upto_ || received_beyond_.contains(link_seq);
}

void Link::received(std::uint64_t link_seq, Time now) {
  if (has_seen(link_seq)) {
    ack_due_ = std::min(ack_due_, now);  // it was repeated, so the sender does not know
    return;
  }
  if (link_seq == received_upto_ + 1) {
    ++received_upto_;
  } else {
    received_beyond_.insert(link_seq);
  }
  while (!received_beyond_.empty() && *received_beyond_.begin() == received_upto_ + 1) {
    received_beyond_.erase(received_beyond_.begin());
    ++received_upto_;
  }
  ++unacknowledged_;
  ack_due_ = std::min(ack_due_, now + limits_->ack_delay);
}

Time Link::deadline(Time now) const {
  Time due = kNever;
  const auto consider = [&](Time when) { due = when > now ? std::min(due, when) : due; };
  if (!connections_.empty()) {
    consider(ack_due_);
    consider(ended_due_);
  }
  for (const Connection& connection : connections_) {
    consider(connection.sent + ladder_->heartbeat);
    if (!connection.given_up) {
      due = std::min(due, connection.heard + ladder_->connection);
    }
  }
  return due;
}

}  // namespace seaway::collective
