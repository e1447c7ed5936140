// Who is lost, how a peer departs, and the cut that follows.
//
// | a member is lost when                                                     | how soon                          |
// |---------------------------------------------------------------------------|-----------------------------------|
// | nothing was heard of it (and something of somebody)                       | `evict`                           |
// | dead at once: FIN or RST on its connection, LOST(closed) from every other | `dead_grace` after its connection |
// | member of its lane, no HELLO since; the last one of its lane              | .. `evict` after it               |
// | its replica left: all its lanes said LEAVE                                | at once, reason LEFT              |
// | another lane of its replica is lost                                       | with it: the replica is the unit  |
// | the same uuid came back as a new incarnation; an operator says so         | at once                           |
// | it holds an op up over an edge that stays stalled: the last resort        | `stall` (peer) + `evict`          |
//
// After a gap in which nothing was heard nobody is dead at once before `evict`: what is read then is old.
//
// A pending peer is dropped after `evict` of silence, or `dead_grace` after FIN or RST.
//
// Who is itself without a connection for `dead_grace` is not asked for a LOST: two that die together do not wait for one another.
// LOST(closed) counts when it is not older than `evict` before the FIN: a link that broke long ago says nothing now.
// A stalled edge is repeated by its end every `suspect` while it lasts. Repeated over `evict`, with both ends
// connected, the end with more stalled edges to different members is evicted; tie: the younger in roster order.
//
// A departure erases the Member and raises a cut, in one step, whatever else is open: an unresolved cut is swallowed.
// Majority rule (an option, only without a store): no cut leaves half or less of the last roster whose reports all came
// in, nor of a roster joined since; exactly half counts with its oldest member. Until then the lost stay in the roster.
#include <algorithm>
#include <utility>

#include "core/master_state.h"

