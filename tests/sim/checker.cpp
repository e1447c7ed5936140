#include "sim/checker.h"

#include <algorithm>

#include "base/mark.h"
#include "sim/peer_process.h"
#include "sim/record.h"
#include "sim/reference.h"
#include "sim/world.h"

namespace seaway::sim {

using collective::Contributor;
using collective::Descriptor;
using collective::OpKind;
using collective::Outcome;
using collective::Result;

const char* name_of(Outcome outcome) {
  constexpr const char* names[] = {"?", "committed", "no weight", "aborted", "refused", "evicted", "undecided"};
  return names[static_cast<std::size_t>(outcome)];
}

namespace {
std::string text_of_epoch(const Epoch& epoch) {
  return "(" + std::to_string(epoch.term) + ", " + std::to_string(epoch.number) + ")";
}
}  // namespace

ReferenceAttempt Checker::attempt_of(PeerId peer, const Result& result) const {
  ReferenceAttempt attempt{result.op, result.plan, result.chunk_bytes};
  const auto bases = bases_.find({run_of(peer), result.op.generation});
  if (result.plan != collective::PlanKind::hierarchical || bases == bases_.end()) {
    return attempt;
  }
  SEAWAY_MARK("sim: a success by a hierarchical plan");
  // Of several bases the one that the op can be of.
  for (const Base& base : bases->second) {
    attempt.sites.clear();
    for (const auto& [id, rate, site] : base) {
      attempt.sites[id] = site;
    }
    const auto has = [&](const Contributor& contributor) { return attempt.sites.contains(contributor.id); };
    if (std::ranges::all_of(result.contributors, has)) {
      break;
    }
  }
  return attempt;
}

std::string Checker::text_of(const OpKey& op) const {
  return "lane " + std::to_string(op.lane) + " generation " + std::to_string(op.generation) + " tag " +
         std::to_string(op.tag) + " seq " + std::to_string(op.seq);
}

std::string Checker::record_of(PeerId peer, const PlannedOp& planned, const Descriptor& descriptor,
                               const Result& result) const {
  const auto blocks = blocks_.find({planned, peer});
  const std::vector<PeerId> owners = blocks == blocks_.end() ? std::vector<PeerId>{} : blocks->second;
  std::set<PeerId> feeding_back;
  std::map<PeerId, std::vector<collective::Share>> sends;
  for (const auto& [id, posted] : posted_.at(planned)) {
    if (posted.feeds_back) {
      feeding_back.insert(id);
    }
    if (!posted.sends.empty()) {
      sends[id] = posted.sends;
    }
  }
  return to_text({planned,
                  descriptor,
                  attempt_of(peer, result),
                  world_->options.seed,
                  result.contributors,
                  feeding_back,
                  {owners, peer},
                  sends});
}

void Checker::on_post(const PeerProcess& peer, const PlannedOp& planned, const Descriptor& descriptor,
                      std::span<const std::byte> input) {
  posted_[planned][peer.id()] = descriptor;
  replica_of_[peer.id()] = peer.site().replica;
  if (has_blocks(descriptor.kind)) {
    blocks_[{planned, peer.id()}] = peer.core().base();
  }
  if (planned.index >= kFirstSyncOp) {
    sync_inputs_[{planned, peer.id()}].assign(input.begin(), input.end());
  }
  first_post_.emplace(planned, world_->clock.now());
}

// --- Promises 1 to 5: what a caller is told -------------------------------------------------------------------------

void Checker::on_ended(const PeerProcess& peer, const PlannedOp& planned, const Descriptor& descriptor,
                       const Result& result, std::span<const std::byte> output) {
  world_->clock.note(static_cast<std::uint64_t>(result.outcome) ^ result.value.bits);
  ++world_->stats.ops[name_of(result.outcome)];
  History& history = ops_[{run_of(peer.id()), result.op.in_lane(peer.site().lane)}];
  if (history.told.empty()) {
    history.planned = planned;
  } else if (history.planned != planned) {
    // Without a store a run may go on from an older epoch, and its next generation is another one then.
    const bool forgotten = !world_->remembers() && !(is_live_member(history.first) && is_live_member(peer.id()));
    if (!forgotten && (is_success(result.outcome) || history.succeeded)) {
      throw Violation("op " + text_of(result.op) + " is another call here than there");
    }
    if (forgotten) {
      history = {};
      history.planned = planned;
    }
  }
  history.told.push_back({peer.id(), result.outcome});
  if (is_success(result.outcome)) {
    check_contributors(peer, planned, result);
    check_essence(peer, planned, descriptor, result);
    if (result.outcome == Outcome::committed) {
      check_reference(peer, planned, descriptor, result, output);
    }
    check_agreement(peer, history, result, output);
  } else if (result.outcome == Outcome::aborted || result.outcome == Outcome::refused) {
    check_cause(planned, descriptor, result);
  }
  check_split(result.op, history);
  if (result.op.is_transaction() || result.op.is_in_transaction()) {
    check_transaction(peer, descriptor, result);
  }
}

void Checker::check_contributors(const PeerProcess& peer, const PlannedOp& planned, const Result& result) const {
  std::set<PeerId> seen;
  const auto& posts = posted_.at(planned);
  const OpKind kind = posts.at(peer.id()).kind;
  for (const Contributor& contributor : result.contributors) {
    if (!seen.insert(contributor.id).second) {
      throw Violation("promise 2: somebody contributes twice to op " + text_of(result.op));
    }
    const auto post = posts.find(contributor.id);
    if (post == posts.end()) {
      throw Violation("promise 2: somebody contributes who has not posted op " + text_of(result.op));
    }
    if (unsynced_.contains({planned, contributor.id})) {
      throw Violation("promise 10: a newcomer contributes before it synced, op " + text_of(result.op));
    }
    const double weight = post->second.weighted ? post->second.weight : 1;
    if (contributor.weight != weight) {
      throw Violation("promise 2: a weight is not the one that was posted, op " + text_of(result.op));
    }
  }
  const auto is_among = [&](const auto& posts_of) {
    return std::any_of(result.contributors.begin(), result.contributors.end(),
                       [&](const Contributor& contributor) { return posts_of.contains({planned, contributor.id}); });
  };
  if (is_among(by_newcomers_) && is_among(by_synced_)) {
    throw Violation("promise 10: a newcomer that has not synced contributes with members that have, op " +
                    text_of(result.op));
  }
  const std::uint32_t quorum = posts.at(peer.id()).quorum;
  const bool suffices = quorum > 0 && seen.size() >= quorum;  // for others to be left out
  const bool all_contribute = !world_->options.stateful && !collective::has_source(kind) && !suffices;
  if (all_contribute && !seen.contains(peer.id())) {
    throw Violation("promise 2: a member that was told of success does not contribute to op " + text_of(result.op));
  }
}

void Checker::check_reference(const PeerProcess& peer, const PlannedOp& planned, const Descriptor& descriptor,
                              const Result& result, std::span<const std::byte> output) {
  if (descriptor.kind == OpKind::barrier || descriptor.kind == OpKind::transaction) {
    return;
  }
  std::vector<ReferenceInput> inputs;
  for (const Contributor& contributor : result.contributors) {
    const Descriptor& theirs = posted_.at(planned).at(contributor.id);
    inputs.push_back({contributor.id,
                      planned.index >= kFirstSyncOp ? sync_inputs_.at({planned, contributor.id})
                                                    : input_of(world_->options.seed, contributor.id, planned, theirs),
                      contributor.weight, residual_of(world_->options.seed, contributor.id, planned, theirs),
                      theirs.sends});
  }
  if (inputs.empty()) {
    throw Violation("promise 2: op " + text_of(result.op) + " is a success of nobody");
  }
  ++checked_;
  const auto blocks = blocks_.find({planned, peer.id()});
  const std::vector<PeerId> owners = blocks == blocks_.end() ? std::vector<PeerId>{} : blocks->second;
  const std::vector<std::byte> expected =
      reference(descriptor, inputs, {owners, peer.id()}, attempt_of(peer.id(), result));
  const bool right = std::equal(expected.begin(), expected.end(), output.begin(), output.end());
  // Two members see by their HOLDs that memory lies to one of them. Whoever is left alone can only believe its own.
  const auto has_posted = [&](const wire::MemberInfo& member) { return posted_.at(planned).contains(member.id); };
  if (!right && flipped_.contains(unit_of(planned)) && std::ranges::count_if(newest_roster_, has_posted) == 1) {
    return;
  }
  if (!right) {
    throw Violation("promise 1: wrong bits, op " + text_of(result.op) + " after " + std::to_string(result.attempts) +
                    " attempts; record: " + record_of(peer.id(), planned, descriptor, result));
  }
}

// Error feedback counts what was sent for good, and nothing else.
void Checker::on_residual(const PeerProcess& peer, const PlannedOp& planned, const Descriptor& descriptor,
                          const Result& result, std::span<const std::byte> residual) const {
  if (!descriptor.feeds_back) {
    return;
  }
  ReferenceInput mine{peer.id(),
                      input_of(world_->options.seed, peer.id(), planned, descriptor),
                      1,
                      residual_of(world_->options.seed, peer.id(), planned, descriptor),
                      {}};
  const bool counted = result.outcome == Outcome::committed &&
                       std::ranges::any_of(result.contributors, [&](const Contributor& contributor) {
                         return contributor.id == peer.id() && contributor.weight > 0;
                       });
  if (counted && descriptor.count > 0) {
    SEAWAY_MARK("sim: a residual is rewritten");
    encode_and_decode(descriptor, attempt_of(peer.id(), result), mine);
  }
  if (!std::ranges::equal(mine.residual, residual)) {
    throw Violation(std::string("promise 4: a residual is not what ") + (counted ? "its encoding has lost" : "it was") +
                    ", op " + text_of(result.op) + "; record: " + record_of(peer.id(), planned, descriptor, result));
  }
}

void Checker::check_agreement(const PeerProcess& peer, History& history, const Result& result,
                              std::span<const std::byte> output) {
  if (!history.succeeded) {
    history.succeeded = true;
    history.value = result.value;
    history.contributors = result.contributors;
    history.bits.assign(output.begin(), output.end());
    history.first = peer.id();
    return;
  }
  // Of a reduce-scatter and an exchange each has something else, and check_reference says whether it is the right one.
  const OpKind kind = posted_.at(history.planned).at(peer.id()).kind;
  const bool comparable =
      result.outcome == Outcome::committed && kind != OpKind::reduce_scatter && kind != OpKind::exchange;
  const bool same_bits =
      !comparable || std::equal(history.bits.begin(), history.bits.end(), output.begin(), output.end());
  const bool same = history.value == result.value && history.contributors == result.contributors && same_bits;
  // A master without a store that hears none of those who took the last epoch goes on from an older one (PROTOCOL 1).
  const bool promised = world_->remembers() || (is_live_member(history.first) && is_live_member(peer.id()));
  if (!same && !promised) {
    history.succeeded = false;
    check_agreement(peer, history, result, output);
    return;
  }
  if (!same) {
    throw Violation("promise 3: two members were told of different successes of op " + text_of(result.op));
  }
  if (dead_.contains(history.first)) {
    SEAWAY_MARK("sim: success at the dead and at the living is one value");
  }
}

// A success that is none by its own descriptor.
void Checker::check_essence(const PeerProcess& peer, const PlannedOp& planned, const Descriptor& descriptor,
                            const Result& result) const {
  if (result.outcome == Outcome::no_weight && !world_->options.stateful &&
      (!descriptor.weighted || collective::has_source(descriptor.kind))) {
    throw Violation("an op without weights has no weight: " + text_of(result.op));
  }
  if (descriptor.kind == OpKind::transfer && !result.lost.empty()) {
    throw Violation("a send succeeds, or its receive, in an attempt of one of its ends alone: " + text_of(result.op));
  }
  check_counts(peer, planned, descriptor, result);
  const bool lost = std::ranges::any_of(result.lost, [&](PeerId gone) { return !left_.contains(gone); });
  if (descriptor.fail_on_loss && lost) {
    throw Violation("an op that was to fail on a loss succeeds after one: " + text_of(result.op) + " " +
                    record_of(peer.id(), planned, descriptor, result));
  }
}

// An exchange that succeeds has lost nothing between two members: what one gives the other takes.
void Checker::check_counts(const PeerProcess& peer, const PlannedOp& planned, const Descriptor& descriptor,
                           const Result& result) const {
  const auto count = [](const std::vector<collective::Share>& list, PeerId of) {
    const auto it = std::ranges::find(list, of, &collective::Share::peer);
    return it == list.end() ? 0 : it->count;
  };
  for (const Contributor& other : result.contributors) {
    const Descriptor& theirs = posted_.at(planned).at(other.id);
    if (count(descriptor.sends, other.id) != count(theirs.receives, peer.id()) ||
        count(descriptor.receives, other.id) != count(theirs.sends, peer.id())) {
      throw Violation("an exchange succeeds although two of its members differ in their counts: " + text_of(result.op));
    }
  }
  const auto is_told = [&](const collective::Share& share) {
    const bool is_there = std::ranges::find(newest_roster_, share.peer, &wire::MemberInfo::id) != newest_roster_.end();
    const bool contributes =
        std::ranges::find(result.contributors, share.peer, &Contributor::id) != result.contributors.end();
    return is_there || contributes || std::ranges::find(result.lost, share.peer) != result.lost.end();
  };
  const bool all_count = !world_->options.stateful;  // else who was there need not contribute
  if (all_count && !std::ranges::all_of(descriptor.receives, is_told) && is_live_member(peer.id())) {
    throw Violation("an exchange has zeros of somebody who is gone, and does not say so: " + text_of(result.op));
  }
}

// Promise 5: a death alone aborts nothing that was not asked to fail.
void Checker::check_cause(const PlannedOp& planned, const Descriptor& descriptor, const Result& result) const {
  // A loss counts for who had posted before it was told to everybody.
  constexpr Duration kTold = 20 * kSecond;
  const bool recently = lost_at_ >= first_post_.at(planned) - kTold;
  bool source_lost = collective::has_source(descriptor.kind) && somebody_lost_;
  // An exchange may name who was lost long ago: whoever was there when its generation began.
  const auto is_lost = [&](const collective::Share& share) {
    return std::ranges::find(newest_roster_, share.peer, &wire::MemberInfo::id) == newest_roster_.end();
  };
  const auto name_lost = [&](const auto& posts) {
    return std::ranges::any_of(posts, [&](const auto& post) {
      return std::ranges::any_of(post.second.sends, is_lost) || std::ranges::any_of(post.second.receives, is_lost);
    });
  };
  bool names_lost = name_lost(posted_.at(planned));
  bool lanes_differ = false;
  if (in_transactions_.contains(planned)) {
    // Its lanes have different ops under one index only where a scenario says so: any broadcast of it may have lost its source,
    // any exchange may name who was lost.
    for (const auto& [other, posts] : posted_) {
      const bool is_its = other.update == planned.update && in_transactions_.contains(other);
      source_lost = source_lost || (is_its && somebody_lost_ && collective::has_source(posts.begin()->second.kind));
      names_lost = names_lost || (is_its && name_lost(posts));
    }
    // A state sync is of one lane: its members may stand otherwise than those of another.
    lanes_differ = world_->options.stateful && world_->options.lanes > 1;
  }
  const bool asked = descriptor.fail_on_loss && (recently || names_lost);
  const PlannedOp unit = unit_of(planned);
  if (!may_fail_.contains(unit) && !flipped_.contains(unit) && !source_lost && !asked && !lanes_differ) {
    throw Violation("promise 5: op " + text_of(result.op) + " is " + name_of(result.outcome) +
                    " without a cause: " + result.reason);
  }
}

// Promise 3: success here and failure there, both live members of the newest roster. An ABORT that the master decided
// is final for everybody where a store keeps it.
void Checker::check_split(const OpKey& key, const History& history) const {
  const auto live_success = [&](const Told& told) { return is_success(told.outcome) && is_live_member(told.peer); };
  for (const Told& told : history.told) {
    if (told.outcome != Outcome::aborted && told.outcome != Outcome::refused) {
      continue;
    }
    const bool final_everywhere = told.outcome == Outcome::aborted && world_->remembers();
    if (final_everywhere && history.succeeded) {
      throw Violation("promise 3: op " + text_of(key) + " is aborted by decision and was a success");
    }
    // Who posts another op when the others have their quorum is refused alone.
    const auto& posts = posted_.at(history.planned);
    const bool alone = told.outcome == Outcome::refused && history.succeeded && posts.at(told.peer).quorum > 0 &&
                       digest_of(posts.at(told.peer)) != digest_of(posts.at(history.first));
    if (alone) {
      SEAWAY_MARK("sim: a straggler that differs is refused alone");
    } else if (is_live_member(told.peer) && std::any_of(history.told.begin(), history.told.end(), live_success)) {
      throw Violation("promise 3: op " + text_of(key) + " succeeds at one live member and fails at another");
    }
  }
}

unsigned Checker::run_of(PeerId peer) const {
  const auto it = run_of_.find(peer);
  return it == run_of_.end() ? runs_ : it->second;
}

bool Checker::is_live_member(PeerId peer) const {
  return !dead_.contains(peer) && std::any_of(newest_roster_.begin(), newest_roster_.end(),
                                              [&](const auto& member) { return member.id == peer; });
}

// --- Epochs: one epoch, one roster; one generation, one join point and base -------------------------------------------------

void Checker::on_epoch(const wire::EpochMessage& epoch) {
  std::vector<PeerId> ids;
  for (const wire::MemberInfo& member : epoch.roster) {
    ids.push_back(member.id);
  }
  // Everybody was gone, or was not heard in time, and nothing remembers: a new run, whose generations and ops begin anew
  // while those of the old one may still be told of theirs.
  const bool is_new_run = epoch.epoch.number == 1 && !rosters_.empty() && !rosters_.contains(epoch.epoch);
  const auto old = std::ranges::find_if(ids, [&](PeerId id) { return run_of_.contains(id); });
  const unsigned run = is_new_run ? ++runs_ : old == ids.end() ? runs_ : run_of(*old);
  for (const PeerId id : ids) {
    run_of_[id] = run;
  }
  constexpr Duration kKnown = 20 * kSecond;
  if (world_->remembers() && !epoch.stateful && synced_at_ < world_->clock.now() - kKnown) {
    throw Violation("promise 10: EPOCH does not say that the run is stateful");
  }
  const auto [it, fresh] = rosters_.emplace(epoch.epoch, ids);
  if (!fresh && it->second != ids) {
    throw Violation("epoch " + text_of_epoch(epoch.epoch) + " has two rosters");
  }
  for (const wire::JoinRecord& join : epoch.joins) {
    const auto [point, first] = join_points_.emplace(std::pair(run, join.generation), join.point);
    if (first) {
      world_->outrun(join.point);
    }
    if (!first && point->second != join.point && world_->remembers()) {
      throw Violation("generation " + std::to_string(join.generation) + " has two join points");
    }
  }
  for (const wire::Base& base : epoch.bases) {
    Base members;
    for (const wire::BaseMember& member : base.members) {
      members.emplace_back(member.id, member.rate_mbps, member.site);
    }
    std::vector<Base>& known = bases_[{run, base.generation}];
    if (std::ranges::find(known, members) == known.end()) {
      known.push_back(std::move(members));
    }
    if (known.size() > 1 && world_->remembers()) {
      throw Violation("generation " + std::to_string(base.generation) + " has two bases");
    }
  }
  // Without a store a term that nobody has heard of may be followed by a lower one.
  const bool newer = epoch.epoch > newest_ || (fresh && !world_->remembers());
  if (newer && run == runs_) {
    for (const wire::MemberInfo& member : newest_roster_) {
      if (std::find(ids.begin(), ids.end(), member.id) == ids.end()) {
        somebody_lost_ = true;
        // A master that dies with a LEAVE in its ear leaves the next one with a peer that is silent; one that stood still may
        // hear of it when it has decided.
        const auto& kinds = world_->options.kinds;
        const bool steady = world_->masters.size() == 1 && !kinds.contains(Fault::master_restart) &&
                            !kinds.contains(Fault::master_stall);
        lost_at_ = steady && left_.contains(member.id) ? lost_at_ : world_->clock.now();
      }
    }
    newest_ = epoch.epoch;
    newest_roster_ = epoch.roster;
  }
  if (world_->remembers() && (!world_->store.record() || world_->store.record()->epoch < epoch.epoch)) {
    throw Violation("an epoch is announced before it is durable");
  }
}

// --- Promises 6 and 8: nobody healthy is punished -------------------------------------------------------------------

void Checker::excuse(HostId host, Time until) {
  Time& excused = excused_[host];
  excused = std::max(excused, until);
}

void Checker::excuse_everyone(Time until) {
  for (const auto& site : world_->sites) {
    excuse(site->host, until);
  }
}

void Checker::trouble(HostId host) {
  constexpr Duration kSoon = 8 * kSecond;
  const Time now = world_->clock.now();
  const auto before = troubled_.find(host);
  if (before != troubled_.end() && now - before->second < kSoon) {
    excuse(host, now + kSoon);
  }
  troubled_[host] = now;
}

void Checker::trouble_everyone() {
  for (const auto& site : world_->sites) {
    trouble(site->host);
  }
}

void Checker::on_evicted(const PeerProcess& peer, const std::string& reason) {
  if (reason.starts_with(collective::kContradiction)) {  // nobody lies here
    throw Violation("promise 2: h" + std::to_string(peer.site().host) + " " + reason);
  }
  somebody_lost_ = true;
  dead_.insert(peer.id());
  const Time now = world_->clock.now();
  for (const auto& site : world_->sites) {
    // A replica lives and dies with each of its lanes.
    const auto excused = excused_.find(site->host);
    if (site->replica == peer.site().replica && excused != excused_.end() && now <= excused->second) {
      return;
    }
  }
  throw Violation("promise 8: a healthy peer (h" + std::to_string(peer.site().host) + ") is evicted: " + reason);
}

void Checker::on_left(const PeerProcess& peer) { dead_.insert(peer.id()); }

void Checker::on_death(const PeerProcess& peer) {
  dead_.insert(peer.id());
  excuse(peer.site().host, kNever);
}

void Checker::at_the_end() const {
  for (const auto& [key, history] : ops_) {
    check_split(key.second, history);
  }
}

}  // namespace seaway::sim
