#include "sim/scenarios.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "sim/cluster.h"

namespace seaway::sim {

namespace {

void root_dies(bool verbose) {
  Cluster cluster(quiet(4), verbose);
  cluster.until_in_the_middle_of_an_op(0);
  cluster.kill(2);
  cluster.finish();
}

void two_die_in_one_breath(bool verbose) {
  Cluster cluster(quiet(5), verbose);
  cluster.until_in_the_middle_of_an_op(0);
  cluster.kill(1);
  cluster.pass(300 * kMillisecond);
  cluster.kill(3);
  cluster.finish();
}

void all_but_one_die(bool verbose) {
  Cluster cluster(quiet(4), verbose);
  cluster.until_in_the_middle_of_an_op(3);
  for (const std::size_t i : {0u, 1u, 2u}) {
    cluster.kill_for_good(i);
  }
  cluster.finish();
}

// At any moment of it: when the first blocks have come, in the middle of them, when some hold.
void dies_at_any_moment(collective::Descriptor op, std::size_t victim, bool verbose) {
  const Duration step = (op.kind == collective::OpKind::transfer ? 2 : 8) * kMillisecond;
  for (Duration after = 0; after < 160 * kMillisecond; after += step) {
    Cluster cluster(quiet(4), verbose);
    cluster.until([&] { return cluster.members() == 4; });
    op.tag = 77;
    op.blocks = has_blocks(op.kind) ? 4 : 0;
    op.root = cluster.peer(0).id();  // of a send
    op.target = cluster.peer(2).id();
    for (std::size_t i = 0; i < 4; ++i) {
      if (op.kind == collective::OpKind::exchange) {
        op.sends = op.receives = {{cluster.peer(3 - i).id(), 150}, {cluster.peer(i ^ 2).id(), 70}};
      }
      if (op.kind != collective::OpKind::transfer || i % 2 == 0) {
        cluster.post(i, op, 900);
      }
    }
    cluster.pass(after);
    cluster.kill_for_good(victim);
    cluster.finish();
  }
}

void owner_of_a_gathered_block_dies(bool verbose) {
  dies_at_any_moment({.kind = collective::OpKind::all_gather, .count = 150}, 2, verbose);
}
void owner_of_a_scattered_block_dies(bool verbose) {
  dies_at_any_moment({.kind = collective::OpKind::reduce_scatter, .count = 150}, 2, verbose);
}
void member_of_an_exchange_dies(bool verbose) {
  dies_at_any_moment({.kind = collective::OpKind::exchange}, 2, verbose);
}
void who_sends_dies(bool verbose) {
  dies_at_any_moment({.kind = collective::OpKind::transfer, .count = 150}, 0, verbose);
}
void who_receives_dies(bool verbose) {
  dies_at_any_moment({.kind = collective::OpKind::transfer, .count = 150}, 2, verbose);
}

// Its HOLD never leaves: it has committed, and who sent can only be told so by the master.
void who_received_dies_unheard(bool verbose) {
  Cluster cluster(quiet(4), verbose);
  cluster.until([&] { return cluster.members() == 4; });
  collective::Descriptor op{.kind = collective::OpKind::transfer, .count = 150};
  op.tag = 77;
  op.root = cluster.peer(0).id();
  op.target = cluster.peer(2).id();
  cluster.post(0, op, 900);
  const OpHandle received = cluster.post(2, op, 900);
  cluster.pass(20 * kMillisecond);
  cluster.world.network.cut(cluster.world.sites[2]->host, cluster.world.sites[0]->host, true);
  cluster.until([&] { return !cluster.peer(2).core().engine().progress(received); });
  cluster.world.sites[2]->finished = true;
  cluster.peer(2).crash(true);
  cluster.finish();
}

// 0 sees that 1 posted something else and refuses; 1 dies, and 2 has not heard of it.
void refusal_is_a_vote(bool verbose) {
  Cluster cluster(quiet(3), verbose);
  World& world = cluster.world;
  cluster.until([&] { return cluster.members() == 3; });
  world.network.cut(world.sites[1]->host, world.sites[2]->host, true);
  world.checker.expect_failure({0, 0, 900});
  collective::Descriptor op{.count = 10};
  op.tag = 77;
  const OpHandle refused = cluster.post(0, op, 900);
  const OpHandle waiting = cluster.post(2, op, 900);
  op.layout = 5;
  cluster.post(1, op, 900);
  cluster.until([&] { return !cluster.peer(0).core().engine().progress(refused); });
  world.sites[1]->finished = true;
  cluster.peer(1).crash(true);
  cluster.until([&] { return !cluster.peer(2).core().engine().progress(waiting); });
  cluster.finish();
}

void master_dies_and_nobody_notices(bool verbose) {
  Cluster cluster(quiet(3), verbose);
  cluster.until_in_the_middle_of_an_op(0);
  cluster.kill_master();
  const std::uint64_t before = cluster.count("committed");
  cluster.pass(5 * kSecond);
  if (cluster.count("committed") <= before) {
    throw Violation("promise 6: nothing commits without a master");
  }
  cluster.start_master();
  cluster.finish();
  if (cluster.count("evicted") > 0) {
    throw Violation("promise 6: somebody is evicted because the master died");
  }
}

void member_dies_without_master(bool verbose) {
  Cluster cluster(quiet(3), verbose);
  cluster.until_in_the_middle_of_an_op(0);
  cluster.kill_master();
  cluster.kill(1);
  cluster.pass(2 * kSecond);
  cluster.start_master();
  cluster.finish();
}

void master_dies_between_effects(bool verbose) {
  for (int effects = 0; effects < 8; ++effects) {
    Cluster cluster(quiet(4), verbose);
    cluster.until_in_the_middle_of_an_op(0);
    cluster.kill(3);
    cluster.world.masters.back()->crash_soon(effects);
    cluster.until([&] { return !cluster.world.masters.back()->alive(); });
    cluster.start_master();
    cluster.finish();
  }
}

void joins_in_the_middle(bool verbose) {
  Cluster cluster(quiet(3), verbose);
  cluster.until_in_the_middle_of_an_op(0);
  cluster.world.add_replica();
  cluster.until([&] { return cluster.members() == 4; });
  cluster.finish();
}

void joins_during_a_loss(bool verbose) {
  Cluster cluster(quiet(3), verbose);
  cluster.until_in_the_middle_of_an_op(0);
  cluster.world.add_replica();
  cluster.pass(400 * kMillisecond);
  cluster.kill(1);
  cluster.until([&] { return cluster.members() >= 3; });
  cluster.finish();
}

void short_stop_is_not_punished(bool verbose) {
  Cluster cluster(quiet(3), verbose);
  cluster.until_in_the_middle_of_an_op(0);
  cluster.world.network.stall(cluster.peer(1).process(), cluster.world.clock.now() + kSecond);
  cluster.finish();  // the checker excuses nobody
}

void long_stop_is_evicted_and_comes_back(bool verbose) {
  Cluster cluster(quiet(3), verbose);
  cluster.until_in_the_middle_of_an_op(0);
  World& world = cluster.world;
  const PeerId before = cluster.peer(1).id();
  world.checker.excuse(world.sites[1]->host, world.clock.now() + 60 * kSecond);
  world.network.stall(cluster.peer(1).process(), world.clock.now() + 20 * kSecond);
  const std::uint64_t committed = cluster.count("committed");
  cluster.pass(world.ladder.evict + 5 * kSecond);
  if (cluster.count("committed") <= committed) {
    throw Violation("promise 7: the others do not commit within 5 s of the eviction");
  }
  cluster.until([&] { return cluster.peer(1).id() != before; });
  cluster.finish();
}

void silent_death(bool verbose) {
  Cluster cluster(quiet(4), verbose);
  cluster.until_in_the_middle_of_an_op(0);
  cluster.peer(2).crash(true);  // its machine loses power: no FIN
  cluster.finish();
}

void half_open_link(bool verbose) {
  Cluster cluster(quiet(2), verbose);
  cluster.until_in_the_middle_of_an_op(0);
  for (const ConnId conn : cluster.peer(0).links()) {
    cluster.world.network.half_open(conn);
  }
  cluster.finish();
}

// G1: the only one who had posted the op is told ABORT and dies before anybody else hears of it.
void aborted_op_is_posted_later(bool verbose) {
  Options options = quiet(4);
  options.updates = 0;  // the calls are made here
  Cluster cluster(options, verbose);
  Network& network = cluster.world.network;
  cluster.until([&] { return cluster.members() == 4; });
  collective::Descriptor op;
  op.count = 100;
  op.fail_on_loss = true;
  cluster.post(1, op, 0);
  cluster.kill_for_good(0);
  cluster.until([&] {
    return std::ranges::all_of(cluster.world.living(), [](const auto* p) { return p->core().cut().number > 0; });
  });
  for (const HostId deaf : {cluster.world.sites[2]->host, cluster.world.sites[3]->host}) {
    network.cut(0, deaf, true);
  }
  cluster.until([&] { return cluster.count("aborted") == 1; });
  const PeerId told = cluster.peer(1).id();
  cluster.kill_for_good(1);
  cluster.world.masters.back()->evict(told);
  for (const std::size_t deaf : {2u, 3u}) {
    cluster.reset_line_to_master(deaf);  // what was said to it is lost
    network.cut(0, cluster.world.sites[deaf]->host, false);
  }
  cluster.until([&] {
    return std::ranges::all_of(cluster.world.living(), [](const auto* p) { return p->core().roster().size() == 2; });
  });
  cluster.post(2, op, 0);
  cluster.post(3, op, 0);
  cluster.until([&] { return cluster.count("aborted") == 3; });
  cluster.post(2, collective::Descriptor{}, 1);
  cluster.post(3, collective::Descriptor{}, 1);
  cluster.until([&] { return cluster.count("committed") == 2; });
  cluster.finish();
}

// G2: an op is posted after the freeze, its cancel reaches a new master that asks for reports again in the same epoch, and
// it commits before that master's decision is heard.
void new_master_asks_about_an_op_of_its_own_epoch(bool verbose) {
  Options options = quiet(3);
  options.updates = 0;
  options.store_delay = 2 * kSecond;
  Cluster cluster(options, verbose);
  World& world = cluster.world;
  const auto everyone = [&](const std::function<bool(const core::Peer&)>& holds) {
    return std::ranges::all_of(world.living(), [&](const auto* p) { return holds(p->core()); });
  };
  cluster.until([&] { return cluster.members() == 3; });
  cluster.kill_for_good(0);
  cluster.until([&] { return everyone([](const core::Peer& p) { return p.cut().number > 0; }); });
  cluster.kill_master();
  collective::Descriptor op;
  op.count = 100;
  const OpHandle posted = cluster.post(1, op, 0);
  cluster.peer(1).cancel(posted);
  world.checker.expect_failure(PlannedOp{0, 0, 0});
  world.network.slow(world.sites[2]->host, 0, true);  // its report comes last, behind the cancel
  const std::uint64_t term = cluster.peer(1).core().term();
  cluster.start_master();
  cluster.until([&] { return everyone([&](const core::Peer& p) { return p.term() > term; }); });
  cluster.post(2, op, 0);
  cluster.until([&] { return cluster.count("committed") == 2; });
  const HostId one = world.sites[1]->host;
  const HostId other = world.sites[2]->host;
  world.network.cut(one, other, true);  // neither learns that it has ended at the other, so both remember it
  world.network.cut(other, one, true);
  cluster.pass(10 * kSecond);  // what the master decided meanwhile arrives
  cluster.finish();
}

// Two post an op in the last batch before a join, the third goes on to the update without it.
void an_op_is_left_behind_at_a_join(bool verbose) {
  Options options = quiet(3);
  options.updates = 0;
  Cluster cluster(options, verbose);
  World& world = cluster.world;
  cluster.until([&] { return cluster.members() == 3; });
  world.add_replica();
  cluster.until([&] { return world.sites[3]->process && cluster.peer(3).links().size() >= 6; });
  world.checker.expect_failure(PlannedOp{0, 0, 0});
  collective::Descriptor op;
  op.count = 100;
  cluster.post(0, op, 0);
  cluster.post(1, op, 0);
  cluster.pass(kSecond);
  for (const std::size_t member : {0u, 1u, 2u}) {
    cluster.peer(member).update();
  }
  cluster.until([&] { return cluster.members() == 4 && cluster.count("refused") == 2; });
  for (const std::size_t member : {0u, 1u, 2u, 3u}) {
    cluster.post(member, op, 1);
  }
  cluster.until([&] { return cluster.count("committed") == 4; });
  cluster.finish();
}

// G15: the master and the newcomer die between the promises and the answer, and nobody else ever joins.
void promise_outlives_its_master(bool verbose) {
  Options options = quiet(3);
  options.updates = 0;
  Cluster cluster(options, verbose);
  World& world = cluster.world;
  cluster.until([&] { return cluster.members() == 3; });
  world.add_replica();
  cluster.until([&] { return world.sites[3]->process && cluster.peer(3).links().size() >= 6; });
  const HostId held_up = world.sites[0]->host;
  world.network.cut(held_up, 0, true);  // its promise does not reach the master
  cluster.pass(600 * kMillisecond);
  cluster.peer(1).update();
  if (cluster.peer(1).core().waits_for().empty()) {
    throw Violation("the scenario: nobody waits for the newcomer");
  }
  cluster.kill_for_good(3);
  cluster.kill_master();
  world.network.cut(held_up, 0, false);
  cluster.start_master();
  cluster.until([&] { return cluster.peer(1).core().update_count() == 1; });
}

// A promise to an ask for new rates is no answer to the next ask, though its member has not heard of the answer.
void promise_for_new_rates_answers_nothing_else(bool verbose) {
  Options options = quiet(4);
  options.updates = 0;
  Cluster cluster(options, verbose);
  World& world = cluster.world;
  world.healed = true;  // no faults but those of the script
  const auto to_master = [&](std::size_t i, bool is_cut) { world.network.cut(world.sites[i]->host, 0, is_cut); };
  const auto from_master = [&](std::size_t i, bool is_cut) { world.network.cut(0, world.sites[i]->host, is_cut); };
  cluster.until([&] { return cluster.members() == 4; });
  for (const std::size_t member : {0u, 1u, 2u, 3u}) {
    cluster.peer(member).core().measured(member == 3 ? 10 : 100);
  }
  const auto asks = [&] { return world.masters.back()->core().status(world.clock.now()).stage; };
  cluster.until([&] { return asks().starts_with("new rates"); });
  to_master(1, true);  // its answer is late, so that a newcomer has linked to all by then
  world.add_replica();
  cluster.until([&] { return world.sites[4]->process && cluster.peer(4).links().size() >= 8; });
  cluster.pass(100 * kMillisecond);
  from_master(0, true);  // it does not hear the answer
  to_master(1, false);
  to_master(2, true);  // and the next ask waits for this one
  cluster.until([&] { return asks().starts_with("joining"); });
  from_master(0, false);
  cluster.reset_line_to_master(0);
  cluster.pass(600 * kMillisecond);
  cluster.peer(0).update();
  cluster.pass(100 * kMillisecond);
  if (cluster.peer(0).core().update_count() > 0) {
    throw Violation("a member passes an update while it is asked where somebody joins");
  }
  to_master(2, false);
  cluster.until([&] { return cluster.peer(0).core().update_count() == 1 && cluster.members() == 5; });
}

void run_world(const Options& options, bool verbose) {
  World world(options);
  world.verbose = verbose;
  world.on_line = [](const std::string& line) { std::puts(line.c_str()); };
  world.run();
}

// As it was found, which is before stores had faults of their own, members measured and had sites, and ops had quorums.
void seed(std::uint64_t number, bool verbose) {
  Options options = Options::draw_without_transactions(number);
  options.kinds.erase(options.kinds.lower_bound(Fault::store_lies), options.kinds.end());
  options.measures = options.quorums = false;
  options.sites.clear();
  run_world(options, verbose);
}

// A deposed master that makes no write has to hear of its lease: else it keeps peers that the new one evicts.
void seed_181(bool verbose) { seed(181, verbose); }

// The joiner of an open ask dies after a member has reconnected and shown its promise in HELLO.
void seed_25626(bool verbose) { seed(25626, verbose); }

// A newcomer hears nothing of its admission and of its loss, and joins a master that has just started.
void seed_26493(bool verbose) { seed(26493, verbose); }

// A member connects to a master that stands still, just before another one starts.
void seed_77669(bool verbose) { seed(77669, verbose); }

// A new master asks for a promise while the CANCEL of an older one waits for its record. With all that a seed draws now.
void seed_6739(bool verbose) { run_world(Options::draw(6739), verbose); }

// EPOCH carries a final decision longer than the base of its generation.
void seed_7252(bool verbose) { seed(7252, verbose); }

// A master without a store comes back, hears nobody in time and forms a new run, whose keys are those of the old one's ops.
void seed_7646(bool verbose) { seed(7646, verbose); }

// Those of this file.
std::vector<Scenario> scenarios_here() {
  return {
      {"a root dies in the middle of an op", root_dies},
      {"two die in one breath", two_die_in_one_breath},
      {"all but one die", all_but_one_die},
      {"a member dies at any moment of an all-gather", owner_of_a_gathered_block_dies},
      {"a member dies at any moment of a reduce-scatter", owner_of_a_scattered_block_dies},
      {"a member dies at any moment of an exchange", member_of_an_exchange_dies},
      {"the one that sends dies at any moment of a send", who_sends_dies},
      {"the one that receives dies at any moment of a send", who_receives_dies},
      {"the one that receives dies when it has committed, unheard", who_received_dies_unheard},
      {"the master dies and ops run on", master_dies_and_nobody_notices},
      {"a member dies while there is no master", member_dies_without_master},
      {"the master dies between any two effects of resolving a loss", master_dies_between_effects},
      {"somebody joins in the middle of an op", joins_in_the_middle},
      {"somebody joins during a loss", joins_during_a_loss},
      {"a process that stands still for 1 s is not evicted", short_stop_is_not_punished},
      {"one that stands still for 20 s is evicted, the others go on, it comes back",
       long_stop_is_evicted_and_comes_back},
      {"a machine loses power: no FIN", silent_death},
      {"every connection of a link goes silent", half_open_link},
      {"an op is aborted, its only poster dies, the others post it (G1)", aborted_op_is_posted_later},
      {"who refused an op votes on it, where its other member never heard why (G3)", refusal_is_a_vote},
      {"a new master asks about an op of its own epoch (G2)", new_master_asks_about_an_op_of_its_own_epoch},
      {"an op that two have posted is left behind at a join", an_op_is_left_behind_at_a_join},
      {"a master and a newcomer die between promise and answer (G15)", promise_outlives_its_master},
      {"a promise for new rates answers nothing else", promise_for_new_rates_answers_nothing_else},
      {"seed 181: a deposed master that has nothing to write", seed_181},
      {"seed 7252: a decision about a generation that is over", seed_7252},
      {"seed 25626: a promise that was shown in HELLO is cancelled, too", seed_25626},
      {"seed 26493: an incarnation is a member once", seed_26493},
      {"seed 77669: whoever has lost its master is back before it is taken for lost", seed_77669},
      {"seed 6739: a member is asked for a promise after the CANCEL of an older one", seed_6739},
      {"seed 7646: two runs, one after the other, without a store", seed_7646},
  };
}

}  // namespace

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> all = [] {
    std::vector<Scenario> list = scenarios_here();
    for (const auto& more :
         {scenarios_of_relays(), scenarios_of_sites(), scenarios_of_quorums(), scenarios_of_transactions()}) {
      list.insert(list.end(), more.begin(), more.end());
    }
    return list;
  }();
  return all;
}

}  // namespace seaway::sim
