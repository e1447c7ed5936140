// The peer's half of membership: what it tells the master, when it freezes and reports, where it waits for a join, whom
// it dials. It owns the op engine and is the only one to tell it about epochs.
//
// It does no I/O. Whoever owns it (runtime, simulator) feeds it what happened, performs its effects in order, calls
// `tick` at `deadline()`, and talks to `engine()` about frames, payload and jobs. Connections it tells only to the peer
// (on_linked, on_link_lost), which attaches them to the engine or takes them off.
//
// After every call to it or to `engine()`: `drain_engine`, then `take_effects`.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/time.h"
#include "collective/engine.h"
#include "wire/messages.h"

namespace seaway::core {

struct PeerConfig {
  Uuid run;  // all zero: whatever the master has
  Uuid uuid;
  PeerId id = kNoPeer;  // this incarnation; a peer that joins again after an eviction is a new Peer object
  std::string name;
  std::uint32_t replica = 0;
  std::uint16_t lane = 0;
  std::uint16_t lanes = 1;
  std::uint32_t min_world = 1;
  std::uint32_t rate_mbps = 0;
  std::vector<std::string> addresses;
  std::string site;                    // a label; empty: a site of its own
  std::uint32_t data_connections = 1;  // K of every link that I dial
  bool more_connections = false;       // as many more as either end finds that it needs (want_connections)
  Limits limits;
  Ladder ladder;
  bool certificates = false;  // every connection to a peer shows one
};

enum class PeerStage : std::uint8_t {
  idle = 1,     // join was not called
  joining = 2,  // waits to be admitted
  member = 3,
  leaving = 4,  // leave was called: own ops end first
  gone = 5,     // left, evicted, refused or fenced: this incarnation is over
};

// --- Effects, in order ----------------------------------------------------------------------------------------------

struct ConnectMaster {};  // answer with on_master_connected or on_master_lost
struct SendToMaster {
  wire::PeerMessage message;
};
struct CloseMaster {  // after what was sent before; the attempt to connect too. Not answered with on_master_lost
  std::string reason;
};
// Dial one connection of the link to `peer`. Answer with on_linked (dialled) or on_dial_failed. With a relay: at its addresses,
// where the peer comes too; at the one whose id is the smaller of both answer with on_met there, it is the other that goes on.
struct Dial {
  PeerId peer = kNoPeer;
  std::vector<std::string> addresses;
  bool control = false;
  PeerId relay = kNoPeer;
};
// One connection that is not needed any more. Answer with on_link_lost (closed).
struct DropConnection {
  ConnId conn = 0;
  std::string reason;
};
// All connections to a peer that is no longer (or never was) one of us, and attempts at them. Needs no answer.
struct CloseConnectionTo {
  PeerId peer = kNoPeer;
  std::string reason;
};
// For the caller.
struct Joined {  // join succeeded; epoch() and generation() say what I am a member of
  std::uint64_t update_count = 0;
};
struct JoinRefused {
  std::string reason;
};
struct JoinAnew {};      // lost before it knew of its admission: another incarnation is to join in its place
struct EpochChanged {};  // a newer epoch was taken: roster() may be another
struct UpdateDone {      // the update that the caller waits in returns
  std::uint64_t update_count = 0;
  bool new_generation = false;  // a generation began here
};
struct EvictedFromRun {
  std::string reason;
};
struct LeftRun {};
struct LogLine {
  std::string text;
};
using PeerEffect =
    std::variant<ConnectMaster, SendToMaster, CloseMaster, Dial, DropConnection, CloseConnectionTo, Joined, JoinRefused,
                 JoinAnew, EpochChanged, UpdateDone, EvictedFromRun, LeftRun, LogLine>;

class Peer {
 public:
  Peer(PeerConfig config, Random random);

  // --- The caller's calls ------------------------------------------------------------------------------------------

  void join(Time now);
  // The one point where others join. Always ends in UpdateDone (at once when nobody is pending) or in the end of this
  // incarnation. One at a time.
  void update(Time now);
  // Ends or cancels my ops, then leaves; ends in LeftRun (EvictedFromRun if that comes first). Without a master: after
  // `evict` anyway.
  void leave(Time now);
  // Fence myself without a master: open ops end UNDECIDED, no frame leaves any more. What destroy does.
  void fence(const std::string& reason, Time now);
  void synced(std::uint64_t revision, Time now);  // a state sync committed at me
  // With `more_connections`: so many would carry more to this peer. The end that dials hears of it by the other's ACKs.
  void want_connections(PeerId peer, std::uint32_t data_connections, Time now);
  // What my links together were seen to carry each way, in Mbit/s; 0: not known. The next heartbeat says so.
  void measured(std::uint32_t rate_mbps) { measured_mbps_ = rate_mbps; }

  // --- The master's connection -------------------------------------------------------------------------------------

