// The op engine: the collectives of one lane, under failures.
//
// It is pure: frames and local calls in, frames, jobs and endings out. It is driven by core::Peer (membership) and by
// whoever owns the connections. After each input everything that input touched is evaluated again (`settle`), so that
// a condition that became true is acted on whatever made it true.
//
// How an op goes (docs/ARCHITECTURE.md follows one byte): post -> READY to all, parts to the roots of their chunks ->
// the root reduces in roster order -> RESULT to all -> HOLD to all -> HOLD from everyone -> committed.
// Where members share a site, one of them sums what the site contributes, and one passes the result on (engine_sites.cpp).
// All-gather and reduce-scatter are the same with fewer phases (engine_blocks.cpp): nobody sends a RESULT on. So are an exchange,
// a send and a receive (engine_exchange.cpp). With a quorum it does not wait for everybody (engine_quorum.cpp).
// Several ops commit together, in all lanes, as a transaction (engine_transaction.cpp).
// What a loss does: adopt() freezes, report() tells the master, resolve() commits, aborts, or starts the next attempt.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/limits.h"
#include "base/time.h"
#include "collective/boundary.h"
#include "collective/link.h"
#include "collective/op.h"
#include "wire/messages.h"

namespace seaway::collective {

struct EngineConfig {
  PeerId self = kNoPeer;
  std::uint16_t lane = 0;
  Limits limits;
  Ladder ladder;
};

enum class PostError : std::uint8_t { none = 0, invalid = 1, not_member = 2, too_many = 3 };
struct Posted {
  PostError error = PostError::none;
  std::string text;  // of an error: what was wrong with which argument; nothing was sent and no seq used up
  OpHandle op = 0;
};

// How far one op is, for status and for error texts.
struct Progress {
  OpKey op;
  std::string phase;               // "waiting for peers", "contributing", "reducing", "broadcasting", "HOLD", ...
  std::vector<PeerId> not_posted;  // stragglers
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0;
};

// How Engine::contradiction() begins.
inline constexpr std::string_view kContradiction = "the run's decision contradicts what this member knows";

class Engine {
 public:
  explicit Engine(EngineConfig config);

  // --- Membership: core::Peer's calls ------------------------------------------------------------------------------

  // An EPOCH taken: roster and bases, final decisions applied, attempts below its cut frozen. All one step.
  void adopt(const wire::EpochMessage& epoch, Time now);
  // Statuses of this lane's ops for the epoch just adopted. ABSENT ones are not listed.
  std::vector<wire::OpReport> report() const;
  // The decisions of the cut. Ends what is decided, starts the next attempt of the rest.
  void resolve(Cut cut, std::span<const wire::Decision> decisions, Time now);
  // "", or in words that a decision contradicts what this member knows: then a member's report was false, and the owner has to
  // fence. Reports that are true never come to that (docs/PROTOCOL.md, 5), which is what the simulator holds them to.
  const std::string& contradiction() const { return contradiction_; }
  // My update count passed a join point: ops posted from now on belong to this generation.
  void enter_generation(std::uint32_t generation, Time now);
  // Of what is posted from now on.
  void set_standing(Standing standing) { standing_ = standing; }
  Standing standing() const { return standing_; }
  // This incarnation is over: every open op ends evicted or undecided, no frame leaves any more.
  void fence(Outcome outcome, const std::string& reason, Time now);
  // Ask the master to abort everything that is open, and take no post any more (leave). Ends come as for cancel.
  void cancel_all(const std::string& reason, Time now);
  // Asked again after each RESOLVE and by each new term, while the op runs.
  std::vector<EngineEffect> standing_requests() const;
  // Ops with a final decision (of the EPOCHs adopted and RESOLVEs) that have ended here.
  std::vector<OpKey> finished_decisions() const;
  // The final decisions known that not everyone is known to have finished (for HELLO).
  std::vector<wire::Decision> final_decisions() const;
  std::uint32_t oldest_generation() const;
  std::set<std::uint32_t> open_generations() const;  // of ops posted and not ended: each needs its base
  bool idle() const;                                 // no op is posted and not ended
  bool was_addressed() const;                        // by frames of ops: somebody had me in its roster
  std::uint32_t open_ops() const { return static_cast<std::uint32_t>(handles_.size() - held_.size()); }

