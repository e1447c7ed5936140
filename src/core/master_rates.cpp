// When new rates are worth a join point. They belong to a generation, so that everybody plans an op alike: they take effect like
// a join without a joiner (master_join.cpp), and with every other join. Each stops all members at an update for a round trip.
//
// | asked for when                                                      | because                                              |
// |---------------------------------------------------------------------|------------------------------------------------------|
// | nobody is admissible                                                | a join brings them, too                              |
// | every member has stated a rate or measured one                      | a guess is not worth a stop, and will change         |
// | there are three or more                                             | two have halves whatever their rates                 |
// | no two of them are at one site                                      | what several share is no one's rate: a hierarchical  |
// |                                                                     | plan does not deal by rates                          |
// | all are connected, and heard of lately                              | nobody stops for one that does not answer            |
// | all have passed the last join point                                 | what it brought is not in use yet                    |
// | by new shares an op ends in less than .85 of the time (direct_time) | equal lines measure some way apart; and after it     |
// |                                                                     | nothing is to gain until rates have changed so again |
// | the last such join point is `between_rates` ago                     | rates that go up and down cost a stop each time      |
#include <algorithm>

#include "collective/plan.h"
#include "core/master_state.h"

namespace seaway::core {

namespace {

constexpr double kWorthIt = 0.85;  // of the time that an op takes by the present shares
constexpr std::size_t kFewest = 3;
constexpr double kAsFast = 0.75;  // of the fastest

}  // namespace

// Who has stated a rate knows better. 0: neither.
std::uint32_t Master::State::rate_of(const Member& m) {
  return m.info.rate_mbps > 0 ? m.info.rate_mbps : m.measured_mbps;
}

// What a member measures is at most what its line has, and less when nothing asked for more of it: who is given less to send can
// never show that it could send more. So of those that come near the fastest nobody is given less.
std::uint32_t Master::State::planned_rate(const Member& m) const {
  const std::uint32_t rate = rate_of(m);
  if (m.info.rate_mbps > 0) {
    return rate;
  }
  std::uint32_t fastest = rate;
  for (const wire::MemberInfo& info : run.roster) {
    const Member* other = find(info.id);
    fastest = std::max(fastest, other != nullptr ? rate_of(*other) : 0);
  }
  return rate >= kAsFast * fastest ? fastest : rate;
}

bool Master::State::may_change_rates() const {
  const bool all_known_and_here = std::ranges::all_of(run.roster, [&](const wire::MemberInfo& info) {
    const Member* m = find(info.id);
    return m != nullptr && rate_of(*m) > 0 && m->conn && now - m->heard < config.ladder.suspect;
  });
  return all_known_and_here && std::ranges::all_of(run.joins, [&](const auto& join) { return passed_by_all(join); });
}

// An update takes as long as its slowest lane.
bool Master::State::would_be_sooner() const {
  double as_it_is = 0;
  double by_new_rates = 0;
  for (std::uint16_t lane = 0; lane < lanes_of_run(); ++lane) {
    std::vector<collective::PlanMember> base;
    for (const wire::BaseMember& m : run.bases.back().members) {
      if (m.lane == lane) {
        base.push_back({m.id, m.rate_mbps, m.site});
      }
    }
    std::vector<collective::PlanMember> present;
    for (const wire::MemberInfo& info : run.roster) {
      if (info.lane == lane) {
        present.push_back({info.id, planned_rate(*find(info.id))});
      }
    }
    if (present.size() < kFewest || collective::has_sites(base)) {
      return false;
    }
    as_it_is = std::max(as_it_is, collective::direct_time(base, present));
    by_new_rates = std::max(by_new_rates, collective::direct_time(present, present));
  }
  return by_new_rates < kWorthIt * as_it_is;
}

// Looked at once in a heartbeat: nothing is new before.
bool Master::State::new_rates_pay() {
  if (now < rates_due) {
    return false;
  }
  rates_due = now + config.ladder.heartbeat;
  return may_change_rates() && would_be_sooner();
}

// The ask for them is answered.
void Master::State::note_new_rates() {
  SEAWAY_MARK("new rates at a join point without joiners");
  if (ask->epoch != run.epoch) {
    SEAWAY_MARK("loss while new rates were asked for");
  }
  if (!admissible().empty()) {
    SEAWAY_MARK("newcomers wait for new rates");
  }
  rates_due = now + config.between_rates;
}

}  // namespace seaway::core
