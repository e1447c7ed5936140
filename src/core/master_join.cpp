// Pending peers: introduced, linked, asked for, admitted or refused.
//
// | a pending replica                                     | then                                                   |
// |-------------------------------------------------------|--------------------------------------------------------|
// | lacks lanes                                           | WAITING says which                                     |
// | is introduced                                         | to all members of its lanes and to the other pending   |
// |                                                       | ones, and they to it: INTRODUCE adds, never takes      |
// |                                                       | away; and its lanes to one another                     |
// | its lanes are not linked to one another               | as not linked to another pending one                   |
// | is linked to all members of its lanes, before epoch 1 | founder (master_start.cpp)                             |
// | .. in a formed run                                    | admissible, together with whoever it is linked to      |
// | is not linked to a member `forming` after INTRODUCE   | REFUSED, naming the member and its addresses           |
// | is not linked to another pending one for as long      | REFUSED is the one that lacks more links; tie: the     |
// |                                                       | younger                                                |
// | has the replica and lane of an earlier one            | waits until that one is lost: mostly it was this one's |
// |                                                       | life before. Heard `suspect` after JOIN: REFUSED       |
//
// There is one forming clock for each pair, so that nobody is refused for having met someone who died: the clock of a
// peer that is gone goes with it, and stands still while the other end is suspect or not connected.
//
// | the ask                                                 |                                                        |
// |---------------------------------------------------------|--------------------------------------------------------|
// | opens: cut resolved, nothing being written, nobody lost | ASK(term, epoch, joiners) to all members, after EPOCH  |
// | a promise counts: my term, that epoch, those joiners    | also when it comes in a HELLO                          |
// | a member is lost                                        | promises of the rest stay valid; the cut is resolved   |
// |                                                         | first                                                  |
// | a joiner is lost                                        | its replica is left out; none left: CANCEL             |
// | new rates pay, and nobody is admissible                 | it names no joiners, and is never cancelled; newcomers |
// |                                                         | wait for the next one                                  |
// | all members promised                                    | point = max(promises, stored join points) (G16); EPOCH |
// |                                                         | with the join, durable first; generation + 1           |
// | a new master                                            | has no open ask: cancels each promise in a HELLO (G15) |
//
// A joiner that an ask has named and that is dropped is over as an incarnation, and one without joiners ends in another epoch:
// so no two asks of one (term, epoch) name the same joiners, and a promise tells which of them it answers.
#include <algorithm>
#include <utility>

#include "core/master_state.h"