  // --- The caller --------------------------------------------------------------------------------------------------

  Posted post(const Descriptor& descriptor, Time now);
  // An op of kind transaction is open until it is closed: then all ops are posted that name it. An op that is in one ends with it.
  void close_transaction(OpHandle transaction, Time now);
  // Of an op that is in a transaction: the transaction.
  void cancel(OpHandle op, const std::string& reason, Time now);
  std::optional<Progress> progress(OpHandle op) const;

  // --- Connections -------------------------------------------------------------------------------------------------

  // A connection to `peer` has exchanged hellos. The link to a peer begins with its first connection and lives until
  // forget(peer): frames not acknowledged when a connection breaks are sent again on another.
  void attach(PeerId peer, ConnId conn, bool control, Time now);
  Landing on_header(ConnId conn, const wire::FrameHeader& header, Time now);
  void on_bytes(ConnId conn, Time now);   // progress inside a frame
  void on_landed(ConnId conn, Time now);  // all payload bytes of a Land or Sink are in
  void on_message(ConnId conn, std::span<const std::byte> payload, Time now);  // of a Message
  void on_lost(ConnId conn, Time now);
  // Frames for this connection, at most 8 and about max_bytes; asked for when its socket can take more.
  std::size_t pull(ConnId conn, std::size_t max_bytes, std::vector<OutFrame>& frames, Time now);
  bool wants_to_send(ConnId conn) const;  // pull would give something; level-triggered
  // The connections that may have come to want to send since the last call, added to `conns`. Whoever asks these after
  // each batch, and each one whose socket can take more again, need not ask all of them.
  void take_stirred(std::vector<ConnId>& conns);
  void on_released(OpHandle op, Time now);  // once for each Release
  bool linked(PeerId peer) const;           // has a connection
  // Paces and connections: what I would like of a peer, to be told to it; what it has told me; and how much is sent on the link to
  // each member, each way, in shares of an op's input: by the plans of the ops that are open, or of an all-reduce if none is.
  void set_offer(PeerId peer, const wire::Offer& offer);
  wire::Offer offered_by(PeerId peer) const;
  std::vector<std::pair<PeerId, double>> traffic() const;
  void forget(PeerId peer, Time now);  // it left the roster, or is another incarnation

  // --- Jobs --------------------------------------------------------------------------------------------------------

  bool next_job(Job& job);
  bool has_jobs() const { return !jobs_.empty(); }  // on_done and pull make some
  void on_done(JobId job, std::uint64_t hash, Time now);

  // --- Time --------------------------------------------------------------------------------------------------------

  void tick(Time now);
  Time deadline() const;  // never too late; may be too early, and then tick does nothing

  std::vector<EngineEffect> take_effects();
  void check_invariants() const;

