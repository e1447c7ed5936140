// Anything in any order. A seed draws what happens: peers come, die, leave, reconnect, stay mute; writes are held; the
// master dies and comes back. The fixture checks invariants and "durable before visible" all the way. Then all faults
// stop, and the run must come to rest: every cut resolved, no ask open, everyone alive a member, everyone else gone.
#include "master_script.h"

namespace seaway::core::script {
namespace {

class Chaos : public Script {
 public:
  Chaos(std::uint64_t seed, bool with_store, std::uint16_t run_lanes)
      : Script(with_store, 2), random(seed), lanes(run_lanes) {
    start();
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      act();
    }
    heal();
  }

 private:
  Random random;
  std::uint16_t lanes;
  PeerId next_id = 1000;

  bool over(PeerId id) { return heard<wire::Evicted>(id) || heard<wire::Refused>(id); }
  std::vector<PeerId> living() {
    std::vector<PeerId> ids;
    for (const auto& [id, actor] : actors) {
      if (actor.alive && !over(id)) {
        ids.push_back(id);
      }
    }
    return ids;
  }

  void newcomer(std::uint32_t replica, std::uint16_t lane) {
    Actor& peer = actor(next_id);
    peer.replica = replica;
    peer.lane = lane;
    peer.lanes = lanes;
    peer.uuid = Uuid{replica, lane + 1u};
    peer.oldest_generation = 1;
    for (auto& [id, other] : actors) {  // one uuid lives once
      if (id != next_id && other.uuid == peer.uuid && other.alive) {
        other.alive = false;
        if (other.conn) {
          disconnect(id, random.percent(70));
        }
      }
    }
    arrive(next_id++);
  }

  void reconnect(PeerId id) {
    if (actors.at(id).conn && random.percent(50)) {
      disconnect(id, random.percent(50));
    }
    actors.at(id).known.clear();
    hello(id);
    if (!actors.at(id).taken) {
      say(id, join_of(id));
    }
  }

  void report_something(PeerId id) {
    reports[id].clear();
    for (std::uint32_t seq = 0; seq < 3; ++seq) {
      const OpKey key{actors.at(id).lane, static_cast<std::uint32_t>(1 + random.below(3)), 7, seq};
      if (random.percent(50)) {  // correct peers cannot do all of this; the master must live with it
        const auto status = static_cast<wire::OpStatus>(random.between(1, 5));
        reports[id].push_back(op(status, key, value_of({}, 1, random.below(2))));
      }
    }
  }

  void act() {
    const std::vector<PeerId> alive = living();
    const PeerId one = alive.empty() ? 0 : alive[random.below(alive.size())];
    const PeerId two = alive.empty() ? 0 : alive[random.below(alive.size())];
    const std::uint64_t what = random.below(alive.empty() ? 2 : 16);
    switch (what) {
      case 0:
        return newcomer(static_cast<std::uint32_t>(random.below(4)), static_cast<std::uint16_t>(random.below(lanes)));
      case 1:
        return pass(static_cast<Duration>(random.below(3000)) * kMillisecond);
      case 2:
        return actors.at(one).conn ? lose(one) : pass(kMillisecond);
      case 3:
        return reconnect(one);
      case 4:
        return say(one, wire::CancelOp{{actors.at(one).lane, 1, 7, 0}, "no"});
      case 5:
        return say(one, wire::Mismatch{{actors.at(one).lane, 1, 7, 1}});
      case 6:
        return say(one, wire::Lost{two, random.percent(50) ? wire::LostKind::closed : wire::LostKind::stalled});
      case 7:
        return random.percent(30) ? say(one, wire::Leave{}) : void();
      case 8:
        mute = random.percent(50) ? std::set<PeerId>{one} : std::set<PeerId>{};
        return;
      case 9:
        silent_on_ask = random.percent(50) ? std::set<PeerId>{one} : std::set<PeerId>{};
        return;
      case 10:
        hold_store = random.percent(50);
        return;
      case 11:
        return random.percent(20) ? restart_everything() : void();
      case 12:
        return report_something(one);
      case 13:
        actors.at(one).update_count += random.below(3);
        return heartbeat(one);
      case 14:
        actor(one).unreachable = random.percent(30) ? std::set<PeerId>{two} : std::set<PeerId>{};
        return;
      default:
        return writes.empty() ? void() : release();
    }
  }

  void restart_everything() {
    restart_master();
    for (const PeerId id : living()) {
      if (random.percent(90)) {
        reconnect(id);
      }
    }
  }

  void heal() {
    mute.clear();
    silent_on_ask.clear();
    release_all();
    for (auto& [id, actor] : actors) {
      actor.unreachable.clear();
    }
    for (int round = 0; round < 30; ++round) {
      for (const PeerId id : living()) {
        if (!actors.at(id).conn) {
          reconnect(id);
        } else {
          if (!actors.at(id).taken) {
            link(id);
          } else {
            report(id);  // one that was mute
          }
          if (heard<wire::Ask>(id)) {  // one that did not answer
            const wire::Ask ask = last<wire::Ask>(id);
            const auto& promised = actors.at(id).promise;
            if (!promised || promised->term != ask.term || promised->joiners != ask.joiners) {
              promise(id, ask);
            }
          }
        }
      }
      pass(kSecond);
    }
    if (living().empty()) {
      return;  // a master that hears nobody judges nobody
    }
    const MasterStatus status = master->status(now);
    CHECK(status.resolved);
    CHECK(writes.empty());
    check_rest(status);
  }

  void check_rest(const MasterStatus& status) {
    std::map<std::uint32_t, std::size_t> lanes_alive;
    for (const PeerId id : living()) {
      ++lanes_alive[actors.at(id).replica];
    }
    const bool can_form = std::count_if(lanes_alive.begin(), lanes_alive.end(),
                                        [&](const auto& entry) { return entry.second == lanes; }) >= 2;
    for (const MemberStatus& m : status.members) {
      INFO("peer ", m.info.id, " replica ", m.info.replica, " lane ", m.info.lane, ": ", m.waits_for,
           "; stage: ", status.stage);
      const bool complete = lanes_alive[m.info.replica] == lanes;
      CHECK(m.connected);
      CHECK(m.pending == (!complete || (status.epoch.number == 0 && !can_form)));
    }
    for (const PeerId id : living()) {
      INFO("peer ", id, " is alive and nobody knows it");
      CHECK(std::any_of(status.members.begin(), status.members.end(),
                        [&](const MemberStatus& m) { return m.info.id == id; }));
    }
  }
};

TEST_CASE("whatever happens, the run comes to rest") {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    CAPTURE(seed);
    Chaos chaos(seed, seed % 2 == 0, seed % 3 == 0 ? 2 : 1);
    chaos.run(60);
  }
}

}  // namespace
}  // namespace seaway::core::script
