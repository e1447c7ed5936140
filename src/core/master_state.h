// The state of core::Master and the rules that `settle` runs over it. Internal: only src/core/master*.cpp include it.
//
// How to read the master
//
//   master.cpp            inputs come in, `settle`, the one write, the reply
//   master_hello.cpp      HELLO, and what each message of a known peer changes
//   master_liveness.cpp   who is lost, departure, the cut
//   master_start.cpp      a restart with a store, a restart without one, epoch 1
//   master_join.cpp       pending peers: introduced, linked, asked for, admitted or refused
//   master_rates.cpp      when new rates are worth a join point
//   master_resolve.cpp    rounds, reports, the decision table
//   master_announce.cpp   everything that is said, as a function of what is durable
//   master_door.cpp       who may be certified, tokens, what operators want
//   master_status.cpp     status and waiting in words; the deadline; the invariants
//
// Two ideas carry it:
//
//   1. Inputs change facts, rules act on facts. An input never sends anything that depends on a decision; it changes
//      `members`, `connections` or `run` and lets `settle` apply every rule until none has anything to do.
//   2. `run` is what the record should be, `durable` is what the store has confirmed. All that is announced is built
//      from `durable`, so nothing can be visible before it is durable, whatever happens while a write is outstanding.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/mark.h"
#include "base/mutant.h"
#include "core/master.h"

namespace seaway::core {

enum class Standing : std::uint8_t {
  returning = 1,  // said HELLO naming an epoch, to a master that knows none yet
  pending = 2,    // said JOIN, waits to be admitted
  member = 3,
};

// What a peer was told on its present connection; a new connection begins with nothing told.
struct Told {
  std::optional<std::pair<std::uint64_t, Epoch>> epoch;  // {term, epoch} of the last EPOCH
  std::optional<Cut> cut;                                // of the last RESOLVE
  bool asked = false;                                    // the open ASK
  std::map<PeerId, Time> introduced;                     // whom to link to; when. Of a pending one: its forming clocks
  std::string waiting;                                   // the last WAITING
};

struct StalledEdge {
  Time first = 0;
  Time last = 0;
};

struct Request {  // MISMATCH or CANCEL_OP
  bool cancel = false;
  std::string reason;
};

// Everything that is known of a peer. Erasing it is the only departure code.
struct Member {
  wire::MemberInfo info;
  Standing standing = Standing::pending;
  std::uint64_t arrival = 0;  // order of the first JOIN
  Time joined = 0;            // when that came
  std::uint16_t lanes = 1;    // of its JOIN
  std::uint32_t min_world = 1;

  std::optional<ConnId> conn;
  Time heard = 0;                 // the last sign of life
  std::optional<Time> closed_at;  // FIN or RST on its connection, no HELLO since
  Told told;

  std::optional<wire::Hello> hello;      // of a returning peer
  std::optional<wire::Report> report;    // for my term and the present epoch
  std::optional<wire::Promise> promise;  // that answers the open ASK
  bool cancel_due = false;               // it waits on a promise that answers no open ask
  bool took = false;                     // it has reported since it was admitted: its counts are those of a member
  std::uint64_t update_count = 0;
  std::uint32_t oldest_generation = 0;
  std::uint32_t links = 0;             // for status
  std::uint32_t open_ops = 0;          // for status
  std::uint32_t measured_mbps = 0;     // of its line; 0: it does not know
  std::set<OpKey> finished;            // final decisions that have ended there
  std::map<OpKey, Request> requests;   // rounds it wants; the next decision uses them up
  std::map<PeerId, Time> sees_closed;  // LOST(closed), about whom
  std::map<PeerId, StalledEdge> stalled;
  std::set<PeerId> linked;
  bool leaving = false;    // said LEAVE
  bool asked_for = false;  // an ASK has named it: once dropped, this incarnation is over
  std::string doomed;      // why it has to go, whatever it says from now on; "": it has not
};

struct Connection {
  std::optional<Certified> certified;
  PeerId peer = kNoPeer;  // kNoPeer: no HELLO yet
  Uuid uuid;
  std::uint64_t update_count = 0;
  std::string farewell;  // EVICTED with this reason, once a roster without the peer is durable
  Time since = 0;
};

struct OpenAsk {
  Epoch epoch;
  std::vector<PeerId> joiners;  // none: it is for new rates
  bool for_rates() const { return joiners.empty(); }
};

// An answer at the door waits until the write that holds what it says.
struct WaitingAnswer {
  DoorAnswer answer;
  std::uint64_t write = 0;
};

struct OutstandingWrite {
  std::uint64_t write = 0;
  StoredRun record;
};

struct Master::State {
  State(MasterConfig master_config, Random master_random) : config(std::move(master_config)), random(master_random) {}

  // --- Facts ---------------------------------------------------------------------------------------------------------

  MasterConfig config;
  Random random;