 private:
  // What a connection is receiving.
  struct Incoming {
    enum class Kind : std::uint8_t { none, sink, message, part, result, aside };
    Kind kind = Kind::none;
    wire::FrameHeader header;
    bool counts = false;  // to be counted as received once it is in
    SlotId slot = 0;      // of part and aside; pinned
    Cut attempt;          // of result and aside: the op's when it began
    OpHandle op = 0;      // of result and aside: whose it is; another op may have come under its key meanwhile
  };
  struct Connection {
    PeerId peer = kNoPeer;
    Incoming incoming;
    bool closing = false;  // on_lost is awaited
  };
  struct Slot {
    std::uint32_t length = 0;
    std::uint32_t pins = 0;  // connections and jobs that touch it
    bool doomed = false;     // to be freed with the last pin
    bool kept = false;       // counts against Limits::kept_bytes
  };
  // What a job is for: a chunk of the result; a chunk of my input, encoded; my site's sum of one; the last step of a committed op.
  enum class JobFor : std::uint8_t { result, encoding, sum, last_step };
  struct RunningJob {
    OpKey op;
    OpHandle handle = 0;
    std::uint32_t chunk = 0;
    Cut attempt;
    JobFor purpose = JobFor::result;
    std::vector<SlotId> pinned;
  };
  struct Sequence {
    std::uint32_t next = 0;        // of my next post
    std::uint32_t told = 0;        // the others know that everything below has ended here
    std::uint32_t told_lanes = 0;  // and the other lanes of my replica, of transactions
    std::set<std::uint32_t> open;  // posted or tombstoned, not ended
  };
  // What is counted together: the ops of one tag of one generation; of sends and receives those of two ends.
  struct TagKey {
    std::uint32_t generation = 0;
    std::uint64_t tag = 0;
    PeerId source = kNoPeer;
    PeerId target = kNoPeer;
    auto operator<=>(const TagKey&) const = default;
  };
  static TagKey tag_of(const OpKey& op) {
    return {op.generation, op.tag, MUTANT(ends_counted_together, op.source, kNoPeer), op.target};
  }
  OpKey first_of(const TagKey& tag) const {
    const std::uint16_t lane = tag.tag == kTransactionTag ? kEveryLane : config_.lane;
    return {lane, tag.generation, tag.tag, 0, tag.source, tag.target};
  }
  // Ops that are in a transaction are not counted by themselves.
  void touch_tag(const OpKey& op) {
    if (!op.is_in_transaction()) {
      dirty_tags_.insert(tag_of(op));
    }
  }

  // engine.cpp
  void settle(Time now);
  void settle_op(Op& op, Time now);
  Op* find(const OpKey& key);
  Op* find(OpHandle handle);
  Op& find_or_create(const OpKey& key);
  void touch(const OpKey& key) { dirty_.insert(key); }
  void stir(PeerId peer) { stirred_.push_back(peer); }
  void stir_if_ack_is_due(const Link& to);
  Link& link(PeerId peer, Time now);
  std::vector<PeerId> roster_of(const OpKey& op) const;
  bool is_member(PeerId peer) const;
  bool is_sibling(PeerId peer) const { return std::ranges::find(siblings_, peer) != siblings_.end(); }
  bool is_of_my_lane(const OpKey& op) const { return op.lane == (op.is_transaction() ? kEveryLane : config_.lane); }
  bool frozen(const Op& op) const { return op.attempt < cut_; }
  bool passed_or_ended(const OpKey& key) const;
  std::uint32_t oldest_base() const { return bases_.empty() ? 0 : bases_.front().generation; }
  void forget_generations();
  static std::string wrong(const Descriptor& descriptor);
  std::string how_different(const Op& op, PeerId peer, const wire::Ready& theirs) const;
  void begin(Op& op, Time now);
  void open(Op& op, Time now);
  void contribute(Op& op);
  void drop_unfit_parts(Op& op);
  void send_ready(Op& op, Time now);
  Time stall_due(PeerId peer) const;
  Time no_progress_due(const Op& op) const;
  Time exact_deadline() const;
  void may_be_due_earlier() { due_known_ = false; }
  void may_be_due(Time due) { due_ = std::min(due_, due); }
  void queue_message(PeerId to, wire::FrameType type, const Op& op, std::vector<std::byte> payload, Time now);

  // engine_run.cpp: the conditions of a running op, in order
  bool refuse_if_different(Op& op, Time now);
  void learn_contributors(Op& op);
  void start_attempt(Op& op, Time now);
  std::size_t window_of(const Op& op) const;  // chunks that are asked for ahead of reduction
  void ask_for_parts(Op& op, const std::vector<std::uint32_t>& chunks, std::size_t& asked, std::size_t reduced,
                     Time now);
  void reduce_ready_chunks(Op& op, Time now);
  std::optional<std::vector<JobSource>> parts_of(Op& op, std::span<const Contributor> from, std::uint32_t chunk);
  bool try_reduce(Op& op, std::uint32_t chunk, Time now);
  void copy_aside(Op& op, std::uint32_t chunk);
  void hold_if_whole(Op& op, Time now);
  void commit_if_all_hold(Op& op, Time now);
  bool holds(const Op& op) const;
  std::uint64_t hash_of(const Op& op) const;  // of what this member got
  Value value_of(const Op& op) const;
  Region result_region(const Op& op, std::uint32_t chunk) const;
  void queue_job(Op& op, std::uint32_t chunk, Job job, JobFor purpose);
  void chunk_done(Op& op, std::uint32_t chunk, std::uint64_t hash, Time now);
  void drop_used_parts(Op& op, std::uint32_t chunk, bool of_my_site_alone);

