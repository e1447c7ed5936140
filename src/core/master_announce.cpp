// Everything that depends on a decision and is said, as a function of what is durable and of what this peer was told on
// its present connection. A new connection was told nothing, so everything is said again on it.
//
// | to           | when                                                      | said, in this order                    |
// |--------------|-----------------------------------------------------------|----------------------------------------|
// | a member     | {term, epoch} durable, not told                           | EPOCH, first of all                    |
// |              | it waits on a promise that answers no open ask            | CANCEL, once no write is under way     |
// |              | cut durably resolved, it has reported for this epoch, not | RESOLVE with the decisions of its lane |
// |              | told; a new term says the stored ones again               |                                        |
// |              | an ask is open that it has not answered                   | ASK                                    |
// | a former one | a roster without it is durable                            | EVICTED, then closed                   |
#include <algorithm>
#include <utility>

#include "core/master_state.h"

namespace seaway::core {

bool Master::State::announce() {
  if (!in_office()) {
    return false;
  }
  bool told_anyone = false;
  for (const wire::MemberInfo& info : std::vector<wire::MemberInfo>(announced().roster)) {
    Member* m = member(info.id);  // one that departed since waits for EVICTED
    if (m != nullptr && m->conn) {
      told_anyone = tell(*m) || told_anyone;
    }
  }
  return told_anyone;
}

namespace {

// A member needs what was decided of its own lane, and of all lanes; op keys of different lanes are different ops.
std::vector<wire::Decision> of_lane(const std::vector<wire::Decision>& decisions, std::uint16_t lane) {
  std::vector<wire::Decision> mine;
  std::copy_if(decisions.begin(), decisions.end(), std::back_inserter(mine),
               [&](const wire::Decision& decision) { return decision.op.is_of_lane(lane); });
  for (wire::Decision& decision : mine) {
    decision.op = MUTANT(m21_lanes_decided_apart, decision.op, decision.op.in_lane(kEveryLane));
  }
  return mine;
}

}  // namespace

wire::EpochMessage Master::State::epoch_message(const StoredRun& said, std::uint16_t lane) const {
  wire::EpochMessage message;
  message.term = said.term;
  message.epoch = said.epoch;
  message.cut = said.cut;
  message.roster = said.roster;
  message.joins = said.joins;
  message.bases = said.bases;
  message.decisions = MUTANT(g1_decisions_forgotten, of_lane(said.decisions, lane), (std::vector<wire::Decision>{}));
  message.stateful = MUTANT(stateful_forgotten, said.stateful, false);
  message.ladder_percent = config.ladder_percent;
  return message;
}

bool Master::State::tell(Member& m) {
  const StoredRun& said = announced();
  bool told = false;
  if (m.told.epoch != std::pair(said.term, said.epoch)) {
    send(*m.conn, epoch_message(said, m.info.lane));
    m.told.epoch = std::pair(said.term, said.epoch);
    told = true;
  }
  // Not while a join is being written: a promise that it counts on is released by its EPOCH and by nothing else.
  if (m.cancel_due && quiet()) {
    SEAWAY_MARK("promise cancelled");
    send(*m.conn, wire::CancelAsk{said.term, said.epoch});
    m.cancel_due = false;
    told = true;
  }
  const StoredRun& decided = MUTANT(m1_decision_before_durable, durable, run);
  if (decided.resolved && m.report && m.report->epoch == decided.epoch && m.told.cut != decided.cut) {
    if (inherited_resolution) {
      SEAWAY_MARK("new term repeats a resolution");
    }
    send(*m.conn, wire::Resolve{decided.term, decided.cut, of_lane(decided.resolutions, m.info.lane)});
    m.told.cut = decided.cut;
    told = true;
  }
  // After the CANCEL that is due: it would release the new promise as well.
  if (ask && !m.told.asked && !m.promise && MUTANT(asked_before_cancelled, !m.cancel_due, true)) {
    send(*m.conn, wire::Ask{said.term, ask->epoch, ask->joiners});
    m.told.asked = true;
    told = true;
  }
  return told;
}

// Whatever the terms: who is not in the durable roster is not one of us, and learns it where it listens. One whose
// admission is being written at this moment waits until the cut that removes it is durable too.
bool Master::State::tell_evicted() {
  if (!in_office() || announced().epoch.number == 0) {
    return false;
  }
  const auto listed = [](const StoredRun& record, PeerId id) {
    return std::any_of(record.roster.begin(), record.roster.end(),
                       [&](const wire::MemberInfo& info) { return info.id == id; });
  };
  for (const auto& [conn, connection] : connections) {
    const bool in_writing = writing && listed(writing->record, connection.peer);
    if (!connection.farewell.empty() && !listed(announced(), connection.peer) && !in_writing) {
      const std::string reason = connection.farewell;
      const ConnId closing = conn;
      send(closing, wire::Evicted{reason});
      close(closing, reason);
      return true;
    }
  }
  return false;
}

}  // namespace seaway::core
