// One link: all connections to one peer, and the frames of both directions. Frames are numbered; what was sent on a
// connection that broke before it was acknowledged is sent again on another, and the receiver drops what it has. An op
// never notices.
//
//   connection lost    its frames that are not acknowledged are sent again first; an ACK is due, as one may be lost
//   frame arrives      new: delivered once its payload is in, then counted; seen: sunk
//                      still arriving on another connection: that one is dead to the sender, so it is closed
//   every ack_every frames or ack_delay: ACK(upto, beyond); itself not counted and never repeated
//   nothing sent for a heartbeat: PING on that connection; nothing heard for ladder.connection: it is given up
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/ids.h"
#include "base/limits.h"
#include "base/time.h"
#include "collective/boundary.h"
#include "collective/turns.h"
#include "wire/frame.h"

namespace seaway::collective {

class Link {
 public:
  Link(PeerId peer, const Limits& limits, const Ladder& ladder, Time now)
      : peer_(peer), limits_(&limits), ladder_(&ladder), heard_(now) {}

  PeerId peer() const { return peer_; }

  // --- Connections ---
  void attach(ConnId conn, bool control, Time now);
  void detach(ConnId conn, Time now);  // lost: what it carried is queued again
  bool connected() const { return !connections_.empty(); }
  bool carries_messages(ConnId conn) const;  // the control connection, or any while there is none
  bool carries_data(ConnId conn) const;      // the data connections, or any while there is none
  // Few bytes of data travel with the messages: READY and PART then leave in one system call and wake the other end up once,
  // and no heartbeat waits behind them.
  bool carries(ConnId conn, std::uint64_t data_bytes) const {
    return data_bytes <= limits_->small_bytes ? carries_messages(conn) : carries_data(conn);
  }
  void heard(ConnId conn, Time now);
  Time last_heard() const { return heard_; }
  // Connections that were silent for too long, each said once; the caller closes them.
  std::vector<ConnId> give_up_silent(Time now);

  // --- Sending ---
  void queue(wire::FrameHeader header, std::vector<std::byte> message);
  // Tells that all ops of this tag below `seq` have ended here: with the next READY of the tag, or after ack_delay.
  void queue_ended(const OpKey& tag, std::uint32_t seq, Time now);
  // The next frame that needs no op: an ACK that is due, a frame to repeat, a message, a PING.
  std::optional<OutFrame> pull(ConnId conn, const Epoch& epoch, Time now);
  // A frame with payload, made by an op; counts it and keeps it until it is acknowledged.
  OutFrame push_data(ConnId conn, wire::FrameHeader header, const Region& region, Time now);
  bool wants_to_send(ConnId conn, Time now) const;
  bool ack_is_due(Time now) const { return ack_due_ <= now || unacknowledged_ >= limits_->ack_every; }
  bool is_due(Time now) const;  // something that waited for its time: an ACK, ENDED, a PING
  template <class What>
  void each_connection(What what) const {
    for (const Connection& connection : connections_) {
      what(connection.id);
    }
  }
  void on_ack(const wire::Ack& ack);
  // The op's buffers go back to the caller: its frames are no longer needed, GONE stands for them if they are repeated.
  void drop_payload(OpHandle op);
  void drop_results(OpHandle op);  // and sums: those of an attempt that is over
  std::uint64_t repeated_bytes(OpHandle op) const;

  // Travels with every ACK.
  void set_offer(const wire::Offer& offer) { offer_ = offer; }
  const wire::Offer& offered() const { return offered_; }  // by the other end

  // --- Receiving ---
  bool has_seen(std::uint64_t link_seq) const;
  // A frame that would come after more than may be kept in mind while earlier ones are missing.
  bool is_too_far_ahead(std::uint64_t link_seq) const {
    return link_seq != received_upto_ + 1 && received_beyond_.size() >= limits_->frames_ahead;
  }
  bool has_received() const { return received_upto_ > 0 || !received_beyond_.empty(); }
  void received(std::uint64_t link_seq, Time now);

  // When something becomes due that is not yet. What is due already shows in wants_to_send.
  Time deadline(Time now) const;

  Turns turns;                       // of ops that may have results or parts for the peer
  std::uint64_t eager_used = 0;      // bytes of parts sent for ops that the peer is not known to have posted
  std::uint64_t unposted_bytes = 0;  // bytes of its parts that I keep for ops that I have not posted
  std::uint32_t unposted_ops = 0;    // ops that exist here only because of its frames

 private:
  struct Connection {
    ConnId id = 0;
    bool control = false;
    Time heard = 0;
    Time sent = 0;
    bool given_up = false;
  };
  struct Sent {
    OutFrame frame;
    ConnId conn = 0;  // 0: waits to be sent again
    bool acknowledged = false;
  };
  struct Ended {
    OpKey tag;
    std::uint32_t seq = 0;
  };

  Connection* find(ConnId conn);
  const Connection* find(ConnId conn) const;
  OutFrame send(Connection& connection, OutFrame frame, Time now);
  std::optional<std::uint64_t> next_repeat(ConnId conn) const;
  OutFrame make_ack();
  void tell_ended_with(wire::FrameHeader& ready);
  void drop(Sent& sent);
  bool ping_due(const Connection& connection, Time now) const;

  PeerId peer_;
  const Limits* limits_;
  const Ladder* ladder_;
  std::vector<Connection> connections_;  // few: searched
  Time heard_;

  std::uint64_t next_seq_ = 1;
  std::uint64_t first_sent_ = 1;  // link_seq of sent_.front()
  std::deque<Sent> sent_;
  std::deque<std::uint64_t> repeats_;
  std::deque<OutFrame> messages_;
  std::vector<Ended> ended_;
  Time ended_due_ = kNever;
  std::map<OpHandle, std::uint64_t> repeated_;
  wire::Offer offer_;
  wire::Offer offered_;

  std::uint64_t received_upto_ = 0;
  std::set<std::uint64_t> received_beyond_;
  std::uint32_t unacknowledged_ = 0;
  Time ack_due_ = kNever;
};

}  // namespace seaway::collective
