// How a master comes into office, and how epoch 1 forms.
//
// | it starts with  | then                                                                                         |
// |-----------------|----------------------------------------------------------------------------------------------|
// | a stored record | term := the next one, compared and written; the stored epoch is announced under it; a         |
// |                 | resolved cut is resolved again with the stored decisions, an unresolved one asks for reports  |
// | an empty store  | term := {1, 32 random bits}, written; a new run, or one that its peers know                 |
// | no store        | no term until it knows which run this is                                                     |
//
// The next term is {upper 32 bits + 1, 32 random bits}: no two masters share one, not even when the second started from
// an older copy of the record that somebody had put in its place. With a term in common both could raise an epoch of
// the same number, and that epoch would have two rosters.
//
// A master that knows no epoch and hears a HELLO naming one adopts that run. It collects HELLOs until every member of
// the highest epoch has said one, or `evict` is over since the first; takes the next term after the highest heard;
// raises at once the cut {term, number + 1} whose roster is the members of that epoch that came back, in whole
// replicas, even if all did. It never announces the old epoch again, holds no cut for resolved, and carries the union
// of the final decisions it heard. Everyone else of that run is EVICTED. Majority rule: it takes more
// than half of that roster.
//
// If nobody names an epoch it is a new run: epoch 1 forms when as many complete, mutually linked replicas are there as
// the largest min_world among them. It is a join from the empty epoch 0: generation 1, point 0, cut (0,0), resolved.
#include <algorithm>
#include <utility>

#include "core/master_state.h"

