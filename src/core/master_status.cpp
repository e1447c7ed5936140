// Status in words, what a pending peer waits for, the deadline, and what must always be true (protocol 2 and 3, as far
// as a master can see it).
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "core/master_state.h"

namespace seaway::core {

// --- Time -----------------------------------------------------------------------------------------------------------

Time Master::deadline() const {
  const State& s = *state_;
  Time next = kNever;
  const auto due = [&](Time at) {
    if (at > s.now) {  // what was due before has been looked at, and waits for something else now
      next = std::min(next, at);
    }
  };
  if (s.stepped_down) {
    return next;
  }
  for (const auto& [id, m] : s.members) {
    due(m.heard + s.config.ladder.evict);
    if (m.closed_at) {
      due(*m.closed_at + s.config.ladder.dead_grace);
      due(*m.closed_at + s.config.ladder.evict);
      due(s.graced_until);
    }
    if (m.standing == Standing::pending) {
      for (const auto& [other, since] : m.told.introduced) {
        due(since + s.config.ladder.forming);
      }
    }
  }
  for (const auto& [conn, connection] : s.connections) {
    if (s.is_stranger(connection)) {
      due(connection.since + kStrangerPatience);
    }
  }
  if (s.collecting_since) {
    due(*s.collecting_since + s.config.ladder.evict);
  }
  return next;
}

// --- Status ---------------------------------------------------------------------------------------------------------

std::string Master::State::stage() const {
  if (stepped_down) {
    return "stepped down: another master has the run";
  }
  if (collecting_since) {
    const wire::EpochMessage* highest = highest_epoch_heard();
    return highest == nullptr ? "collecting HELLOs" : why_not_adopted(*highest);
  }
  if (writing) {
    return "waiting for the store";
  }
  if (!formed()) {
    return "epoch 1 has not formed";
  }
  if (const auto lost = lost_replicas(); !lost.empty()) {
    return "the majority rule forbids to go on without " + lost.begin()->second;
  }
  std::vector<PeerId> missing;
  std::vector<PeerId> suspect;
  for (const wire::MemberInfo& info : run.roster) {
    const Member* m = find(info.id);
    if (m != nullptr && !run.resolved && !m->report) {
      missing.push_back(info.id);
    }
    if (m != nullptr && now - m->heard >= config.ladder.suspect) {
      suspect.push_back(info.id);
    }
  }
  std::string words = "running";
  if (!run.resolved) {
    words = "resolving " + seaway::core::words_for(run.cut) + ": waiting for the reports of " + words_for(missing);
  } else if (ask) {
    words = (ask->for_rates() ? "new rates" : "joining " + words_for(ask->joiners)) + ": waiting for promises";
  }
  return suspect.empty() ? words : words + "; suspect: " + words_for(suspect);
}

MasterStatus Master::status(Time now) const {
  const State& s = *state_;
  MasterStatus status{s.run.term, s.run.epoch, s.run.cut, s.run.resolved, s.stage(), {}};
  const auto add = [&](const Member& m) {
    const bool pending = m.standing == Standing::pending;
    status.members.push_back(MemberStatus{m.info, m.conn.has_value(), pending, std::max<Duration>(0, now - m.heard),
                                          m.update_count, pending ? s.why_waiting(m) : "", m.links, m.open_ops,
                                          State::rate_of(m)});
  };
  for (const wire::MemberInfo& info : s.run.roster) {
    if (const Member* m = s.find(info.id)) {
      add(*m);
    }
  }
  for (const auto& [id, m] : s.members) {
    if (m.standing != Standing::member) {
      add(m);
    }
  }
  return status;
}

// --- What a pending peer waits for ----------------------------------------------------------------------------------

std::string Master::State::why_replica_waits(const Member& m) const {
  for (const wire::MemberInfo& info : run.roster) {
    if (info.replica == m.info.replica) {
      return "an earlier incarnation of this replica is still a member";
    }
  }
  std::set<std::uint16_t> here;
  std::vector<PeerId> unlinked;
  for (const auto& [id, other] : members) {
    if (other.standing == Standing::pending && other.info.replica == m.info.replica && other.conn) {
      here.insert(other.info.lane);
    }
    if (lacks(m, other) && (other.standing == Standing::member || are_pending_siblings(m, other))) {
      unlinked.push_back(id);
    }
  }
  std::string missing;
  for (std::uint16_t lane = 0; lane < m.lanes; ++lane) {
    if (!here.contains(lane)) {
      missing += (missing.empty() ? "" : ", ") + std::to_string(lane);
    }
  }
  if (!missing.empty()) {
    return "replica " + std::to_string(m.info.replica) + " waits for its lanes " + missing;
  }
  return unlinked.empty() ? "" : "connecting to " + words_for(unlinked);
}

std::string Master::State::why_waiting(const Member& m) const {
  if (collecting_since) {
    const wire::EpochMessage* highest = highest_epoch_heard();
    return highest == nullptr ? "" : why_not_adopted(*highest);
  }
  if (std::string reason = why_replica_waits(m); !reason.empty()) {
    return reason;
  }
  if (!formed()) {
    const auto replicas = complete_replicas();
    std::uint32_t needed = 1;
    std::vector<PeerId> unlinked;
    for (const auto& [replica, ids] : replicas) {
      for (const PeerId id : ids) {
        needed = std::max(needed, members.at(id).min_world);
        if (lacks(m, members.at(id))) {
          unlinked.push_back(id);
        }
      }
    }
    return "epoch 1 needs " + std::to_string(needed) + (needed == 1 ? " replica, " : " replicas, ") +
           std::to_string(replicas.size()) + (replicas.size() == 1 ? " is here" : " are here") +
           (unlinked.empty() ? "" : "; connecting to " + words_for(unlinked));
  }
  if (!run.resolved) {
    return "a loss is being resolved first";
  }
  std::vector<PeerId> open;
  for (const wire::MemberInfo& info : run.roster) {
    if (const Member* other = find(info.id); other != nullptr && !other->promise) {
      open.push_back(info.id);
    }
  }
  if (!ask && run.bases.size() >= kMaxOpenGenerations) {
    return "ops of the last " + std::to_string(kMaxOpenGenerations) + " generations are still open: they end first";
  }
  if (!ask || open.empty()) {
    return "it is about to be admitted";
  }
  const bool mine = std::find(ask->joiners.begin(), ask->joiners.end(), m.info.id) != ask->joiners.end();
  const char* const first = ask->for_rates() ? "new rates come first; " : "another join comes first; ";
  return std::string(mine ? "" : first) +
         "these members have not said at which update they admit others: " + words_for(open);
}

// --- Invariants -----------------------------------------------------------------------------------------------------

void Master::check_invariants() const {
  if (state_->stepped_down) {
    return;
  }
  state_->check_epochs();
  state_->check_roster();
  state_->check_decisions();
  state_->check_connections();
}

void Master::State::check_epochs() const {
  SEAWAY_ASSERT(run.term >= durable.term, "a master's term never falls below the stored one");
  SEAWAY_ASSERT(run.epoch.term <= run.term && run.cut <= run.epoch, "an epoch is of my term or an earlier one");
  SEAWAY_ASSERT(run.resolved || run.cut == run.epoch, "joins come only after the cut is resolved");
  SEAWAY_ASSERT(run.resolved || run.resolutions.empty(), "an unresolved cut has no decisions");
  SEAWAY_ASSERT(durable.epoch <= run.epoch && durable.cut <= run.cut, "epochs only rise");
  if (!dirty && !writing && run.term != 0) {
    StoredRun stored = durable;
    stored.version = run.version;
    SEAWAY_ASSERT(stored == run, "every change is written");
  }
  for (const auto& [id, m] : members) {
    if (m.told.epoch) {
      SEAWAY_ASSERT(m.told.epoch->first <= durable.term && m.told.epoch->second <= durable.epoch,
                    "an epoch is durable before it is visible");
    }
    SEAWAY_ASSERT(!m.told.cut || m.told.epoch, "EPOCH is the first thing that a master says");
    SEAWAY_ASSERT(!m.told.cut || *m.told.cut < durable.cut || (*m.told.cut == durable.cut && durable.resolved),
                  "decisions are durable before they are visible");
  }
}

void Master::State::check_roster() const {
  std::set<std::pair<std::uint32_t, std::uint16_t>> seats;
  std::map<std::uint32_t, std::uint16_t> lanes;
  std::uint32_t generation = 0;
  for (std::size_t i = 0; i < run.roster.size(); ++i) {
    const wire::MemberInfo& info = run.roster[i];
    const Member* m = find(info.id);
    SEAWAY_ASSERT(m != nullptr && m->standing == Standing::member, "who is in the roster is a member");
    SEAWAY_ASSERT(m->info == info, "a member is told of as it is known");
    SEAWAY_ASSERT(seats.emplace(info.replica, info.lane).second, "one peer for each replica and lane");
    SEAWAY_ASSERT(info.generation >= generation, "the roster is in the order of admission");
    SEAWAY_ASSERT(i == 0 || !lanes.contains(info.replica) || run.roster[i - 1].replica == info.replica,
                  "the lanes of a replica stand together");
    generation = info.generation;
    ++lanes[info.replica];
  }
  for (const auto& [replica, count] : lanes) {
    SEAWAY_ASSERT(count == lanes_of_run(), "a replica is in the roster with all its lanes or not at all");
  }
  const auto in_office_count = std::count_if(
      members.begin(), members.end(), [](const auto& entry) { return entry.second.standing == Standing::member; });
  SEAWAY_ASSERT(static_cast<std::size_t>(in_office_count) == run.roster.size(), "every member is in the roster");
  SEAWAY_ASSERT(formed() == !run.bases.empty(), "a formed run has the base of its newest generation");
  SEAWAY_ASSERT(generation <= newest_generation(), "the newest generation has a base");
  for (std::size_t i = 1; i < run.bases.size(); ++i) {
    SEAWAY_ASSERT(run.bases[i - 1].generation < run.bases[i].generation, "one base for each generation, in order");
  }
  for (std::size_t i = 1; i < run.joins.size(); ++i) {
    SEAWAY_ASSERT(run.joins[i - 1].generation < run.joins[i].generation && run.joins[i - 1].point <= run.joins[i].point,
                  "a later generation never begins before an earlier one (G16)");
  }
}

void Master::State::check_decisions() const {
  std::map<OpKey, wire::Verdict> final_verdicts;
  for (const wire::Decision& decision : run.decisions) {
    SEAWAY_ASSERT(decision.verdict != wire::Verdict::resume, "RESUME is never final");
    SEAWAY_ASSERT(final_verdicts.emplace(decision.op, decision.verdict).second, "one final decision for each op");
  }
  for (const auto* decisions : {&run.resolutions, &durable.decisions}) {
    for (const wire::Decision& decision : *decisions) {
      const auto final_verdict = final_verdicts.find(decision.op);
      SEAWAY_ASSERT(final_verdict == final_verdicts.end() || final_verdict->second == decision.verdict,
                    "a final decision never changes");
    }
  }
  for (const auto& [id, m] : members) {
    SEAWAY_ASSERT(!m.report || (m.report->term == run.term && m.report->epoch == run.epoch),
                  "a report counts for my term and the present epoch only");
    SEAWAY_ASSERT(!m.promise || answers_ask(*m.promise), "a promise answers the open ask");
  }
}

void Master::State::check_connections() const {
  for (const auto& [id, m] : members) {
    SEAWAY_ASSERT(id == m.info.id, "a member is known by its incarnation");
    SEAWAY_ASSERT(!departed.contains(id), "who has departed is no longer known");
    if (m.conn) {
      const auto found = connections.find(*m.conn);
      SEAWAY_ASSERT(found != connections.end() && found->second.peer == id, "a member's connection is its own");
      SEAWAY_ASSERT(found->second.farewell.empty(), "nobody present is sent away");
    }
  }
  std::set<PeerId> connected;
  for (const auto& [conn, connection] : connections) {
    SEAWAY_ASSERT(connection.peer == kNoPeer || connected.insert(connection.peer).second, "one connection a peer");
  }
  if (ask) {
    SEAWAY_ASSERT(why_cancelled().empty(), "an ask that is for nobody is cancelled");
  }
}

}  // namespace seaway::core
