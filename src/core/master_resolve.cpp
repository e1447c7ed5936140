// Rounds, reports, and the decision of each op that a cut touched.
//
// A cut is decided when every member of its roster has reported for {my term, this epoch} (M12). k's roster = lane
// k.lane of the present roster, admitted at or before k's generation (G11). The first row that fits decides op k:
//
// | # | reports of k's roster                                                          | decision                 |
// |---|--------------------------------------------------------------------------------|--------------------------|
// | 1 | a final decision is durable                                                    | the same again           |
// | 2 | nobody RUNNING, HOLDS or ABORTED                                               | none: k is not open      |
// | 3 | somebody COMMITTED                                                             | COMMIT                   |
// | 4 | somebody ABORTED (refused it, G3)                                              | ABORT                    |
// | 5 | all HOLDS, one value: attempt, contributors, bits (G7)                         | COMMIT, on_loss=fail too |
// | 6 | on_loss=fail and one of its attempt's roster is gone other than by LEFT; or an | ABORT                    |
// |   | essential member is lost (G5); or cancelled; or values differed a second time  |                          |
// | 7 | else                                                                           | RESUME                   |
//
// A transaction is one op of all lanes: its roster is every lane of its replicas, and it is decided once (G14). Its one value is
// attempt and contributors over all lanes (G18), and bits within each.
//
// All decisions of a cut are one write; COMMIT and ABORT are final and kept until every roster member of the op has
// said that it ended. A report that contradicts another (COMMITTED next to RUNNING) cannot come from correct peers: it
// is logged, for the master must not fall over what a peer says.
//
// MISMATCH and CANCEL_OP open a round: an epoch raised without a loss. The next decision uses all requests up; a peer
// whose op still runs then asks again. A request that meets an unresolved cut waits for that cut's decision.
#include <algorithm>
#include <utility>

#include "core/master_state.h"