  // engine_blocks.cpp: what is different in ops of blocks
  std::string wrong_blocks(const Descriptor& descriptor) const;
  std::vector<PlanMember> base_of(std::uint32_t generation) const;
  Region input_region(const Op& op, std::uint32_t part) const;
  std::uint32_t chunk_from(const Op& op, PeerId sender, std::uint32_t number) const;
  bool fits(const Op& op, PeerId sender, std::uint32_t number, std::uint32_t length) const;  // a part
  bool try_gather(Op& op, std::uint32_t chunk);
  static void mark_resumed_blocks(const Op& op);

  // engine_exchange.cpp: what is different in an exchange, a send and a receive
  OpKey next_key(const Descriptor& descriptor);
  static std::string wrong_lists(const Descriptor& descriptor);
  std::string wrong_exchange(const Descriptor& descriptor) const;
  void add_ends(OpKey& op, wire::Direction direction, PeerId peer) const;
  std::string name_of(PeerId peer) const;
  bool essential_lost(const Op& op) const;
  std::string who_is_gone(const Op& op) const;
  void plan_transfer(Op& op, std::vector<PlanMember> base, std::uint64_t bytes, std::uint32_t grain);
  void plan_exchange(Op& op, std::span<const PlanMember> base);
  static void add_counts(const Descriptor& descriptor, PeerId peer, wire::Ready& ready);
  void ask_to_abort(Op& op, const std::string& reason);
  void look_for_lost(Op& op);
  void compare_counts(Op& op);
  void add_lost(Op& op) const;

  // engine_sites.cpp: what is different in a hierarchical plan
  void collect(Op& op) const;
  std::vector<Contributor> contributors_at(const Op& op, std::size_t site) const;
  Region partial_region(const Op& op, std::uint32_t chunk) const;
  void ask_for_parts(Op& op, Time now);
  bool try_sum(Op& op, std::uint32_t chunk, Time now);
  void sum_done(Op& op, std::uint32_t chunk, Time now);
  std::optional<std::vector<JobSource>> sums_of(Op& op, std::uint32_t chunk);
  void want_sums(Op& op, PeerId peer, const wire::Want& want, Cut attempt);
  void offer_sum(Op& op, std::uint32_t chunk);
  void pass_on(Op& op, std::uint32_t chunk);
  void forget_sums(Op& op);
  Landing land_partial(Connection& connection, const wire::FrameHeader& header);
  Landing land_in_slot(Connection& connection, Part& part, std::uint32_t length);
  // engine_quorum.cpp: who contributes, and ops that run without their caller
  static std::string wrong_quorum(const Descriptor& descriptor);
  static void add_terms(const Descriptor& descriptor, wire::Ready& ready);
  bool has_posted(const Op& op, PeerId peer) const;
  Contributor contribution_of(const Op& op, PeerId peer) const;
  std::vector<Contributor> counted(const Op& op) const;
  bool chooses(const Op& op) const;
  const wire::ContributorSet* set_of(const Op& op) const;
  std::optional<std::vector<Contributor>> contributors_of(const Op& op) const;
  bool is_left_out(const Op& op, PeerId peer) const;
  void choose_set(Op& op, Time now);
  Time set_due(const Op& op) const;
  static const wire::Ready* terms_from(const Op& op, const std::vector<PeerId>& roster);
  void hold_unposted(Op& op, Time now);
  OpHandle post_held(Op& op, const Descriptor& descriptor, Time now);
  void join_running(Op& op, Time now);
  std::string described(const Op& op) const;
  bool is_passed(const Op& op) const;
  bool refuse_if_passed(Op& op, Time now);
  void finish_unposted(Op& op);
  void forget_held(OpHandle handle);
  void free_held(OpHandle handle);
  bool nobody_posted(const Op& op) const;
  void retire(Op& op);
  bool free_retired(Op& op);

