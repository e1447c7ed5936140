// Scenarios of ops that commit together, in all lanes or not at all.
#include <initializer_list>
#include <map>

#include "sim/cluster.h"
#include "sim/scenarios.h"

namespace seaway::sim {

namespace {

using collective::Descriptor;
using collective::OpKind;
using collective::Outcome;

// Replicas of several lanes; the calls are those of the script. Member (replica, lane) is known by both.
class Script : public Cluster {
 public:
  Script(std::uint32_t replicas, std::uint16_t lanes, bool verbose, Duration store_delay = 5 * kMillisecond)
      : Cluster(options_of(replicas, lanes, store_delay), verbose) {
    until([&] { return members() == std::size_t{replicas} * lanes; });
    for (std::uint16_t lane = 0; lane < lanes; ++lane) {
      for (std::uint32_t index = 0; index <= kTransactionOp; ++index) {
        world.checker.is_in_transaction({lane, 0, index});
      }
    }
  }

  std::size_t at(std::size_t replica, std::size_t lane) const { return replica * world.options.lanes + lane; }
  OpHandle opens(std::size_t replica, std::size_t lane) {
    return open_[at(replica, lane)] = post(at(replica, lane), Descriptor{.kind = OpKind::transaction}, kTransactionOp);
  }
  OpHandle posts(std::size_t replica, std::size_t lane, std::uint32_t index = 0) {
    Descriptor op{.count = 150};
    op.transaction = open_.at(at(replica, lane));
    return ops_[{at(replica, lane), index}] = post(at(replica, lane), op, index);
  }
  void closes(std::size_t replica, std::size_t lane) {
    peer(at(replica, lane)).close_transaction(open_.at(at(replica, lane)));
    peer(at(replica, lane)).pump();
  }
  void cancels(std::size_t replica, std::size_t lane) {
    peer(at(replica, lane)).cancel(open_.at(at(replica, lane)));
    peer(at(replica, lane)).pump();
  }
  void does_all(std::size_t replica, std::size_t lane, std::uint32_t ops = 1) {
    opens(replica, lane);
    for (std::uint32_t index = 0; index < ops; ++index) {
      posts(replica, lane, index);
    }
    closes(replica, lane);
  }
  OpHandle transaction(std::size_t replica, std::size_t lane) const { return open_.at(at(replica, lane)); }
  bool has_ended(std::size_t replica, std::size_t lane) {
    return peer(at(replica, lane)).result_of(open_.at(at(replica, lane))).has_value();
  }
  void until_ended(std::initializer_list<std::size_t> replicas, Outcome outcome, std::uint32_t most_attempts = 1) {
    for (const std::size_t replica : replicas) {
      for (std::size_t lane = 0; lane < world.options.lanes; ++lane) {
        until([&] { return has_ended(replica, lane); });
        const collective::Result& result = *peer(at(replica, lane)).result_of(open_.at(at(replica, lane)));
        if (result.outcome != outcome || result.attempts > most_attempts) {
          throw Violation(std::string("a transaction is ") + name_of(result.outcome) + " after " +
                          std::to_string(result.attempts) + " attempts: " + result.reason);
        }
      }
    }
    for (const auto& [which, op] : ops_) {
      if (peer(which.first).alive() && peer(which.first).result_of(op)->outcome != outcome) {
        throw Violation("an op did not end as its transaction did");
      }
    }
  }
  void nobody_has_ended(const char* when) {
    for (const auto& [member, transaction] : open_) {
      if (peer(member).result_of(transaction)) {
        throw Violation(std::string("a lane has committed ") + when);
      }
    }
  }
  void lose(std::size_t replica) {
    for (std::size_t lane = 0; lane < world.options.lanes; ++lane) {
      kill_for_good(at(replica, lane));
    }
  }
  void until_frozen(std::initializer_list<std::size_t> replicas, Cut above) {
    for (const std::size_t replica : replicas) {
      for (std::size_t lane = 0; lane < world.options.lanes; ++lane) {
        until([&] { return peer(at(replica, lane)).core().cut() > above; });
      }
    }
  }

 private:
  static Options options_of(std::uint32_t replicas, std::uint16_t lanes, Duration store_delay) {
    Options options = quiet(replicas);
    options.lanes = lanes;
    options.store_delay = store_delay;
    options.updates = 0;
    return options;
  }