  StoredRun run;                // as the record should be; version unused
  StoredRun durable;            // as the store has it
  std::optional<Epoch> loaded;  // of the record that I started with, of a formed run: the last of all terms before mine
  bool dirty = false;
  std::optional<OutstandingWrite> writing;
  std::uint64_t writes = 0;           // begun
  std::uint64_t written = 0;          // the last one that the store has confirmed
  std::deque<WaitingAnswer> answers;  // at the door, in the order of the requests
  bool stepped_down = false;
  std::string outdated;  // in words: peers know what the store has forgotten; "": they do not

  std::map<PeerId, Member> members;
  std::map<ConnId, Connection> connections;
  std::map<PeerId, std::string> departed;  // incarnations that are over, and why
  std::uint64_t arrivals = 0;
  std::optional<OpenAsk> ask;
  Time rates_due = 0;                          // not before then are rates looked at again
  bool inherited_resolution = false;           // the resolved cut was decided by an earlier term
  std::set<PeerId> evicted_live;               // lost at this cut with an open connection
  std::optional<Time> collecting_since;        // the first HELLO that named an epoch to a master that knows none
  std::vector<std::vector<PeerId>> confirmed;  // majority rule: rosters of which each cut must keep more than half

  Time now = 0;
  Time heard_anyone = 0;
  Time graced_until = 0;             // after hearing nobody for long: no death is sudden before
  MasterEffects* effects = nullptr;  // of the call in progress

  // --- Small questions -----------------------------------------------------------------------------------------------

  bool formed() const { return run.epoch.number > 0; }
  // My term is the stored one, so I may speak.
  bool in_office() const { return run.term != 0 && outdated.empty() && announced().term == run.term; }
  // The record that members are told of.
  const StoredRun& announced() const;
  // Nothing is being written and members are told of the present epoch.
  bool quiet() const { return in_office() && !dirty && !writing && durable.epoch == run.epoch; }
  Member* find(PeerId id);
  const Member* find(PeerId id) const;
  Member* member(PeerId id);  // nullptr unless it is in the roster
  std::vector<PeerId> roster_ids() const;
  std::uint16_t lanes_of_run() const;  // 0: nobody has said
  std::uint32_t newest_generation() const { return run.bases.empty() ? 0 : run.bases.back().generation; }
  bool in_roster_of(const wire::MemberInfo& info, const OpKey& op) const;
  const wire::Decision* final_decision(const OpKey& op) const;
  std::string words_for(const wire::MemberInfo& info) const;  // "b (replica 2, lane 0)"
  std::string words_for(PeerId id) const;
  std::string words_for(const std::vector<PeerId>& ids) const;  // a list, cut short after a few

  // --- Saying --------------------------------------------------------------------------------------------------------

  void send(ConnId conn, wire::MasterMessage message);
  void log(std::string text);
  void close(ConnId conn, const std::string& reason);   // the connection and nothing else
  void refuse(ConnId conn, const std::string& reason);  // REFUSED, then closed

  // --- Inputs (master.cpp, master_hello.cpp) -------------------------------------------------------------------------

  void begin(Time time, MasterEffects& out);
  void on(const Connected& input);
  void on(const Received& input);
  void on(const Disconnected& input);
  void on(const StoreReply& input);
  void on(const EvictRequest& input);
  void on(const DoorRequest& input);
  void on(const LeaseLost& input);
  void hear(Member& m);
  void on_hello(ConnId conn, Connection& connection, const wire::Hello& hello);
  std::string why_refused(const wire::Hello& hello) const;
  void attach(Member& m, ConnId conn, const wire::Hello& hello);
  void compare_terms(const Member& m, const wire::Hello& hello);
  bool compare_epochs(ConnId conn, const wire::Hello& hello);
  void doubt_the_store(const std::string& finding);
  void on_join(ConnId conn, const wire::Join& join);
  std::string why_refused(const wire::Join& join) const;
  void drop_earlier_incarnation(const Connection& connection, const wire::Join& join);
  void on_message(Member& m, const wire::Report& report);
  void on_message(Member& m, const wire::Linked& linked);
  void on_message(Member& m, const wire::Promised& promised);
  void on_message(Member& m, const wire::Mismatch& mismatch);
  void on_message(Member& m, const wire::CancelOp& cancel);
  void on_message(Member& m, const wire::Lost& lost);
  void on_message(Member& m, const wire::Leave& leave);
  void on_message(Member& m, const wire::Synced& synced);
  void on_message(Member& m, const wire::Heartbeat& heartbeat);
  void request_round(Member& m, const OpKey& op, Request request);

  // --- Rules: each does one thing, and says whether it did -----------------------------------------------------------

  void settle();
  bool write();
  // master_liveness.cpp
  bool drop_pending();
  bool drop_strangers();
  bool depart();
  bool forget_recovered_edges();
  // master_start.cpp
  bool adopt_run();
  bool form();
  // master_resolve.cpp
  bool raise_round();
  bool decide();
  // master_join.cpp
  bool refuse_rivals();
  bool refuse_unlinked();
  bool open_ask();
  bool close_ask();  // answers or cancels
  // master_announce.cpp
  bool announce();
  bool tell_evicted();
  bool introduce();
  bool tell_waiting();
  // master_door.cpp
  bool answer_door();

