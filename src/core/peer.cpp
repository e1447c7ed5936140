// The peer's half of membership. This file: the connection to the master, how an incarnation ends, time.
// peer_epoch.cpp has what the master says and the update point, peer_links.cpp who dials whom.
//
// Stages (stage_):
//
//   idle     join -> joining
//   joining  EPOCH with me in it -> member; REFUSED -> gone (JoinRefused); EVICTED, EPOCH without me -> gone (JoinAnew):
//            it was admitted or about to be, and lost, without hearing of it
//   member   EVICTED, REFUSED, EPOCH without me -> gone (EvictedFromRun); leave -> leaving
//   leaving  a member for everybody else: takes EPOCH and RESOLVE, reports, promises. The engine idle, or no word from
//            the master for `evict` -> gone (LeftRun)
//   gone     nothing any more; the engine is fenced. fence() leads here from everywhere, without a word
//
// The line to the master (master_.line):
//
//   down        at next_attempt: ConnectMaster -> connecting
//   connecting  on_master_connected: HELLO, JOIN if still pending -> up; on_master_lost -> down
//   up          nothing heard for `suspect`: CloseMaster -> down; on_master_lost -> down
//
// Backoff: heartbeat/5 (100 ms), doubled up to half of `suspect` (.75 s), drawn from its upper half; back to nothing when
// the master has said something that made sense. Not longer: a master that comes back waits `evict` for the HELLO of each
// member, and a healthy one may just have connected to what came before it. What is said while the line is down is lost;
// what must not be lost is said again after HELLO (the promise is in it) or after the next EPOCH: REPORT, standing
// requests, SYNCED, LOST.
//
// Every input ends in settle(), which evaluates again whatever is open; a condition that holds is acted upon whatever
// made it hold.
#include "core/peer.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/mark.h"
#include "base/mutant.h"