  // engine_transaction.cpp: ops that commit together
  static std::string wrong_transaction(const Descriptor& descriptor);
  std::string wrong_in_transaction(const Descriptor& descriptor) const;
  OpKey next_key_in(Op& transaction);
  static OpKey unit_of(const OpKey& key) { return key.is_in_transaction() ? key.transaction() : key; }
  // What is decided: the op, or the transaction that it is in.
  Op& unit_of(Op& op) { return op.key.is_in_transaction() ? ops_.at(op.key.transaction()) : op; }
  const Op& unit_of(const Op& op) const { return op.key.is_in_transaction() ? ops_.at(op.key.transaction()) : op; }
  void begin_transaction(Op& op, Time now);
  OpHandle end_with(Op& transaction, Time now);
  void abort_if_different(Op& op);
  std::vector<PeerId> who_hears(const Op& op, std::vector<PeerId> roster) const;
  bool holds_all(const Op& transaction) const;
  std::uint64_t places_of_contributors(const Op& transaction) const;
  Value value_of_all(const Op& transaction) const;
  bool all_lanes_hold(Op& transaction, Time now);
  void resume_all(Op& transaction, Time now);
  void end_its_ops(Op& transaction, Outcome outcome, const std::string& reason, Time now);
  bool is_over(const Op& transaction) const;
  void drop_unposted_ops(const OpKey& transaction);
  void forget_its_ops(const Op& transaction);
  std::uint32_t ended_in_other_lanes(const TagKey& tag) const;
  void tell_transactions_ended(const TagKey& tag, Sequence& sequence, Time now);

  // engine_codec.cpp: how contributions and results travel encoded
  static std::string wrong_codecs(const Descriptor& descriptor);
  Region part_region(const Op& op, std::uint32_t part) const;
  Region sent_result_region(const Op& op, std::uint32_t chunk) const;
  bool is_mine_alone(const Op& op, std::uint32_t chunk) const;
  enum class Use : std::uint8_t { own, travel };
  bool encode(Op& op, std::uint32_t part, Use use);
  void encode_next(Op& op, PeerId to, const ChunkQueue& chunks);
  Job encoding_job(const Op& op, std::uint32_t chunk) const;
  void encoding_done(Op& op, std::uint32_t part);
  bool is_to_feed_back(const Op& op) const;
  void feed_back(Op& op);

  // engine_receive.cpp
  Landing begin_frame(ConnId conn, Connection& connection, Link& from, const wire::FrameHeader& header, Time now);
  Landing land_part(Connection& connection, Link& from, const wire::FrameHeader& header, Time now);
  Landing land_result(ConnId conn, Connection& connection, const wire::FrameHeader& header);
  void part_landed(Connection& connection);
  void result_landed(Connection& connection, ConnId conn);
  void abandon(Connection& connection);
  std::string take_message(Link& from, const wire::FrameHeader& header, std::span<const std::byte> payload, Time now);
  void on_ready(Op& op, Link& from, Side& side, wire::Ready ready);
  Op* op_for_frame(Link& from, const wire::FrameHeader& header, std::string& refusal);
  void close_connection(ConnId conn, std::string reason);

  // engine_send.cpp
  void offer(const Op& op, PeerId peer);
  std::optional<OutFrame> next_data(ConnId conn, PeerId peer, Link& to, Time now);
  OutFrame next_data_of(Op& op, ConnId conn, PeerId peer, Link& to, Time now);
  bool has_data_for(ConnId conn, PeerId peer, const Link& to) const;
  bool has_data_for(OpHandle op, ConnId conn, PeerId peer, const Link& to) const;
  bool has_data_for(const Op& op, PeerId peer, const Link& to) const;
  std::vector<std::uint32_t> parts_to(const Op& op, PeerId peer) const;
  void queue_eager(Op& op);
  void stop_eager(Link& to, Side& side);
  void serve_ready(Op& op, PeerId peer);
  void serve_want(Op& op, PeerId peer, const wire::Want& want, Cut attempt);