namespace seaway::core {

std::uint64_t Master::State::term_after(std::uint64_t term) {
  return (((term >> 32) + 1) << 32) | (random.next() >> 32);
}

void Master::State::load(const StoredRun& stored) {
  run.run = config.run;
  if (!config.has_store) {
    run.tokens = config.first_tokens;
    return;
  }
  durable = stored;
  run = stored;
  if (stored.epoch.number > 0) {
    loaded = stored.epoch;
  }
  if (run.run == Uuid{}) {
    run.run = config.run;
  }
  run.term = term_after(stored.term);
  run.author = random.next();
  // A new run, or one that was in plaintext: somebody has to be able to let others in.
  const bool has_operator = std::any_of(run.tokens.begin(), run.tokens.end(), [](const wire::Token& token) {
    return token.use == wire::TokenUse::admin && token.expires == 0;
  });
  if (config.certificates && !has_operator) {
    run.tokens.insert(run.tokens.end(), config.first_tokens.begin(), config.first_tokens.end());
  }
  dirty = true;
  for (const wire::MemberInfo& info : run.roster) {
    Member m;
    m.info = info;
    m.standing = Standing::member;
    m.heard = now;
    m.oldest_generation = info.generation;
    members.emplace(info.id, std::move(m));
  }
  inherited_resolution = formed() && run.resolved;
}

// --- Adopting a run from its members' HELLOs ------------------------------------------------------------------------

const wire::EpochMessage* Master::State::highest_epoch_heard() const {
  const wire::EpochMessage* highest = nullptr;
  for (const auto& [id, m] : members) {
    if (m.standing == Standing::returning && (highest == nullptr || m.hello->taken->epoch > highest->epoch)) {
      highest = &*m.hello->taken;
    }
  }
  return highest;
}

std::vector<PeerId> Master::State::whole_replicas_returned(const wire::EpochMessage& highest) const {
  const auto came_back = [&](const wire::MemberInfo& info) {
    const Member* m = find(info.id);
    return m != nullptr && m->doomed.empty() && !m->leaving;  // pending: it never took the epoch that admitted it
  };
  std::set<std::uint32_t> broken;
  for (const wire::MemberInfo& info : highest.roster) {
    if (!came_back(info)) {
      broken.insert(info.replica);
    }
  }
  std::vector<PeerId> present;
  for (const wire::MemberInfo& info : highest.roster) {
    if (MUTANT(evict_one_lane_only, !broken.contains(info.replica), came_back(info))) {
      present.push_back(info.id);
    }
  }
  return present;
}

std::string Master::State::why_not_adopted(const wire::EpochMessage& highest) const {
  std::string missing;
  std::size_t silent_ones = 0;
  for (const wire::MemberInfo& info : highest.roster) {
    if (find(info.id) == nullptr) {
      missing += (missing.empty() ? "" : ", ") + words_for(info);
      ++silent_ones;
    }
  }
  if (silent_ones > 0 && now < *collecting_since + config.ladder.evict) {
    return "the master has restarted without a store and waits for " + missing;
  }
  if (config.majority && !config.has_store) {
    const std::vector<PeerId> present = whole_replicas_returned(highest);
    const bool oldest = !present.empty() && present.front() == highest.roster.front().id;
    const bool enough =
        2 * present.size() > highest.roster.size() || (2 * present.size() == highest.roster.size() && oldest);
    if (!enough) {
      return "the majority rule: more than half of the last " + std::to_string(highest.roster.size()) +
             " members must come back; missing are " + missing;
    }
  }
  return "";
}

bool Master::State::adopt_run() {
  if (formed() || !collecting_since) {
    return false;
  }
  const wire::EpochMessage* heard = highest_epoch_heard();
  if (heard == nullptr || !why_not_adopted(*heard).empty()) {
    return false;
  }
  const wire::EpochMessage highest = *heard;  // it stands in a HELLO that goes with what follows
  SEAWAY_MARK("storeless restart adopts a run");
  const std::vector<PeerId> present = whole_replicas_returned(highest);
  if (present.size() < highest.roster.size()) {
    SEAWAY_MARK("storeless restart without everyone");
  }
  take_over(highest, present);
  return true;
}

void Master::State::take_over(const wire::EpochMessage& highest, const std::vector<PeerId>& present) {
  std::uint64_t term = std::max(run.term, highest.term);
  for (const auto& [id, m] : members) {
    if (m.standing != Standing::returning) {
      continue;
    }
    term = std::max(term, m.hello->taken->term);
    run.stateful = run.stateful || m.hello->taken->stateful;
    for (const auto* list : {&m.hello->taken->decisions, &m.hello->learned}) {
      for (const wire::Decision& decision : *list) {
        if (decision.verdict != wire::Verdict::resume && final_decision(decision.op) == nullptr) {
          run.decisions.push_back(decision);
        }
      }
    }
  }
  std::sort(run.decisions.begin(), run.decisions.end(),
            [](const wire::Decision& a, const wire::Decision& b) { return a.op < b.op; });
  run.term = term_after(term);
  run.epoch = MUTANT(storeless_keeps_old_epoch, (Epoch{run.term, highest.epoch.number + 1}), highest.epoch);
  run.cut = MUTANT(storeless_keeps_old_epoch, run.epoch, highest.cut);
  run.resolved = false;
  run.resolutions.clear();
  run.joins = highest.joins;
  run.bases = highest.bases;
  confirmed.assign(1, {});
  for (const wire::MemberInfo& info : highest.roster) {
    confirmed.front().push_back(info.id);
    if (std::find(present.begin(), present.end(), info.id) == present.end()) {
      departed[info.id] = "its replica did not come back in time after the master had restarted";
      continue;
    }
    Member& m = members.at(info.id);
    m.info = info;
    m.standing = Standing::member;
    m.took = m.hello.has_value();
    m.hello.reset();
    m.oldest_generation = info.generation;
    run.roster.push_back(info);
  }
  send_away_the_others();
  collecting_since.reset();
  prune();
  dirty = true;
  log(seaway::core::words_for(run.epoch) + ": the run was adopted from " + std::to_string(present.size()) + " of " +
      std::to_string(highest.roster.size()) + " members of " + seaway::core::words_for(highest.epoch));
}

// Who said HELLO and is not in the roster of the cut: of a broken replica, or of an epoch that others have left behind.
void Master::State::send_away_the_others() {
  std::vector<PeerId> others;
  for (auto& [id, m] : members) {
    if (m.standing == Standing::returning || departed.contains(id)) {
      m.standing = Standing::returning;  // not pending: it was a member, and hears EVICTED
      others.push_back(id);
    }
  }
  for (const PeerId id : others) {
    const auto why = departed.find(id);
    erase(id, why == departed.end() ? "a later epoch of this run went on without it" : std::string(why->second));
  }
  for (auto& [conn, connection] : connections) {
    const auto why = departed.find(connection.peer);
    if (why != departed.end() && connection.farewell.empty()) {
      connection.farewell = why->second;  // has said HELLO and not yet JOIN
    }
  }
}

// --- Epoch 1 --------------------------------------------------------------------------------------------------------

bool Master::State::form() {
  if (formed() || collecting_since || (config.has_store && !in_office())) {
    return false;
  }
  const std::vector<std::uint32_t> replicas = admissible();
  const auto peers = complete_replicas();
  std::vector<PeerId> founders;
  std::uint32_t needed = 1;
  for (const std::uint32_t replica : replicas) {
    for (const PeerId id : peers.at(replica)) {
      founders.push_back(id);
      needed = std::max(needed, members.at(id).min_world);
    }
  }
  if (replicas.size() < needed) {
    return false;
  }
  if (run.term == 0) {
    run.term = term_after(0);
  }
  admit(founders, 0);
  return true;
}

}  // namespace seaway::core