namespace seaway::core {

using wire::OpStatus;
using wire::Verdict;

bool Master::State::raise_round() {
  if (!formed() || !run.resolved || !quiet()) {
    return false;
  }
  for (auto& [id, m] : members) {
    std::erase_if(m.requests, [&](const auto& entry) { return final_decision(entry.first) != nullptr; });
  }
  for (const auto& [id, m] : members) {
    if (!m.requests.empty()) {
      const auto& [op, request] = *m.requests.begin();
      if (request.cancel) {
        SEAWAY_MARK("round by cancel");
      } else {
        SEAWAY_MARK("round by mismatch");
      }
      evicted_live.clear();
      raise_cut("a round for " + seaway::core::words_for(op) + ": " + request.reason);
      return true;
    }
  }
  return false;
}

bool Master::State::all_reported() const {
  const auto reported = [&](const wire::MemberInfo& info) {
    const Member* m = find(info.id);
    return m != nullptr && m->report;
  };
  return MUTANT(m12_not_all_reports, std::all_of(run.roster.begin(), run.roster.end(), reported),
                run.roster.empty() || std::any_of(run.roster.begin(), run.roster.end(), reported));
}

bool Master::State::decide() {
  if (run.resolved || !in_office() || durable.epoch != run.epoch || !all_reported()) {
    return false;
  }
  std::set<OpKey> ops;
  for (const auto& [id, m] : members) {
    if (m.report) {
      for (const wire::OpReport& report : m.report->ops) {
        ops.insert(MUTANT(m21_lanes_decided_apart, report.op, report.op.in_lane(m.info.lane)));
      }
    }
  }
  for (const OpKey& op : ops) {
    std::optional<wire::Decision> decision = decide_op(op);
    if (!decision) {
      continue;
    }
    log(seaway::core::words_for(op) + ": " +
        (decision->verdict == Verdict::commit  ? "commit"
         : decision->verdict == Verdict::abort ? "abort"
                                               : "resume") +
        ", " + decision->reason);
    note_contradictions(op, *decision);
    if (decision->verdict != Verdict::resume && final_decision(op) == nullptr) {
      run.decisions.push_back(*decision);
    }
    run.resolutions.push_back(std::move(*decision));
  }
  for (auto& [id, m] : members) {
    m.requests.clear();
  }
  run.resolved = true;
  inherited_resolution = false;
  confirmed.assign(config.majority ? 1 : 0, roster_ids());
  dirty = true;
  return true;
}

namespace {

// What the reports of an op's roster say, counted once; the table reads only this.
struct Tally {
  std::size_t roster = 0;
  std::size_t running = 0;
  std::size_t holding = 0;
  std::string committed;  // who, in words; "": nobody
  std::string aborted;
  std::string not_holding;                // the first of them
  std::map<std::uint16_t, Value> values;  // of the first in each lane
  bool one_value = true;
  bool failed_by_loss = false;
  bool essential_lost = false;
  bool differed_twice = false;
  std::string cancelled;
};

bool same_value(const Value& a, const Value& b) { return MUTANT(g7_only_bits_compared, a == b, a.bits == b.bits); }

bool same_over_lanes(const Value& a, const Value& b) {
  return MUTANT(g18_values_compared_by_lane, a.attempt == b.attempt && a.contributors == b.contributors, true);
}

void count(Tally& tally, std::uint16_t lane, const std::string& who, const wire::OpReport* report) {
  ++tally.roster;
  const OpStatus status = report == nullptr ? OpStatus::current : report->status;
  const bool holds = status == OpStatus::holds;
  tally.running += status == OpStatus::running ? 1 : 0;
  tally.holding += holds ? 1 : 0;
  if (status == OpStatus::committed && tally.committed.empty()) {
    tally.committed = who;
  }
  if (status == OpStatus::aborted && tally.aborted.empty()) {
    tally.aborted = who;
  }
  if (!holds && tally.not_holding.empty()) {
    tally.not_holding = who;
  }
  if (report == nullptr) {
    return;
  }
  if (holds) {
    const Value& its = tally.values.try_emplace(lane, report->value).first->second;
    const Value& first = tally.values.begin()->second;
    tally.one_value =
        tally.one_value && same_value(its, report->value) && (&first == &its || same_over_lanes(first, report->value));
  }
  tally.failed_by_loss = tally.failed_by_loss || (report->fail_on_loss && report->roster_gone);
  tally.essential_lost = tally.essential_lost || report->essential_lost;
  tally.differed_twice = tally.differed_twice || report->mismatches >= 2;
}

const wire::OpReport* report_of(const Member& m, const OpKey& op) {
  if (m.report) {
    for (const wire::OpReport& report : m.report->ops) {
      if (MUTANT(m21_lanes_decided_apart, report.op, report.op.in_lane(op.lane)) == op) {
        return &report;
      }
    }
  }
  return nullptr;
}

std::optional<wire::Decision> decision_by_table(const OpKey& op, const Tally& tally) {
  const bool open = tally.running > 0 || tally.holding > 0 || !tally.aborted.empty();
  if (!open) {
    return std::nullopt;  // row 2
  }
  if (MUTANT(m5_resume_though_one_committed, !tally.committed.empty(), false)) {
    return wire::Decision{op, Verdict::commit, tally.committed + " has committed it"};
  }
  if (MUTANT(g3_aborted_report_ignored, !tally.aborted.empty(), false)) {
    return wire::Decision{op, Verdict::abort, tally.aborted + " had refused it"};
  }
  if (MUTANT(m15_commit_when_any_holds, tally.holding == tally.roster, tally.holding > 0) && tally.one_value) {
    return wire::Decision{op, Verdict::commit, "every member holds the same result"};
  }
  if (MUTANT(on_loss_fail_ignored, tally.failed_by_loss, false)) {
    return wire::Decision{op, Verdict::abort, "a member of it was lost, and it was posted with on_loss=fail"};
  }
  if (MUTANT(g5_essential_ignored, tally.essential_lost, false)) {
    return wire::Decision{op, Verdict::abort, "a member that it cannot do without was lost"};
  }
  if (MUTANT(cancel_ignored, !tally.cancelled.empty(), false)) {
    return wire::Decision{op, Verdict::abort, bounded(tally.cancelled)};
  }
  if (tally.differed_twice) {
    return wire::Decision{op, Verdict::abort, "the members' results differed a second time"};
  }
  if (!tally.one_value) {
    return wire::Decision{op, Verdict::resume, "the members' results differ: they are reduced once more"};
  }
  return wire::Decision{op, Verdict::resume,
                        (tally.not_holding.empty() ? "it" : tally.not_holding) +
                            " has no result yet: it goes on over the members that are left"};
}

}  // namespace

std::optional<wire::Decision> Master::State::decide_op(const OpKey& op) const {
  const wire::Decision* before = final_decision(op);
  if (MUTANT(m19_final_decision_not_repeated, before != nullptr, false)) {
    SEAWAY_MARK("final decision repeated");
    return *before;  // row 1
  }
  Tally tally;
  for (const wire::MemberInfo& info : run.roster) {
    const Member* m = find(info.id);
    if (m == nullptr || !MUTANT(g11_joiners_vote, in_roster_of(info, op), info.lane == op.lane)) {
      continue;
    }
    if (MUTANT(m22_one_lane_reports, false, op.is_transaction() && info.lane != 0)) {
      continue;
    }
    count(tally, info.lane, words_for(info), report_of(*m, op));
    if (const auto request = m->requests.find(op);
        request != m->requests.end() && request->second.cancel && tally.cancelled.empty()) {
      tally.cancelled = request->second.reason;
    }
  }
  return decision_by_table(op, tally);
}

void Master::State::note_contradictions(const OpKey& op, const wire::Decision& decision) {
  if (decision.verdict != Verdict::commit) {
    return;
  }
  if (!evicted_live.empty()) {
    SEAWAY_MARK("commit although a member was evicted live");
  }
  std::map<std::uint16_t, Value> values;
  for (const auto& [id, m] : members) {
    const wire::OpReport* report = report_of(m, op);
    if (report == nullptr || report->status == OpStatus::current) {
      continue;
    }
    const bool has_value = report->status == OpStatus::holds || report->status == OpStatus::committed;
    if (!has_value || values.try_emplace(m.info.lane, report->value).first->second != report->value) {
      log("contradiction: " + seaway::core::words_for(op) + " commits, and " + words_for(m.info) +
          (has_value ? " has another value" : " has no result"));
    }
  }
}

}  // namespace seaway::core