  // engine_membership.cpp
  void decide(const wire::Decision& decision, Time now);
  bool contradicts(const wire::Decision& decision, const Op* op);
  void resume(Op& op, Time now);
  void serve_heirs(Op& op, const Plan& before);
  void clear_results(Op& op);
  void stop_sending(Side& side, PeerId peer);
  void entomb(Op& op, const std::string& reason);
  void settle_passed(Time now);
  void say_passed(const Op& op, const std::vector<PeerId>& roster, Time now);
  bool left(std::uint32_t generation, PeerId peer) const;

  // engine_end.cpp
  void end_op(Op& op, Outcome outcome, const std::string& reason, Time now);
  void cancel_queued_jobs(Op& op);
  void give_back_lease(ConnId conn, const Incoming& incoming);
  void finish_if_released(Op& op, Time now);
  void copy_from_scratch(Op& op);
  void tell(Op& op, Time now);
  void clear_sides(Op& op);
  void release_unposted(Op& op);
  std::uint32_t ended_upto(const TagKey& tag) const;
  std::uint32_t ended_at(PeerId peer, const TagKey& tag) const;
  bool ended_everywhere(const Op& op) const;
  bool on_ended(PeerId from, const OpKey& tag, std::uint32_t upto);  // false: of more tags than a healthy peer has
  void tell_ended(const TagKey& tag, Time now);
  void tell_ended(const TagKey& tag, const std::vector<PeerId>& peers, std::uint32_t upto, Time now);
  void forget_ended(Time now);
  SlotId take_slot(std::uint32_t length);
  void free_slot(SlotId slot);
  void unpin(SlotId slot);
  void keep_slot(SlotId slot);
  void drop_part(Part& part);
  void drop_parts(Side& side);

  EngineConfig config_;
  Epoch epoch_;
  Cut cut_;
  std::vector<wire::MemberInfo> roster_;  // of my lane
  std::vector<PeerId> siblings_;          // the other lanes of my replica
  std::vector<wire::Base> bases_;
  std::string contradiction_;
  std::map<OpKey, wire::Decision> decided_;  // final decisions that not everyone has finished
  std::uint32_t generation_ = 0;
  Standing standing_ = Standing::founder;
  bool fenced_ = false;
  bool leaving_ = false;  // nothing new is posted

  std::map<OpKey, Op> ops_;
  std::map<OpHandle, OpKey> handles_;
  std::map<OpHandle, std::uint64_t> held_;  // of handles_ those that no caller has: bytes
  std::uint64_t held_bytes_ = 0;
  std::set<OpKey> not_held_;  // for lack of room
  std::map<TagKey, Sequence> sequences_;
  std::map<PeerId, std::map<TagKey, std::uint32_t>> ended_by_;  // others' ENDED
  std::set<OpKey> dirty_;
  std::set<TagKey> dirty_tags_;
  std::set<OpKey> passed_;  // never to be posted here although others did: to be said so

  std::map<PeerId, Link> links_;
  std::map<ConnId, Connection> connections_;
  std::map<PeerId, Time> stall_told_;
  std::vector<PeerId> stirred_;

  std::map<SlotId, Slot> slots_;
  std::uint64_t kept_bytes_ = 0;
  std::deque<Job> jobs_;
  std::map<JobId, RunningJob> running_jobs_;
  std::uint64_t next_id_ = 1;
  Time now_ = 0;  // of the last call
  // The deadline as it was last computed. What makes it later is not noticed, what makes it earlier has to say so.
  mutable Time due_ = 0;
  mutable bool due_known_ = false;

  std::vector<EngineEffect> effects_;
};

// What `digest` covers, as a hash and in words ("all_reduce sum f32 count 1024 ..."): everything that all members must
// state alike. Never the plan, the weight, the time-outs.
std::uint64_t digest_of(const Descriptor& descriptor);
std::string describe(const Descriptor& descriptor);
std::string described_quorum(const Descriptor& descriptor);  // its part of it
// What READY says of an op with a quorum, for those that have not posted it.
wire::QuorumTerms terms_of(const Descriptor& descriptor);

}  // namespace seaway::collective
