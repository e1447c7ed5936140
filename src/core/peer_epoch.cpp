// What the master says, and the update point.
//
// EPOCH (term T, epoch E; mine: t, e; the first row that fits). It is the first thing of a term that counts: RESOLVE,
// ASK and CANCEL of a term whose EPOCH I have not taken are ignored.
//
//   T < t                   ignored
//   contradicts itself,     the connection is closed: no healthy master says it
//     E < e, a cut falls,
//     takes back what I know
//   I am not in it          this incarnation ends: evicted, or refused while joining
//   T = t, E = e            REPORT again, and the standing requests: a new connection, what I said may be lost
//   T > t or E > e          taken, one step: engine.adopt (final decisions, then the freeze), REPORT, then the rest
//
// The others:
//
//   RESOLVE   my term, my cut, not yet resolved -> engine.resolve; the standing requests again
//   ASK       adopted that term's EPOCH at or above that epoch (G17) -> promise, PROMISED
//   CANCEL    the same, and not older than the ask that I promised to -> no promise
//   EVICTED, REFUSED -> the end, whatever the terms
//
// The update point. `count_` = updates passed. A promise is always about count_ + 1: the next update, or the one that
// waits right now (one that waits is not passed: a master that sees a count may forget the joins up to it).
//
//   promise made            by ASK; remembers the newest generation that I knew of
//   update() with promise   waits; without: passes at once
//   promise released        by the first EPOCH with a join of a newer generation, whatever its joiners, or by CANCEL.
//                           A loss does not (M26): the join point may still be the update that I promised
//   update passes           count_ + 1; generation = the highest whose join point <= count_
//
// A joiner starts at the join point of its own generation; founders have generation 1 and start at 0. In a stateful
// run a joiner does not contribute until a state sync has committed at it.
#include <algorithm>
#include <set>

#include "base/assert.h"
#include "base/mark.h"
#include "base/mutant.h"
#include "core/coherent.h"
#include "core/peer.h"