  void on_master_connected(Time now);
  void on_master_message(const wire::MasterMessage& message, Time now);
  void on_master_lost(Time now);

  // --- Connections between peers -----------------------------------------------------------------------------------

  // May a connection whose hello says this be taken, and whose other end is certified as that? "" or the reason in words why not.
  // A certificate that has expired is as good as its key: while the master cannot renew it, the roster vouches for the key.
  std::string accept(const wire::LinkHello& hello, const std::optional<Certified>& certified, Time now);
  // The same of one whose hello names me as the relay: whether I bring these two together.
  std::string may_relay(const wire::LinkHello& hello, const std::optional<Certified>& certified) const;
  // Both hellos were exchanged, whoever dialled.
  void on_linked(PeerId peer, ConnId conn, bool control, bool dialled, Time now, bool relayed = false);
  void on_dial_failed(PeerId peer, bool control, Time now, bool relayed = false);
  void on_met(PeerId peer, bool control, Time now);  // at a relay; the other end's hello comes over it
  // A connection is gone; closed: by FIN or RST from the other end.
  void on_link_lost(PeerId peer, ConnId conn, bool control, bool closed, Time now);

  // --- Time and state ----------------------------------------------------------------------------------------------

  void tick(Time now);
  Time deadline() const;  // covers the engine's
  std::vector<PeerEffect> take_effects();

  collective::Engine& engine() { return engine_; }
  const collective::Engine& engine() const { return engine_; }
  // After calls to engine() made directly: forwards what the engine wants from the master. Engine effects that are not
  // membership's (OpEnded, Release, Detach, FreeSlot, CloseLinkConnection) are appended to `rest`.
  void drain_engine(std::vector<collective::EngineEffect>& rest, Time now);

  PeerStage stage() const;
  const std::vector<wire::MemberInfo>& roster() const;                       // of the last epoch taken
  const std::optional<wire::EpochMessage>& taken() const { return taken_; }  // the last EPOCH taken
  Epoch epoch() const;
  Cut cut() const;
  std::uint64_t term() const;
  std::uint32_t generation() const;
  std::uint64_t update_count() const;
  // Of my lane, in the base of my generation, lost ones too: the same list at everyone whose program is at this point.
  std::vector<PeerId> base() const;
  bool is_synced() const;         // false: it joined a run that had begun, and no state sync has committed at it
  std::string waits_for() const;  // of join and update: in words
  void check_invariants() const;

 private:
  enum class Line : std::uint8_t { down = 1, connecting = 2, up = 3 };

  // The connection to the master.
  struct MasterLine {
    Line line = Line::down;
    Time heard = 0;           // when the master last said anything, or took the connection
    Time next_heartbeat = 0;  // while up
    Time next_attempt = 0;    // while down
    Duration backoff = 0;     // before the last attempt; 0: the last connection was good
    std::uint32_t attempts = 0;
  };

  // The connections of one link that are of one kind, control or data, as far as I dial them.
  struct Dialling {
    std::uint32_t under_way = 0;
    Time next = 0;
    Duration backoff = 0;
    std::size_t relays_tried = 0;  // in vain, one after the other
  };
  struct Connection {
    bool control = false;
    bool dialled = false;  // by me, so mine to redial
    bool relayed = false;
  };

  // All that is known of one other peer of my lane or of my replica, member or introduced. Who left is erased here and
  // nowhere else.
  struct Link {
    wire::MemberInfo info;
    bool member = false;   // in the roster; false: introduced only. Follows from taken_, kept by relink
    bool sibling = false;  // another lane of my replica: one control connection, and no data
    std::map<ConnId, Connection> connections;
    Dialling diallings[2][2];  // [control][relayed]
    Dialling& dialling(bool control, bool relayed) { return diallings[control ? 1 : 0][relayed ? 1 : 0]; }
    const Dialling& dialling(bool control, bool relayed) const { return diallings[control ? 1 : 0][relayed ? 1 : 0]; }
    Time empty_since = 0;      // without any connection since then
    Time cut_since = 0;        // without one that goes straight to it
    Time stall_said = 0;       // LOST (stalled) was sent; 0: never
    std::uint32_t wanted = 0;  // connections for data that its owner finds it needs
    bool was_linked = false;
    bool dialled_before = false;  // a connection that I dialled came about: mine to redial, whatever the rule says
    bool silent = false;          // a connection was given up after silence, and none has come about since
    bool lost_said = false;       // the master was told LOST (closed), and not that the link is back
    bool given_up_said = false;
  };