  // --- Parts of the rules --------------------------------------------------------------------------------------------

  void load(const StoredRun& stored);
  std::uint64_t term_after(std::uint64_t term);
  void step_down(const std::string& reason);
  // master_liveness.cpp
  std::string why_lost(const Member& m) const;  // "": it is not
  bool silent(const Member& m) const;
  bool closed_everywhere(const Member& m) const;
  std::map<std::uint32_t, std::string> lost_replicas() const;
  bool majority_allows(const std::map<std::uint32_t, std::string>& lost) const;
  void mark_left(PeerId id);
  void erase(PeerId id, const std::string& reason);  // the departure of a member or a pending peer
  void raise_cut(const std::string& reason);
  void prune();
  bool passed_by_all(const wire::JoinRecord& join) const;
  bool finished_by_all(const wire::Decision& decision) const;
  void judge_stalled_edge(Member& from, Member& about);
  std::size_t stalled_edges(PeerId id) const;
  void give_everyone_fresh_grace();
  // master_start.cpp
  const wire::EpochMessage* highest_epoch_heard() const;
  std::vector<PeerId> whole_replicas_returned(const wire::EpochMessage& highest) const;
  std::string why_not_adopted(const wire::EpochMessage& highest) const;
  void take_over(const wire::EpochMessage& highest, const std::vector<PeerId>& present);
  void send_away_the_others();
  // master_join.cpp
  std::vector<std::uint32_t> admissible() const;  // replicas, by arrival, linked to all members and to each other
  std::map<std::uint32_t, std::vector<PeerId>> complete_replicas() const;  // pending, all lanes connected, by replica
  bool linked_to_members(const Member& m) const;
  bool mutually_linked(const std::vector<PeerId>& a, const std::vector<PeerId>& b) const;
  static bool are_pending_siblings(const Member& m, const Member& other);
  bool lacks(const Member& m, const Member& other) const;  // a pending one and whom it should have a link to
  std::size_t missing_links(const Member& m) const;
  bool answers_ask(const wire::Promise& promise) const;
  std::vector<PeerId> joiners_left() const;
  std::uint64_t join_point() const;
  wire::Base new_base(std::uint32_t generation) const;
  void admit(const std::vector<PeerId>& joiners, std::uint64_t point);
  std::string why_cancelled() const;  // the open ask; "": it is not
  void cancel_ask(const std::string& reason);
  std::string why_waiting(const Member& m) const;
  std::string why_replica_waits(const Member& m) const;
  // master_rates.cpp
  static std::uint32_t rate_of(const Member& m);
  std::uint32_t planned_rate(const Member& m) const;
  bool new_rates_pay();
  void note_new_rates();
  bool may_change_rates() const;
  bool would_be_sooner() const;
  // master_resolve.cpp
  bool all_reported() const;
  std::optional<wire::Decision> decide_op(const OpKey& op) const;
  void note_contradictions(const OpKey& op, const wire::Decision& decision);
  // master_door.cpp
  bool is_denied(const Uuid& uuid) const;
  wire::Token* find_token(std::uint64_t id);
  std::string why_not_certified(const Connection& connection, const wire::Hello& hello) const;
  std::string why_not_enrolled(const DoorRequest& asked, const wire::Enrol& enrol);
  std::string why_not_obeyed(const DoorRequest& asked);
  void enrol(const DoorRequest& asked, const wire::Enrol& wanted);
  void obey(const DoorRequest& asked, const wire::NewToken& command);
  void obey(const DoorRequest& asked, const wire::ListTokens& command);
  void obey(const DoorRequest& asked, const wire::RevokeToken& command);
  void obey(const DoorRequest& asked, const wire::EvictPeer& command);
  void obey(const DoorRequest& asked, const wire::ShowStatus& command);
  std::vector<PeerId> called(const std::string& who) const;
  void answer(DoorAnswer what, bool changed);
  void refuse_at_door(const DoorRequest& asked, const std::string& reason);
  // master_announce.cpp
  bool tell(Member& m);
  wire::EpochMessage epoch_message(const StoredRun& said, std::uint16_t lane) const;
  // master_status.cpp
  std::string stage() const;
  void check_roster() const;
  void check_epochs() const;
  void check_decisions() const;
  void check_connections() const;
  bool is_stranger(const Connection& connection) const;
};

// What one on the deny list hears.
inline constexpr const char* kDenied = "an operator has denied this peer";

// At most what a reason may be on the wire; longer text is cut between two characters.
std::string bounded(std::string text);
// "e3" of term 1, "e3 of term 7"...
std::string words_for(const Epoch& epoch);
std::string words_for(const OpKey& op);

}  // namespace seaway::core