  std::map<std::size_t, OpHandle> open_;
  std::map<std::pair<std::size_t, std::uint32_t>, OpHandle> ops_;
};

// Lanes of different lists, the empty one among them; each waits for the last.
void lanes_wait_for_one_another(bool verbose) {
  Script script(3, 3, verbose);
  for (const std::size_t lane : {0u, 1u, 2u}) {
    script.nobody_has_ended("before all lanes had closed");
    for (const std::size_t replica : {0u, 1u, 2u}) {
      script.does_all(replica, lane, static_cast<std::uint32_t>(lane));
    }
    script.pass(2 * kSecond);
  }
  script.until_ended({0, 1, 2}, Outcome::committed);
}

// G14: lane 0 holds everywhere, lane 1 has not posted, when a replica dies. It is one decision for both.
void a_replica_dies_while_one_lane_holds(bool verbose) {
  Script script(3, 2, verbose);
  for (const std::size_t replica : {0u, 1u, 2u}) {
    script.does_all(replica, 0);
  }
  script.opens(0, 1);
  script.posts(0, 1);
  script.pass(2 * kSecond);
  script.nobody_has_ended("although another lane has not");
  script.lose(2);
  script.until_frozen({0, 1}, {});
  script.pass(2 * kSecond);
  script.nobody_has_ended("although another lane has not, after a loss");
  script.closes(0, 1);
  script.does_all(1, 1);
  script.until_ended({0, 1}, Outcome::committed, 2);
}

// G18: lane 0 holds in attempt 0; before that cut is resolved, lane 1 posts, and holds in the next. Then another replica dies.
void lanes_hold_in_different_attempts(bool verbose) {
  Script script(4, 2, verbose);
  World& world = script.world;
  for (const std::size_t replica : {0u, 1u, 2u, 3u}) {
    script.does_all(replica, 0);
  }
  script.pass(2 * kSecond);
  const HostId unheard = world.sites[script.at(2, 0)]->host;
  world.network.cut(unheard, 0, true);  // its report does not reach the master
  world.checker.excuse(unheard, world.clock.now() + 60 * kSecond);
  script.lose(3);
  script.until_frozen({0, 1, 2}, {});
  for (const std::size_t replica : {0u, 1u, 2u}) {
    script.does_all(replica, 1);
  }
  script.pass(kSecond);
  const Cut first = script.peer(script.at(0, 0)).core().cut();
  script.lose(2);
  script.until_frozen({0, 1}, first);
  script.until_ended({0, 1}, Outcome::committed, 3);
}

// M20: the last one closes it after a freeze, so that all hold then, and must not say it: the others would commit what is resumed.
void all_hold_after_the_freeze(bool verbose) {
  Script script(3, 1, verbose, 2 * kSecond);
  script.world.checker.expect_failure({0, 0, kTransactionOp});  // for the op that is cancelled
  script.does_all(0, 0);
  script.does_all(1, 0);
  script.opens(2, 0);
  script.posts(2, 0);
  const OpHandle other = script.post(0, Descriptor{.count = 150}, 7);
  script.pass(kSecond);
  script.peer(0).cancel(other);  // a round
  script.peer(0).pump();
  script.until_frozen({0, 1, 2}, {});
  script.closes(2, 0);  // while the decision is written
  script.until_ended({0, 1, 2}, Outcome::committed, 2);
  if (script.peer(0).result_of(script.transaction(0, 0))->attempts != 2) {
    throw Violation("a frozen member has said HOLD");
  }
}

// Lane 0 has committed everywhere, and lane 1 nowhere: it has not heard that lane 0 holds. A loss then finds nobody else who knows.
void a_lane_remembers_for_another(bool verbose) {
  Script script(3, 2, verbose);
  const auto deafen = [&](bool deaf) {
    for (const std::size_t replica : {0u, 1u, 2u}) {
      script.world.network.cut(script.world.sites[script.at(replica, 0)]->host,
                               script.world.sites[script.at(replica, 1)]->host, deaf);
    }
  };
  deafen(true);
  for (const std::size_t replica : {0u, 1u, 2u}) {
    script.does_all(replica, 0);
    script.does_all(replica, 1);
  }
  for (const std::size_t replica : {0u, 1u, 2u}) {
    script.until([&] { return script.has_ended(replica, 0); });
  }
  script.pass(500 * kMillisecond);
  script.lose(2);
  script.until_ended({0, 1}, Outcome::committed);
  deafen(false);
}

// A replica dies at any moment of it: before the lists are closed, when some hold, when some have committed.
void dies_at_any_moment(bool verbose) {
  for (Duration after = 0; after < 200 * kMillisecond; after += 8 * kMillisecond) {
    Script script(3, 2, verbose);
    for (const std::size_t replica : {0u, 1u, 2u}) {
      for (const std::size_t lane : {0u, 1u}) {
        script.does_all(replica, lane, 2);
      }
    }
    script.pass(after);
    script.lose(1);
    script.until_ended({0, 2}, Outcome::committed, 2);
    script.finish();
  }
}

// What a lane holds may be wrong. Until its members have compared, no lane commits.
void a_bit_flips_in_one_lane(bool verbose) {
  Script script(3, 2, verbose);
  script.world.checker.on_bit_flip({1, 0, 0});
  script.world.inject(Fault::bit_flip);
  for (const std::size_t replica : {0u, 1u, 2u}) {
    script.does_all(replica, 0, 0);
    script.does_all(replica, 1, 1);
  }
  script.until_ended({0, 1, 2}, Outcome::committed, 2);
}

// One member closes another list than the others. They hear of it in their lane, the other lane from the master.
void lists_differ_in_one_lane(bool verbose) {
  Script script(3, 2, verbose);
  script.world.checker.expect_failure({0, 0, kTransactionOp});
  for (const std::size_t replica : {0u, 1u, 2u}) {
    script.does_all(replica, 0);
    script.does_all(replica, 1, replica == 1 ? 2 : 1);
  }
  script.until_ended({0, 1, 2}, Outcome::aborted);
}

// Cancelled before one member has opened it: it finds it aborted, and so are the ops that it posts in it.
void cancelled_before_one_opens_it(bool verbose) {
  Script script(3, 2, verbose);
  script.world.checker.expect_failure({0, 0, kTransactionOp});
  for (const std::size_t replica : {0u, 1u}) {
    script.does_all(replica, 0);
    script.does_all(replica, 1);
  }
  script.does_all(2, 1);
  script.pass(kSecond);
  script.cancels(0, 1);
  script.pass(kSecond);
  script.does_all(2, 0, 2);
  script.until_ended({0, 1, 2}, Outcome::aborted);
}

// A transaction that lane 0 has opened is left behind by lane 1, at a join: no HOLD will come of it.
void a_lane_goes_on_without_it(bool verbose) {
  Script script(2, 2, verbose);
  World& world = script.world;
  world.checker.expect_failure({0, 0, kTransactionOp});
  world.healed = true;  // no faults but those of the script
  for (const std::size_t replica : {0u, 1u}) {
    script.does_all(replica, 0);
  }
  world.add_replica();
  script.until([&] { return script.world.sites[5]->process && script.peer(5).links().size() >= 5; });
  script.pass(kSecond);
  for (const std::size_t member : {0u, 1u, 2u, 3u}) {
    script.peer(member).update();
  }
  script.until([&] { return script.members() == 6; });
  for (const std::size_t replica : {0u, 1u}) {
    script.until([&] { return script.has_ended(replica, 0); });
  }
}

}  // namespace

std::vector<Scenario> scenarios_of_transactions() {
  return {
      {"the lanes of a transaction wait for one another, with lists of 0, 1 and 2 ops", lanes_wait_for_one_another},
      {"a replica dies while one lane holds and another has not posted (G14)", a_replica_dies_while_one_lane_holds},
      {"the lanes of a transaction hold in different attempts (G18)", lanes_hold_in_different_attempts},
      {"all hold a transaction after the freeze (M20)", all_hold_after_the_freeze},
      {"one lane has committed a transaction and no other has, when a replica dies", a_lane_remembers_for_another},
      {"a replica dies at any moment of a transaction", dies_at_any_moment},
      {"a bit flips in one lane of a transaction", a_bit_flips_in_one_lane},
      {"the lists of a transaction differ in one lane", lists_differ_in_one_lane},
      {"a transaction is cancelled before one member has opened it", cancelled_before_one_opens_it},
      {"a lane goes on to the next generation without a transaction", a_lane_goes_on_without_it},
  };
}

}  // namespace seaway::sim