  // peer.cpp: the master's connection, endings, time
  void settle(Time now);
  void settle_master(Time now);
  void settle_leave(Time now);
  void lose_master(Time now);
  bool tell_master(wire::PeerMessage message);
  void say_hello();
  void end(collective::Outcome outcome, const std::string& reason, Time now);
  void end_by_master(const std::string& reason, bool refused, Time now);
  bool end_if_contradicted(Time now);
  void collect_engine(Time now);
  void ask_for(const collective::EngineEffect& effect, Time now);
  void log(std::string text);
  Duration jittered(Duration backoff);
  Duration longer(Duration backoff, Duration longest) const;
  const Ladder& ladder() const { return ladder_; }
  Time leave_deadline() const;
  Time own_deadline() const;

  // peer_epoch.cpp: what the master says, update
  void on(const wire::EpochMessage& message, Time now);
  void on(const wire::Resolve& message, Time now);
  void on(const wire::Ask& message, Time now);
  void on(const wire::CancelAsk& message, Time now);
  void on(const wire::Introduce& message, Time now);
  void on(const wire::Waiting& message, Time now);
  void on(const wire::Refused& message, Time now);
  void on(const wire::Evicted& message, Time now);
  void on(const wire::HeartbeatReply& message, Time now);
  std::string impossible(const wire::EpochMessage& message) const;
  std::string contradicts_taken(const wire::EpochMessage& message) const;
  void take_epoch(const wire::EpochMessage& message, Time now);
  void become_member(const wire::MemberInfo& self, Time now);
  void release_promise(const wire::EpochMessage& message);
  void report();
  void repeat_requests(Time now);
  bool adopted(std::uint64_t term, Epoch epoch) const;
  std::uint32_t newest_generation() const;
  void advance_generation(Time now);
  void settle_update(Time now);

  // peer_links.cpp: who dials whom
  void introduce(const wire::MemberInfo& info, Time now);
  void relink(const std::vector<wire::MemberInfo>& before, Time now);
  void forget(PeerId peer, const std::string& reason, Time now);
  void settle_links(Time now);
  void dial_missing(PeerId peer, Link& link, bool control, Time now);
  void say_lost(PeerId peer, Link& link);
  void say_back(Link& link);
  std::vector<PeerId> linked_peers() const;
  void say_linked(bool heartbeat);
  static std::uint32_t age(std::uint32_t generation);
  bool is_sibling(const wire::MemberInfo& info) const;
  bool links_to(const wire::MemberInfo& info) const { return info.lane == config_.lane || is_sibling(info); }
  bool dials_by_rule(const Link& link) const;
  bool dials(const Link& link, Time now) const;
  Time link_deadline(const Link& link) const;
  std::uint32_t wanted(const Link& link, bool control) const;
  static std::uint32_t count(const Link& link, bool control);  // of those that go straight to it
  static bool is_cut(const Link& link) { return count(link, true) == 0 && count(link, false) == 0; }
  static bool can_run(const Link& link);
  const wire::MemberInfo* in_roster(PeerId peer) const;
  std::string links_missing() const;

  // peer_relays.cpp: links over a third peer
  static bool is_relayed(const Link& link, bool control);
  std::string not_known(const wire::LinkHello& hello, const std::optional<Certified>& certified) const;
  std::vector<PeerId> relays_to(PeerId peer) const;
  void dial_relay(PeerId peer, Link& link, bool control, Time now);
  void relay_failed(PeerId peer, Dialling& dialling, Time now);
  void close_relayed(const Link& link, bool control);
  Time relay_deadline(const Link& link) const;

  PeerConfig config_;
  Random random_;
  collective::Engine engine_;
  std::vector<PeerEffect> effects_;
  std::vector<collective::EngineEffect> engine_effects_;  // those that drain_engine hands on
  Ladder ladder_;                                         // the master's once it has told; before, the caller's
  mutable std::optional<Time> own_due_;                   // the deadline without the engine's; nothing: not known

  PeerStage stage_ = PeerStage::idle;
  MasterLine master_;
  std::string waiting_reason_;  // the master's words while joining
  Time leave_called_ = 0;

  std::optional<wire::EpochMessage> taken_;  // the last EPOCH taken; its term is mine
  bool resolved_ = false;                    // RESOLVE of taken_->cut was taken
  std::uint64_t count_ = 0;                  // updates passed; an update that waits is not passed
  std::uint32_t generation_ = 0;
  std::uint32_t admitted_in_ = 0;  // the generation of the join that admitted me; 0: not admitted
  bool updating_ = false;          // the caller waits in the update that makes count_ + 1
  std::optional<wire::Promise> promise_;
  std::uint32_t promise_knew_ = 0;  // newest generation known when the promise was made
  std::optional<std::uint64_t> synced_revision_;
  std::uint32_t measured_mbps_ = 0;

  std::map<PeerId, Link> links_;
  bool introduced_ = false;                         // INTRODUCE came on this connection
  std::optional<std::vector<PeerId>> linked_said_;  // the last LINKED on this connection
};

}  // namespace seaway::core