namespace seaway::core {

namespace {

constexpr std::uint32_t kMaxLadderPercent = 100'000;  // above it a rung would not be a time any more
constexpr std::uint32_t kFirstGeneration = 1;         // of the founders

std::string in_words(Epoch epoch) { return std::to_string(epoch.term) + "." + std::to_string(epoch.number); }

const wire::JoinRecord* join_of(const wire::EpochMessage& message, std::uint32_t generation) {
  for (const wire::JoinRecord& join : message.joins) {
    if (join.generation == generation) {
      return &join;
    }
  }
  return nullptr;
}

bool has_base(const wire::EpochMessage& message, std::uint32_t generation) {
  return std::any_of(message.bases.begin(), message.bases.end(),
                     [&](const wire::Base& base) { return base.generation == generation; });
}

// Of `mine`, or of one that I come to by a join.
bool lacks_base_from(std::uint32_t mine, const wire::EpochMessage& message) {
  return !has_base(message, mine) || std::any_of(message.joins.begin(), message.joins.end(), [&](const auto& join) {
    return join.generation > mine && !has_base(message, join.generation);
  });
}

const wire::MemberInfo* member_in(const wire::EpochMessage& message, PeerId peer) {
  for (const wire::MemberInfo& member : message.roster) {
    if (member.id == peer) {
      return &member;
    }
  }
  return nullptr;
}

}  // namespace

// --- EPOCH ----------------------------------------------------------------------------------------------------------

void Peer::on(const wire::EpochMessage& message, Time now) {
  if (taken_ && MUTANT(m8_lower_term_obeyed, message.term < taken_->term, false)) {
    return;
  }
  if (const std::string reason = impossible(message); !reason.empty()) {
    effects_.emplace_back(CloseMaster{"EPOCH makes no sense: " + reason});
    lose_master(now);
    return;
  }
  if (member_in(message, config_.id) == nullptr) {
    end_by_master("not a member of epoch " + in_words(message.epoch) + " any more", false, now);
    return;
  }
  if (taken_ && message.term == taken_->term && message.epoch == taken_->epoch) {
    report();
    repeat_requests(now);
    return;
  }
  take_epoch(message, now);
}

// "" or in words why no healthy master would say this to me.
std::string Peer::impossible(const wire::EpochMessage& message) const {
  if (message.ladder_percent == 0 || message.ladder_percent > kMaxLadderPercent) {
    return "a ladder of " + std::to_string(message.ladder_percent) + " percent";
  }
  if (std::string reason = why_incoherent(message); !reason.empty()) {
    return reason;
  }
  if (taken_) {
    if (message.epoch < taken_->epoch || message.cut < taken_->cut ||
        (message.epoch == taken_->epoch && message.cut != taken_->cut)) {
      return "epoch " + in_words(message.epoch) + ", cut " + in_words(message.cut) + " after epoch " +
             in_words(taken_->epoch) + ", cut " + in_words(taken_->cut);
    }
    return contradicts_taken(message);
  }
  const wire::MemberInfo* self = member_in(message, config_.id);
  if (self == nullptr) {
    return "";
  }
  if (self->lane != config_.lane || self->replica != config_.replica) {
    return "this peer in another lane or replica";
  }
  if (self->generation < kFirstGeneration ||
      (self->generation > kFirstGeneration && join_of(message, self->generation) == nullptr)) {
    return "a newcomer without its join point";
  }
  return lacks_base_from(self->generation, message) ? "a generation to come without its base" : "";
}

// "" or in words what I know of the run and this takes back: members stay what they are, others come with a new generation,
// and a base stays while an op of mine may need it.
std::string Peer::contradicts_taken(const wire::EpochMessage& message) const {
  const std::uint32_t newest = taken_->bases.back().generation;
  for (const wire::MemberInfo& member : message.roster) {
    const wire::MemberInfo* before = in_roster(member.id);
    const bool same = before != nullptr && before->replica == member.replica && before->lane == member.lane &&
                      before->generation == member.generation;
    if (!same && (before != nullptr || member.generation <= newest)) {
      return "peer " + std::to_string(member.id) + " as an older member than it is";
    }
  }
  const std::set<std::uint32_t> open = engine_.open_generations();
  if (message.bases.back().generation < newest ||
      std::any_of(open.begin(), open.end(), [&](std::uint32_t g) { return !has_base(message, g); })) {
    return "no base of a generation that is in use";
  }
  return lacks_base_from(generation_, message) ? "a generation to come without its base" : "";
}

void Peer::take_epoch(const wire::EpochMessage& message, Time now) {
  const bool first = !taken_;
  const bool new_term = first || message.term != taken_->term;
  const bool new_epoch = first || message.epoch != taken_->epoch;
  const std::vector<wire::MemberInfo> before = roster();
  if (first || message.cut != taken_->cut) {
    resolved_ = message.cut == Cut{};  // the cut of the first epoch has nothing to resolve
  }
  taken_ = message;
  ladder_ = Ladder::scaled(message.ladder_percent);
  engine_.adopt(message, now);
  if (end_if_contradicted(now)) {
    return;
  }
  if (!new_epoch) {
    SEAWAY_MARK("report again in one epoch for a new term");
  }
  if (MUTANT(report_without_new_term, true, new_epoch)) {
    report();
  }
  // The step ends here; what follows only acts on the epoch that is mine now.
  if (first) {
    become_member(*in_roster(config_.id), now);
  } else {
    release_promise(message);
    advance_generation(now);
    if (new_epoch) {
      effects_.emplace_back(EpochChanged{});
    }
  }
  relink(before, now);
  if (new_term) {
    repeat_requests(now);
  }
}

void Peer::become_member(const wire::MemberInfo& self, Time now) {
  const wire::JoinRecord* join = join_of(*taken_, self.generation);
  count_ = join != nullptr ? join->point : 0;
  admitted_in_ = self.generation;
  generation_ = self.generation;
  for (const wire::JoinRecord& other : taken_->joins) {  // another join at the same point may have followed mine
    if (other.point <= count_) {
      generation_ = std::max(generation_, other.generation);
    }
  }
  const bool founder = self.generation == kFirstGeneration;
  engine_.enter_generation(generation_, now);
  engine_.set_standing(founder || MUTANT(joiner_contributes_unsynced, false, true) ? Standing::founder
                       : taken_->stateful                                          ? Standing::unsynced
                                                                                   : Standing::newcomer);
  SEAWAY_ASSERT(stage_ == PeerStage::joining, "only who is joining becomes a member");
  stage_ = PeerStage::member;
  effects_.emplace_back(Joined{count_});
}

// A function of what has not ended here, so that it may be said as often as a master asks: reports of one cut agree.
void Peer::report() {
  tell_master(wire::Report{.term = taken_->term, .epoch = taken_->epoch, .ops = engine_.report()});
}

// What the master must not miss, and may have: a new term knows none of it, a broken connection swallows it.
void Peer::repeat_requests(Time now) {
  for (const collective::EngineEffect& effect : engine_.standing_requests()) {
    ask_for(effect, now);
  }
  if (synced_revision_ && !taken_->stateful) {
    tell_master(wire::Synced{*synced_revision_});
  }
}

const wire::MemberInfo* Peer::in_roster(PeerId peer) const { return taken_ ? member_in(*taken_, peer) : nullptr; }

// --- RESOLVE --------------------------------------------------------------------------------------------------------

void Peer::on(const wire::Resolve& message, Time now) {
  const bool mine = taken_ && MUTANT(m8_lower_term_obeyed, message.term == taken_->term, message.term <= taken_->term);
  if (!mine || message.cut != taken_->cut || resolved_) {
    return;
  }
  resolved_ = true;
  engine_.resolve(message.cut, message.decisions, now);
  if (!end_if_contradicted(now)) {
    repeat_requests(now);
  }
}

// Somebody has lied to the master. To go on would be to have other results than the rest: this incarnation is over.
bool Peer::end_if_contradicted(Time now) {
  if (engine_.contradiction().empty()) {
    return false;
  }
  end_by_master(engine_.contradiction(), false, now);
  return true;
}

// --- Joins: ASK, CANCEL, update -------------------------------------------------------------------------------------

bool Peer::adopted(std::uint64_t term, Epoch epoch) const {
  return taken_ && term == taken_->term && epoch <= taken_->epoch;
}

void Peer::on(const wire::Ask& message, Time) {
  if (!taken_ || !MUTANT(g17_ask_before_epoch, adopted(message.term, message.epoch), true)) {
    return;
  }
  if (promise_ && promise_->term == message.term && message.epoch < promise_->asked) {
    return;  // an older ask than the one that I promised to
  }
  promise_ = wire::Promise{.asked = message.epoch,
                           .term = message.term,
                           .count = MUTANT(promise_count_already_passed, count_ + 1, count_),
                           .joiners = message.joiners};
  promise_knew_ = newest_generation();
  tell_master(wire::Promised{*promise_});
}

void Peer::on(const wire::CancelAsk& message, Time) {
  if (!promise_ || !MUTANT(g17_ask_before_epoch, adopted(message.term, message.epoch), true)) {
    return;
  }
  if (message.term == promise_->term && message.epoch < promise_->asked) {
    return;  // of an older ask; a newer term cancels whatever older ones asked
  }
  SEAWAY_MARK("cancel releases a promise");
  promise_.reset();
}

void Peer::release_promise(const wire::EpochMessage& message) {
  if (!promise_) {
    return;
  }
  const auto answer = std::find_if(message.joins.begin(), message.joins.end(), [&](const wire::JoinRecord& join) {
    return join.generation > promise_knew_ && MUTANT(new_rates_release_nobody, true, !join.joiners.empty());
  });
  const bool answered = answer != message.joins.end();
  if (!answered && message.epoch == message.cut) {
    SEAWAY_MARK("promise kept over a loss");
  }
  if (answered && answer->point > promise_->count) {
    SEAWAY_MARK("join point above my update");
  }
  if (MUTANT(m26_loss_releases_waiters, answered, true)) {
    promise_.reset();
  }
}

std::uint32_t Peer::newest_generation() const {
  std::uint32_t newest = generation_;
  for (const wire::JoinRecord& join : taken_->joins) {
    newest = std::max(newest, join.generation);
  }
  return newest;
}

void Peer::advance_generation(Time now) {
  std::uint32_t reached = generation_;
  for (const wire::JoinRecord& join : taken_->joins) {
    if (MUTANT(generation_rises_late, join.point <= count_, join.point < count_)) {
      reached = std::max(reached, join.generation);
    }
  }
  if (reached != generation_) {
    generation_ = reached;
    engine_.enter_generation(generation_, now);
  }
}

void Peer::settle_update(Time now) {
  if (!updating_ || MUTANT(m25_no_waiting, promise_.has_value(), false)) {
    return;
  }
  updating_ = false;
  ++count_;
  const std::uint32_t before = generation_;
  advance_generation(now);
  effects_.emplace_back(UpdateDone{.update_count = count_, .new_generation = generation_ != before});
}

// --- The rest -------------------------------------------------------------------------------------------------------

void Peer::on(const wire::Introduce& message, Time now) {
  introduced_ = true;
  for (const wire::MemberInfo& info : message.peers) {
    introduce(info, now);
  }
}

void Peer::on(const wire::Waiting& message, Time) { waiting_reason_ = message.reason; }
void Peer::on(const wire::Refused& message, Time now) { end_by_master(message.reason, true, now); }
void Peer::on(const wire::Evicted& message, Time now) { end_by_master(message.reason, false, now); }
void Peer::on(const wire::HeartbeatReply&, Time) {}  // it was heard; that is all

std::string Peer::waits_for() const {
  const bool waits = stage_ == PeerStage::joining || stage_ == PeerStage::leaving || updating_;
  if (!waits) {
    return "";
  }
  if (master_.line != Line::up) {
    return "a connection to the master (attempt " + std::to_string(master_.attempts) + ")";
  }
  if (stage_ == PeerStage::leaving) {
    return "the end of its own ops";
  }
  if (updating_) {
    const std::size_t newcomers = promise_ ? promise_->joiners.size() : 0;
    return newcomers == 0 ? "the master to say where new rates begin"
                          : "the master to say where " + std::to_string(newcomers) + " newcomers join";
  }
  const std::string missing = links_missing();
  if (!missing.empty()) {
    return "links to " + missing;
  }
  return waiting_reason_.empty() ? "the master to admit it" : waiting_reason_;
}

}  // namespace seaway::core