namespace seaway::core {

// --- Who could be admitted ------------------------------------------------------------------------------------------

std::map<std::uint32_t, std::vector<PeerId>> Master::State::complete_replicas() const {
  std::map<std::uint32_t, std::map<std::uint16_t, PeerId>> lanes;
  std::map<std::uint32_t, std::vector<PeerId>> complete;
  for (const auto& [id, m] : members) {
    if (m.standing == Standing::pending && m.conn) {
      PeerId& first = lanes[m.info.replica][m.info.lane];
      first = first == kNoPeer || m.arrival < members.at(first).arrival ? id : first;
    }
  }
  for (const wire::MemberInfo& info : run.roster) {
    if (lanes.erase(info.replica) > 0) {  // an earlier incarnation is still a member
      SEAWAY_MARK("newcomer waits for its life before");
    }
  }
  for (const auto& [replica, by_lane] : lanes) {
    if (by_lane.size() == members.at(by_lane.begin()->second).lanes) {
      for (const auto& [lane, id] : by_lane) {
        complete[replica].push_back(id);
      }
    }
  }
  return complete;
}

// Lanes of one replica that join together. They are members together, too, and have their links by then.
bool Master::State::are_pending_siblings(const Member& m, const Member& other) {
  return m.info.replica == other.info.replica && m.info.lane != other.info.lane && m.standing == Standing::pending &&
         other.standing == Standing::pending;
}

bool Master::State::lacks(const Member& m, const Member& other) const {
  const bool needs = other.info.lane == m.info.lane || are_pending_siblings(m, other);
  if (other.info.id == m.info.id || !needs || other.standing == Standing::returning) {
    return false;
  }
  return !m.linked.contains(other.info.id) ||
         (other.standing == Standing::pending && !other.linked.contains(m.info.id));
}

std::size_t Master::State::missing_links(const Member& m) const {
  return static_cast<std::size_t>(
      std::count_if(members.begin(), members.end(), [&](const auto& entry) { return lacks(m, entry.second); }));
}

bool Master::State::linked_to_members(const Member& m) const {
  return std::all_of(run.roster.begin(), run.roster.end(), [&](const wire::MemberInfo& info) {
    return info.lane != m.info.lane || m.linked.contains(info.id);
  });
}

bool Master::State::mutually_linked(const std::vector<PeerId>& a, const std::vector<PeerId>& b) const {
  for (const PeerId x : a) {
    for (const PeerId y : b) {
      if (lacks(members.at(x), members.at(y))) {
        return false;
      }
    }
  }
  return true;
}

// Greedy, those that are linked to most first, so that one unreachable newcomer does not stand in the way of the rest.
std::vector<std::uint32_t> Master::State::admissible() const {
  auto replicas = complete_replicas();
  std::erase_if(replicas, [&](const auto& entry) {
    return !std::all_of(entry.second.begin(), entry.second.end(), [&](PeerId id) {
      return linked_to_members(members.at(id));
    }) || !mutually_linked(entry.second, entry.second);
  });
  const auto arrival = [&](std::uint32_t replica) { return members.at(replicas.at(replica).front()).arrival; };
  std::map<std::uint32_t, std::size_t> links;
  std::vector<std::uint32_t> candidates;
  for (const auto& [replica, ids] : replicas) {
    candidates.push_back(replica);
    for (const auto& [other, other_ids] : replicas) {
      links[replica] += mutually_linked(ids, other_ids) ? 1 : 0;
    }
  }
  std::sort(candidates.begin(), candidates.end(), [&](std::uint32_t a, std::uint32_t b) {
    return links[a] != links[b] ? links[a] > links[b] : arrival(a) < arrival(b);
  });
  std::vector<std::uint32_t> chosen;
  for (const std::uint32_t candidate : candidates) {
    if (std::all_of(chosen.begin(), chosen.end(),
                    [&](std::uint32_t other) { return mutually_linked(replicas.at(candidate), replicas.at(other)); })) {
      chosen.push_back(candidate);
    }
  }
  std::sort(chosen.begin(), chosen.end(), [&](std::uint32_t a, std::uint32_t b) { return arrival(a) < arrival(b); });
  return chosen;
}

// --- Forming --------------------------------------------------------------------------------------------------------

// Not at once: it may be the first one's next life, and what is heard of that one just now was said before it died.
bool Master::State::refuse_rivals() {
  for (const auto& [id, newcomer] : members) {
    if (newcomer.standing != Standing::pending) {
      continue;
    }
    for (const auto& [other, first] : members) {
      const bool same_place = first.info.replica == newcomer.info.replica && first.info.lane == newcomer.info.lane;
      const bool lives_on =
          first.conn && MUTANT(place_taken_at_once, first.heard >= newcomer.joined + config.ladder.suspect, true);
      if (same_place && first.arrival < newcomer.arrival && lives_on) {
        const std::string reason = "replica " + std::to_string(newcomer.info.replica) + ", lane " +
                                   std::to_string(newcomer.info.lane) + " is taken by " + words_for(first.info);
        log("refused " + words_for(newcomer.info) + ": " + reason);
        erase(id, reason);
        return true;
      }
    }
  }
  return false;
}

bool Master::State::refuse_unlinked() {
  for (auto& [id, m] : members) {
    if (m.standing != Standing::pending || !m.conn) {
      continue;
    }
    std::string unreachable;
    for (auto& [other_id, since] : m.told.introduced) {
      const Member* other = find(other_id);
      if (other == nullptr) {
        continue;
      }
      const bool suspect = !other->conn || now - other->heard >= config.ladder.suspect;
      if (suspect || !lacks(m, *other)) {
        since = now;
        continue;
      }
      const std::size_t mine = missing_links(m);
      const std::size_t theirs = missing_links(*other);
      const bool i_am_worse =
          other->standing == Standing::member || mine > theirs || (mine == theirs && m.arrival > other->arrival);
      if (now - since >= config.ladder.forming && i_am_worse) {
        unreachable += (unreachable.empty() ? "" : ", ") + words_for(other->info);
        for (const std::string& address : other->info.addresses) {
          unreachable += (address == other->info.addresses.front() ? " at " : " or ") + address;
        }
      }
    }
    if (!unreachable.empty()) {
      SEAWAY_MARK("newcomer refused: not linked");
      const std::string reason = "no connection in " + std::to_string(config.ladder.forming / kMillisecond) +
                                 " ms with " + unreachable + ": check addresses, firewalls and port forwarding";
      log("refused " + words_for(m.info) + ": " + reason);
      erase(id, reason);
      return true;
    }
  }
  return false;
}

bool Master::State::introduce() {
  const bool anyone_pending = std::any_of(members.begin(), members.end(),
                                          [](const auto& entry) { return entry.second.standing == Standing::pending; });
  if (!anyone_pending || (run.term != 0 && !in_office())) {
    return false;
  }
  bool told_anyone = false;
  for (auto& [id, m] : members) {
    const bool listens =
        m.conn && (m.standing == Standing::pending || (m.standing == Standing::member && m.told.epoch));
    if (!listens) {
      continue;
    }
    wire::Introduce message;
    for (const auto& [other_id, other] : members) {
      const bool needs = other.standing == Standing::pending ||
                         (other.standing == Standing::member && m.standing == Standing::pending);
      const bool to_it = other.info.lane == m.info.lane || are_pending_siblings(m, other);
      if (needs && to_it && other_id != id && m.told.introduced.try_emplace(other_id, now).second) {
        message.peers.push_back(other.info);
      }
    }
    if (!message.peers.empty()) {
      send(*m.conn, std::move(message));
      told_anyone = true;
    }
  }
  return told_anyone;
}

// --- The ask --------------------------------------------------------------------------------------------------------

bool Master::State::answers_ask(const wire::Promise& promise) const {
  return ask && promise.term == run.term &&
         MUTANT(rates_promise_answers_any_ask, promise.asked == ask->epoch && promise.joiners == ask->joiners,
                promise.joiners.empty() || promise.joiners == ask->joiners);
}

bool Master::State::open_ask() {
  if (!formed() || ask || !run.resolved || !quiet() || !lost_replicas().empty()) {
    return false;
  }
  const std::vector<std::uint32_t> replicas = admissible();
  if (replicas.empty() && !new_rates_pay()) {
    return false;
  }
  if (run.bases.size() >=
      (replicas.empty() ? kMaxOpenGenerations / 2 : kMaxOpenGenerations)) {  // newcomers need some, too
    const StoredRun before = run;
    prune();
    dirty = !(run == before);
    return dirty;  // durable first; then the ask, if there is room now
  }
  const auto peers = complete_replicas();
  ask = OpenAsk{run.epoch, {}};
  for (const std::uint32_t replica : replicas) {
    for (const PeerId id : peers.at(replica)) {
      ask->joiners.push_back(id);
      members.at(id).asked_for = true;
    }
  }
  for (auto& [id, m] : members) {
    m.promise.reset();
    m.told.asked = false;
  }
  log("asks at which update to " + (ask->for_rates() ? "deal by new rates" : "admit " + words_for(ask->joiners)));
  return true;
}

// The joiners of the open ask whose replica has lost no lane.
std::vector<PeerId> Master::State::joiners_left() const {
  std::map<std::uint32_t, std::size_t> present;
  for (const PeerId id : ask->joiners) {
    if (const Member* m = find(id)) {
      ++present[m->info.replica];
    }
  }
  std::vector<PeerId> left;
  for (const PeerId id : ask->joiners) {
    const Member* m = find(id);
    if (m != nullptr && present[m->info.replica] == m->lanes) {
      left.push_back(id);
    }
  }
  return left;
}

std::uint64_t Master::State::join_point() const {
  std::uint64_t promised = 0;
  std::uint64_t smallest = UINT64_MAX;
  std::uint64_t stored = 0;
  for (const wire::MemberInfo& info : run.roster) {
    const std::uint64_t count = members.at(info.id).promise->count;
    promised = std::max(promised, count);
    smallest = std::min(smallest, count);
  }
  for (const wire::JoinRecord& join : run.joins) {
    stored = std::max(stored, join.point);
  }
  if (stored > promised) {
    SEAWAY_MARK("join point raised by a stored one");
  }
  const std::uint64_t largest = MUTANT(g16_stored_points_ignored, std::max(promised, stored), promised);
  return MUTANT(m24_smallest_promise, largest, std::min(largest, smallest));
}

// One for new rates ends so when nobody is left whom it was asked of: the epoch has risen since.
std::string Master::State::why_cancelled() const {
  if (ask->for_rates()) {
    return run.roster.empty() ? "no member is left" : "";
  }
  return joiners_left().empty() ? "no joiner is left" : "";
}

void Master::State::cancel_ask(const std::string& reason) {
  SEAWAY_MARK("ask cancelled");
  for (auto& [id, m] : members) {
    // Who is not connected shows its promise in HELLO; one that did was not asked again.
    m.cancel_due = m.cancel_due || m.told.asked || m.promise.has_value();
    m.promise.reset();
    m.told.asked = false;
  }
  ask.reset();
  log("the join is cancelled: " + reason);
}

bool Master::State::close_ask() {
  if (!ask) {
    return false;
  }
  if (const std::string reason = why_cancelled(); !reason.empty()) {
    cancel_ask(reason);
    return true;
  }
  std::vector<PeerId> left = joiners_left();
  const auto connected = complete_replicas();
  std::erase_if(left, [&](PeerId id) {  // not connected just now: with the next ask, or dropped by then
    return !connected.contains(members.at(id).info.replica);
  });
  const bool for_somebody = !left.empty() || ask->for_rates();
  const bool all_promised = std::all_of(run.roster.begin(), run.roster.end(), [&](const wire::MemberInfo& info) {
    const Member* m = find(info.id);
    return m != nullptr && m->promise;
  });
  if (!run.resolved || !quiet() || !for_somebody || !all_promised || !lost_replicas().empty()) {
    return false;
  }
  if (left.size() < ask->joiners.size()) {
    SEAWAY_MARK("joiner lost between ask and answer");
  }
  if (ask->epoch != run.epoch) {
    SEAWAY_MARK("promises outlive a loss");
  }
  if (ask->for_rates()) {
    note_new_rates();
  }
  const std::uint64_t point = join_point();
  ask.reset();
  admit(left, point);
  return true;
}

// The roster as it is. Of labels a base keeps which are alike: a plan needs no more, and EPOCH has up to 16 bases.
wire::Base Master::State::new_base(std::uint32_t generation) const {
  wire::Base base{generation, {}};
  for (const wire::MemberInfo& info : run.roster) {
    const auto first = std::ranges::find(run.roster, info.site, &wire::MemberInfo::site);
    const std::size_t site =
        info.site.empty() ? base.members.size() : static_cast<std::size_t>(first - run.roster.begin());
    base.members.push_back(wire::BaseMember{info.id, info.lane, planned_rate(members.at(info.id)), false,
                                            static_cast<std::uint16_t>(site)});
  }
  return base;
}

void Master::State::admit(const std::vector<PeerId>& joiners, std::uint64_t point) {
  prune();
  const std::uint32_t generation = newest_generation() + 1;
  run.epoch = Epoch{run.term, run.epoch.number + 1};
  run.joins.push_back(wire::JoinRecord{generation, point, joiners});
  for (auto& [id, m] : members) {
    m.report.reset();
    m.promise.reset();
    m.told.asked = false;
  }
  for (const PeerId id : joiners) {
    Member& m = members.at(id);
    m.standing = Standing::member;
    m.info.generation = generation;
    m.oldest_generation = generation;
    m.took = false;
    run.roster.push_back(m.info);
  }
  run.bases.push_back(new_base(generation));
  if (config.majority) {
    confirmed.push_back(roster_ids());
  }
  dirty = true;
  log(seaway::core::words_for(run.epoch) + ": " +
      (joiners.empty() ? "dealt by new rates from" : words_for(joiners) + " admitted at") + " update " +
      std::to_string(point));
}

// --- What it is told meanwhile (in words: master_status.cpp) ---------------------------------------------------------

bool Master::State::tell_waiting() {
  bool told_anyone = false;
  for (auto& [id, m] : members) {
    if (m.standing != Standing::pending || !m.conn || (run.term != 0 && !in_office())) {
      continue;
    }
    std::string reason = bounded(why_waiting(m));
    if (reason != m.told.waiting) {
      m.told.waiting = reason;
      send(*m.conn, wire::Waiting{std::move(reason)});
      told_anyone = true;
    }
  }
  return told_anyone;
}

}  // namespace seaway::core