namespace seaway::core {

namespace {

constexpr Duration kBackoffPerHeartbeat = 5;  // the first backoff is a heartbeat divided by this

// "" or what JOIN could not carry: the master would only see a message that is none.
std::string what_is_wrong(const PeerConfig& config) {
  const auto too_long = [](const std::string& text) { return text.size() > kMaxNameBytes; };
  if (too_long(config.name)) {
    return "the name is longer than " + std::to_string(kMaxNameBytes) + " bytes";
  }
  if (config.site.size() > kMaxSiteBytes) {
    return "the site's label is longer than " + std::to_string(kMaxSiteBytes) + " bytes";
  }
  if (config.addresses.size() > kMaxAddresses) {
    return "more than " + std::to_string(kMaxAddresses) + " addresses";
  }
  if (std::any_of(config.addresses.begin(), config.addresses.end(), too_long)) {
    return "an address is longer than " + std::to_string(kMaxNameBytes) + " bytes";
  }
  return "";
}

}  // namespace

Peer::Peer(PeerConfig config, Random random)
    : config_(std::move(config)),
      random_(random),
      engine_({.self = config_.id, .lane = config_.lane, .limits = config_.limits, .ladder = config_.ladder}),
      ladder_(config_.ladder) {
  SEAWAY_ASSERT(config_.id != kNoPeer, "an incarnation is not 0");
  SEAWAY_ASSERT(config_.lane < config_.lanes, "a lane is one of its replica's");
}

// --- The caller's calls ---------------------------------------------------------------------------------------------

void Peer::join(Time now) {
  SEAWAY_ASSERT(stage_ == PeerStage::idle, "an incarnation joins once");
  if (std::string wrong = what_is_wrong(config_); !wrong.empty()) {
    stage_ = PeerStage::gone;
    effects_.emplace_back(JoinRefused{std::move(wrong)});
    return;
  }
  stage_ = PeerStage::joining;
  master_.next_attempt = now;
  settle(now);
}

void Peer::update(Time now) {
  if (stage_ == PeerStage::leaving || stage_ == PeerStage::gone) {
    return;  // the end of this incarnation is or will be its answer
  }
  SEAWAY_ASSERT(stage_ == PeerStage::member, "only members update");
  SEAWAY_ASSERT(!updating_, "one update at a time");
  updating_ = true;
  if (promise_) {
    SEAWAY_MARK("update waits for a join");
  }
  settle(now);
}

void Peer::leave(Time now) {
  if (stage_ == PeerStage::leaving) {
    return;
  }
  if (stage_ == PeerStage::idle || stage_ == PeerStage::gone) {
    stage_ = PeerStage::gone;
    effects_.emplace_back(LeftRun{});
    return;
  }
  stage_ = PeerStage::leaving;
  leave_called_ = now;
  engine_.cancel_all("leaving", now);
  settle(now);
}

void Peer::fence(const std::string& reason, Time now) {
  if (stage_ != PeerStage::gone) {
    end(collective::Outcome::undecided, reason, now);
  }
}

void Peer::synced(std::uint64_t revision, Time now) {
  if (stage_ != PeerStage::member && stage_ != PeerStage::leaving) {
    return;
  }
  synced_revision_ = revision;
  engine_.set_standing(Standing::synced);
  tell_master(wire::Synced{revision});
  settle(now);
}

// --- The connection to the master -----------------------------------------------------------------------------------

void Peer::on_master_connected(Time now) {
  if (stage_ == PeerStage::idle || stage_ == PeerStage::gone) {
    effects_.emplace_back(CloseMaster{"this peer is not in the run"});
    return;
  }
  master_.line = Line::up;
  master_.heard = now;
  master_.next_heartbeat = now + ladder().heartbeat;
  if (master_.attempts > 1) {
    SEAWAY_MARK("reconnect to master");
  }
  introduced_ = false;
  linked_said_.reset();
  for (auto& [peer, link] : links_) {
    link.lost_said = link.lost_said && !link.connections.empty();  // said again; if it is back, that is still to say
  }
  say_hello();
  settle(now);
}

void Peer::say_hello() {
  wire::Hello hello;
  hello.run = config_.run;
  hello.uuid = config_.uuid;
  hello.id = config_.id;
  hello.promise = MUTANT(hello_without_promise, promise_, std::optional<wire::Promise>{});
  hello.taken = taken_;
  hello.was_addressed = engine_.was_addressed();
  hello.learned = engine_.final_decisions();
  hello.update_count = count_;
  tell_master(std::move(hello));
  if (stage_ == PeerStage::joining) {
    tell_master(wire::Join{.name = config_.name,
                           .replica = config_.replica,
                           .lane = config_.lane,
                           .lanes = config_.lanes,
                           .min_world = config_.min_world,
                           .rate_mbps = config_.rate_mbps,
                           .addresses = config_.addresses,
                           .site = config_.site});
  }
}

void Peer::on_master_message(const wire::MasterMessage& message, Time now) {
  if (master_.line != Line::up || stage_ == PeerStage::gone) {
    return;  // nothing read from a connection counts once it has ended
  }
  master_.heard = now;
  std::visit([&](const auto& said) { on(said, now); }, message);
  if (master_.line == Line::up) {  // it made sense
    master_.backoff = 0;
    master_.attempts = 1;
  }
  settle(now);
}

void Peer::on_master_lost(Time now) {
  if (stage_ == PeerStage::gone || master_.line == Line::down) {
    return;
  }
  lose_master(now);
  settle(now);
}

void Peer::lose_master(Time now) {
  master_.line = Line::down;
  // A connection to a master that has stopped takes `suspect` to be seen through: together less than `evict`.
  master_.backoff = longer(master_.backoff, ladder().suspect / 2);
  master_.next_attempt = now + jittered(master_.backoff);
}

void Peer::settle_master(Time now) {
  const Ladder& rungs = ladder();
  if (master_.line == Line::up && now >= master_.heard + rungs.suspect) {
    effects_.emplace_back(CloseMaster{"the master has said nothing for as long as a suspect may"});
    lose_master(now);
  }
  if (master_.line == Line::down && now >= master_.next_attempt) {
    master_.line = Line::connecting;
    ++master_.attempts;
    effects_.emplace_back(ConnectMaster{});
  }
  if (master_.line == Line::up && now >= master_.next_heartbeat) {
    master_.next_heartbeat = now + rungs.heartbeat;
    say_linked(true);
    tell_master(wire::Heartbeat{.stamp = static_cast<std::uint64_t>(now),
                                .update_count = count_,
                                .oldest_generation = engine_.oldest_generation(),
                                .finished = engine_.finished_decisions(),
                                .links = static_cast<std::uint32_t>(linked_peers().size()),
                                .open_ops = engine_.open_ops(),
                                .rate_mbps = measured_mbps_});
  }
}

// False when the line is down: then nothing was sent and nothing is queued.
bool Peer::tell_master(wire::PeerMessage message) {
  if (master_.line != Line::up) {
    return false;
  }
  effects_.emplace_back(SendToMaster{std::move(message)});
  return true;
}

// --- Endings --------------------------------------------------------------------------------------------------------

// This incarnation is over; the caller of this says to whom and why. Nothing leaves it any more.
void Peer::end(collective::Outcome outcome, const std::string& reason, Time now) {
  SEAWAY_ASSERT(stage_ != PeerStage::gone, "an incarnation ends once");
  own_due_.reset();
  const bool has_line = master_.line != Line::down;
  stage_ = PeerStage::gone;
  updating_ = false;
  promise_.reset();
  master_.line = Line::down;
  engine_.fence(outcome, reason, now);
  while (!links_.empty()) {
    forget(links_.begin()->first, reason, now);
  }
  if (has_line) {
    effects_.emplace_back(CloseMaster{reason});
  }
  collect_engine(now);
}

void Peer::end_by_master(const std::string& reason, bool refused, Time now) {
  const bool was_joining = stage_ == PeerStage::joining;
  end(collective::Outcome::evicted, reason, now);
  if (!was_joining) {
    effects_.emplace_back(EvictedFromRun{reason});
  } else if (refused) {
    effects_.emplace_back(JoinRefused{reason});
  } else {
    SEAWAY_MARK("joiner begins anew");
    effects_.emplace_back(JoinAnew{});
  }
}

Time Peer::leave_deadline() const { return std::max(leave_called_, master_.heard) + ladder().evict; }

void Peer::settle_leave(Time now) {
  if (stage_ != PeerStage::leaving) {
    return;
  }
  if (engine_.idle() && tell_master(wire::Leave{})) {
    end(collective::Outcome::undecided, "left", now);
  } else if (engine_.idle() && !taken_) {
    end(collective::Outcome::undecided, "left before it was a member", now);  // nobody waits for it
  } else if (now >= leave_deadline()) {
    SEAWAY_MARK("left without master");
    end(collective::Outcome::undecided, "left without a master: open ops are undecided", now);
  } else {
    return;
  }
  effects_.emplace_back(LeftRun{});
}

// --- The engine -----------------------------------------------------------------------------------------------------

void Peer::drain_engine(std::vector<collective::EngineEffect>& rest, Time now) {
  collect_engine(now);
  settle_leave(now);  // the only thing of membership that waits for an op to end
  for (collective::EngineEffect& effect : engine_effects_) {
    rest.push_back(std::move(effect));
  }
  engine_effects_.clear();
}

void Peer::collect_engine(Time now) {
  for (collective::EngineEffect& effect : engine_.take_effects()) {
    if (std::holds_alternative<collective::AskMismatch>(effect) ||
        std::holds_alternative<collective::AskCancel>(effect) ||
        std::holds_alternative<collective::EdgeStalled>(effect)) {
      ask_for(effect, now);
    } else {
      engine_effects_.push_back(std::move(effect));
    }
  }
}

// What the engine wants from the master. Lost with the line, and then said again by repeat_requests or by the engine.
void Peer::ask_for(const collective::EngineEffect& effect, Time now) {
  if (const auto* mismatch = std::get_if<collective::AskMismatch>(&effect)) {
    tell_master(wire::Mismatch{mismatch->op});
  } else if (const auto* cancel = std::get_if<collective::AskCancel>(&effect)) {
    tell_master(wire::CancelOp{cancel->op, cancel->reason});
  } else if (const auto* stalled = std::get_if<collective::EdgeStalled>(&effect)) {
    const auto link = links_.find(stalled->peer);
    if (link == links_.end() || !link->second.member ||
        (link->second.stall_said != 0 && now < link->second.stall_said + ladder().suspect)) {
      return;
    }
    if (tell_master(wire::Lost{stalled->peer, wire::LostKind::stalled})) {
      link->second.stall_said = now;
    }
  }
}

// --- Time and state -------------------------------------------------------------------------------------------------

void Peer::settle(Time now) {
  own_due_.reset();
  if (stage_ != PeerStage::idle && stage_ != PeerStage::gone) {
    settle_master(now);
    settle_update(now);
    settle_links(now);
  }
  collect_engine(now);
  settle_leave(now);
}

void Peer::tick(Time now) {
  engine_.tick(now);
  settle(now);
}

Time Peer::deadline() const {
  if (!own_due_) {
    own_due_ = own_deadline();
  }
  return std::min(*own_due_, engine_.deadline());
}

Time Peer::own_deadline() const {
  if (stage_ == PeerStage::idle || stage_ == PeerStage::gone) {
    return kNever;
  }
  Time due = kNever;
  if (master_.line == Line::up) {
    due = std::min({due, master_.next_heartbeat, master_.heard + ladder().suspect});
  } else if (master_.line == Line::down) {
    due = std::min(due, master_.next_attempt);
  }
  if (stage_ == PeerStage::leaving) {
    due = std::min(due, leave_deadline());
  }
  for (const auto& [peer, link] : links_) {
    due = std::min(due, link_deadline(link));
  }
  return due;
}

std::vector<PeerEffect> Peer::take_effects() { return std::exchange(effects_, {}); }

void Peer::log(std::string text) { effects_.emplace_back(LogLine{std::move(text)}); }

Duration Peer::longer(Duration backoff, Duration longest) const {
  const Duration first = std::max<Duration>(ladder().heartbeat / kBackoffPerHeartbeat, 1);
  return std::clamp(backoff * 2, first, std::max(first, longest));
}

// Drawn from the upper half, so that those who lost the same thing at once do not come back at once.
Duration Peer::jittered(Duration backoff) {
  return static_cast<Duration>(
      random_.between(static_cast<std::uint64_t>(backoff / 2), static_cast<std::uint64_t>(backoff)));
}

PeerStage Peer::stage() const { return stage_; }

const std::vector<wire::MemberInfo>& Peer::roster() const {
  static const std::vector<wire::MemberInfo> none;
  return taken_ ? taken_->roster : none;
}

Epoch Peer::epoch() const { return taken_ ? taken_->epoch : Epoch{}; }
Cut Peer::cut() const { return taken_ ? taken_->cut : Cut{}; }
std::uint64_t Peer::term() const { return taken_ ? taken_->term : 0; }
std::uint32_t Peer::generation() const { return generation_; }
std::uint64_t Peer::update_count() const { return count_; }
std::vector<PeerId> Peer::base() const {
  std::vector<PeerId> ids;
  for (const wire::Base& base : taken_->bases) {
    for (const wire::BaseMember& member : base.members) {
      if (base.generation == generation_ && member.lane == config_.lane) {
        ids.push_back(member.id);
      }
    }
  }
  return ids;
}
bool Peer::is_synced() const {
  return engine_.standing() == Standing::founder || engine_.standing() == Standing::synced;
}

void Peer::check_invariants() const {
  const bool member = stage_ == PeerStage::member || (stage_ == PeerStage::leaving && taken_.has_value());
  if (member) {
    SEAWAY_ASSERT(taken_ && in_roster(config_.id) != nullptr, "a member has an epoch with itself in it");
    SEAWAY_ASSERT(taken_->cut <= taken_->epoch, "a cut is an epoch that was");
    for (const wire::MemberInfo& other : taken_->roster) {
      SEAWAY_ASSERT(other.id == config_.id || !links_to(other) || links_.contains(other.id),
                    "there is a link for every member of my lane and of my replica");
    }
    for (const wire::JoinRecord& join : taken_->joins) {
      SEAWAY_ASSERT(join.point > count_ || join.generation <= generation_, "the generation rises at the join point");
    }
  }
  SEAWAY_ASSERT(stage_ != PeerStage::joining || !taken_, "an epoch taken ends joining");
  SEAWAY_ASSERT(!promise_ || promise_->count == count_ + 1, "a promise is about the next update");
  SEAWAY_ASSERT(!promise_ || newest_generation() <= promise_knew_, "the join that a promise was for releases it");
  SEAWAY_ASSERT(!updating_ || promise_, "an update waits only for a promise");
  SEAWAY_ASSERT(stage_ != PeerStage::gone || (links_.empty() && !updating_), "nothing is left of who is gone");
  for (const auto& [peer, link] : links_) {
    SEAWAY_ASSERT(link.member == (in_roster(peer) != nullptr), "a link knows whether it is to a member");
    SEAWAY_ASSERT(peer == link.info.id && peer != config_.id && links_to(link.info),
                  "links are to others of my lane and of my replica");
  }
  engine_.check_invariants();
}

}  // namespace seaway::core