namespace seaway::core {

// --- Signs of life --------------------------------------------------------------------------------------------------

void Master::State::give_everyone_fresh_grace() {
  // What is read now was said while nobody listened: a FIN among it may be followed by a HELLO that is under way.
  graced_until = now + config.ladder.evict;
  for (auto& [id, m] : members) {
    SEAWAY_MARK("fresh grace after hearing nobody");
    m.heard = now;
    m.stalled.clear();
    if (m.closed_at) {
      m.closed_at = now;
    }
    for (auto& [other, since] : m.told.introduced) {
      since = now;
    }
  }
  if (collecting_since) {
    collecting_since = now;
  }
}

bool Master::State::silent(const Member& m) const {
  return now - m.heard >= config.ladder.evict && now - heard_anyone <= config.ladder.suspect;
}

bool Master::State::closed_everywhere(const Member& m) const {
  // Who said LEAVE closes its connection and waits for its sibling lanes: they have `evict` to say it too.
  if (m.leaving || !m.closed_at || now < graced_until) {
    return false;
  }
  bool witnessed = false;
  for (const wire::MemberInfo& info : run.roster) {
    if (info.lane != m.info.lane || info.id == m.info.id) {
      continue;
    }
    const Member* other = find(info.id);
    if (other != nullptr && other->closed_at && now >= *other->closed_at + config.ladder.dead_grace) {
      SEAWAY_MARK("two that die together");
      continue;  // it does not come back to say anything
    }
    witnessed = true;
    const auto seen = other == nullptr ? m.sees_closed.end() : other->sees_closed.find(m.info.id);
    if (other != nullptr && (seen == other->sees_closed.end() || seen->second < *m.closed_at - config.ladder.evict)) {
      return false;
    }
  }
  // The last member of its lane has nobody to witness its death, and a RST may come from a box in between.
  const Duration grace =
      witnessed ? MUTANT(dead_at_once_without_grace, config.ladder.dead_grace, 0) : config.ladder.evict;
  return now >= *m.closed_at + grace;
}

std::string Master::State::why_lost(const Member& m) const {
  if (!m.doomed.empty()) {
    return m.doomed;
  }
  if (closed_everywhere(m)) {
    return "dead: its connection to the master and those to every other member were closed";
  }
  return silent(m) ? "silent for " + std::to_string((now - m.heard) / kMillisecond) + " ms" : "";
}

bool Master::State::drop_pending() {
  for (auto& [id, m] : members) {
    if (m.standing != Standing::pending) {
      continue;
    }
    const bool closed = m.closed_at && now >= *m.closed_at + config.ladder.dead_grace;
    if (closed || silent(m)) {
      const std::string reason = closed ? "its connection was closed" : why_lost(m);
      log(words_for(m.info) + " is no longer pending: " + reason);
      erase(id, reason);
      return true;
    }
  }
  return false;
}

// --- Stalled edges --------------------------------------------------------------------------------------------------

void Master::State::judge_stalled_edge(Member& from, Member& about) {
  const auto [entry, first_time] = from.stalled.try_emplace(about.info.id, StalledEdge{now, now});
  StalledEdge& edge = entry->second;
  edge.last = now;
  if (first_time) {
    log("the edge from " + words_for(from.info) + " to " + words_for(about.info) + " moves no byte");
  }
  if (!about.conn || now - about.heard > config.ladder.suspect) {
    edge.first = now;  // the master does not hear that end either: that is its silence, not the edge
  }
  if (now - edge.first < config.ladder.evict || !from.conn || !about.conn) {
    return;
  }
  const std::size_t of_from = stalled_edges(from.info.id);
  const std::size_t of_about = stalled_edges(about.info.id);
  const auto place = [&](const Member& m) {
    return std::find_if(run.roster.begin(), run.roster.end(),
                        [&](const wire::MemberInfo& info) { return info.id == m.info.id; });
  };
  const bool younger = place(from) > place(about);
  Member& worse = of_from > of_about || (of_from == of_about && younger) ? from : about;
  SEAWAY_MARK("edge stalled for long, one end evicted");
  worse.doomed = "the edge between " + words_for(from.info) + " and " + words_for(about.info) +
                 " has moved no byte for long and holds an op up; of its ends this one has " +
                 (of_from == of_about ? "joined later" : "more such edges");
}

std::size_t Master::State::stalled_edges(PeerId id) const {
  std::set<PeerId> others;
  for (const auto& [from, m] : members) {
    for (const auto& [about, edge] : m.stalled) {
      if (from == id) {
        others.insert(about);
      } else if (about == id) {
        others.insert(from);
      }
    }
  }
  return others.size();
}

// An edge that is not repeated has recovered.
bool Master::State::forget_recovered_edges() {
  for (auto& [id, m] : members) {
    std::erase_if(m.stalled, [&](const auto& entry) { return now - entry.second.last > 3 * config.ladder.suspect; });
  }
  return false;
}

// --- Departure ------------------------------------------------------------------------------------------------------

std::map<std::uint32_t, std::string> Master::State::lost_replicas() const {
  std::map<std::uint32_t, std::string> lost;
  std::set<std::uint32_t> stay;  // replicas with a lane that has not said LEAVE
  for (const wire::MemberInfo& info : run.roster) {
    const Member* m = find(info.id);
    const std::string reason = m == nullptr ? "" : why_lost(*m);
    if (!reason.empty()) {
      lost.emplace(info.replica, words_for(info) + ": " + reason);
    }
    if (m != nullptr && !m->leaving) {
      stay.insert(info.replica);
    }
  }
  for (const wire::MemberInfo& info : run.roster) {
    if (!stay.contains(info.replica)) {
      lost.emplace(info.replica, words_for(info) + " left");
    }
  }
  return lost;
}

bool Master::State::majority_allows(const std::map<std::uint32_t, std::string>& lost) const {
  if (!config.majority || config.has_store) {
    return true;
  }
  std::set<PeerId> stay;
  for (const wire::MemberInfo& info : run.roster) {
    if (!lost.contains(info.replica)) {
      stay.insert(info.id);
    }
  }
  for (const std::vector<PeerId>& roster : confirmed) {
    const auto kept = static_cast<std::size_t>(
        std::count_if(roster.begin(), roster.end(), [&](PeerId id) { return stay.contains(id); }));
    const bool half_with_the_oldest = 2 * kept == roster.size() && kept > 0 && stay.contains(roster.front());
    if (2 * kept <= roster.size() && !half_with_the_oldest) {
      return false;
    }
  }
  return true;
}

bool Master::State::depart() {
  const auto lost = lost_replicas();
  if (lost.empty()) {
    return false;
  }
  if (!majority_allows(lost)) {
    SEAWAY_MARK("majority rule holds a cut back");
    return false;
  }
  std::string reason;
  std::vector<std::pair<PeerId, std::string>> gone;
  for (const wire::MemberInfo& info : run.roster) {
    const auto of_replica = lost.find(info.replica);
    const Member* m = find(info.id);
    const bool goes = of_replica != lost.end() && m != nullptr;
    if (goes && MUTANT(evict_one_lane_only, true, (!why_lost(*m).empty() || m->leaving))) {
      gone.emplace_back(info.id, m->leaving ? "it left" : of_replica->second);
    }
  }
  for (const auto& [replica, why] : lost) {
    reason += (reason.empty() ? "" : "; ") + why;
  }
  if (run.resolved) {
    evicted_live.clear();
  }
  for (const auto& [id, why] : gone) {
    const Member& m = members.at(id);
    if (m.conn && !m.leaving) {
      evicted_live.insert(id);
    }
    if (MUTANT(leave_counts_as_loss, m.leaving, false)) {
      mark_left(id);
    }
    erase(id, why);
  }
  raise_cut(reason);
  return true;
}

void Master::State::mark_left(PeerId id) {
  for (wire::Base& base : run.bases) {
    for (wire::BaseMember& m : base.members) {
      m.left = m.left || m.id == id;
    }
  }
}

void Master::State::erase(PeerId id, const std::string& reason) {
  Member& m = members.at(id);
  const bool pending = m.standing == Standing::pending;
  if (m.conn) {
    if (pending) {
      refuse(*m.conn, reason);
    } else {
      connections.at(*m.conn).farewell = bounded(reason);
    }
  }
  if (!pending || m.asked_for) {
    departed[id] = bounded(reason);  // its incarnation is over, whenever and wherever it says HELLO again
  }
  members.erase(id);
  for (auto& [other_id, other] : members) {
    other.told.introduced.erase(id);
    other.sees_closed.erase(id);
    other.stalled.erase(id);
    other.linked.erase(id);
  }
}

// --- The cut --------------------------------------------------------------------------------------------------------

// An epoch raised by a loss or a round. The roster is whoever of it is left, in the same order.
void Master::State::raise_cut(const std::string& reason) {
  if (!run.resolved) {
    SEAWAY_MARK("loss while a cut is unresolved");
  }
  if (writing) {
    SEAWAY_MARK("loss while a write is outstanding");
  }
  if (ask) {
    SEAWAY_MARK("loss while an ask is open");
  }
  run.epoch = Epoch{run.term, run.epoch.number + 1};
  run.cut = run.epoch;
  run.resolved = false;
  inherited_resolution = false;
  run.resolutions.clear();
  std::erase_if(run.roster, [&](const wire::MemberInfo& info) { return member(info.id) == nullptr; });
  for (auto& [id, m] : members) {
    m.report.reset();
  }
  prune();
  dirty = true;
  if (run.roster.empty()) {
    SEAWAY_MARK("last replica gone");
  }
  log(seaway::core::words_for(run.epoch) + ", " + std::to_string(run.roster.size()) + " members: " + reason);
}

bool Master::State::passed_by_all(const wire::JoinRecord& join) const {
  return std::all_of(run.roster.begin(), run.roster.end(), [&](const wire::MemberInfo& info) {
    const Member* m = find(info.id);
    return m != nullptr && m->took && m->update_count >= join.point;
  });
}

bool Master::State::finished_by_all(const wire::Decision& decision) const {
  return std::all_of(run.roster.begin(), run.roster.end(), [&](const wire::MemberInfo& info) {
    const Member* m = find(info.id);
    return !in_roster_of(info, decision.op) || (m != nullptr && m->finished.contains(decision.op));
  });
}

// Forgets what no member needs any more. Called only where a write follows anyway, so that what is pruned is durable.
void Master::State::prune() {
  std::erase_if(run.joins, [&](const wire::JoinRecord& join) {
    return passed_by_all(join) || MUTANT(rates_point_forgotten, false, join.joiners.empty());
  });
  std::erase_if(run.decisions, [&](const wire::Decision& decision) { return finished_by_all(decision); });
  for (auto& [id, m] : members) {
    std::erase_if(m.finished, [&](const OpKey& op) { return final_decision(op) == nullptr; });
  }
  std::uint32_t needed = newest_generation();
  std::uint32_t newest_in_use = 0;
  for (const wire::MemberInfo& info : run.roster) {
    const Member* m = find(info.id);
    const std::uint32_t oldest = std::max(info.generation, m == nullptr ? 0 : m->oldest_generation);
    needed = std::min(needed, oldest);
    newest_in_use = std::max(newest_in_use, oldest);
  }
  const std::uint32_t keep = MUTANT(base_dropped_early, needed, std::max(needed, newest_in_use));
  std::erase_if(run.bases, [&](const wire::Base& base) {
    return base.generation < keep && base.generation != newest_generation();
  });
}

}  // namespace seaway::core
