// Scenarios of peers that cannot reach one another and meet at a third.
#include "sim/cluster.h"
#include "sim/scenarios.h"

namespace seaway::sim {

namespace {

void cut(Cluster& cluster, std::size_t a, std::size_t b, bool is_cut) {
  const HostId one = cluster.world.sites.at(a)->host;
  const HostId other = cluster.world.sites.at(b)->host;
  cluster.world.network.cut(one, other, is_cut);
  cluster.world.network.cut(other, one, is_cut);
}

void until_committed(Cluster& cluster, std::uint64_t more) {
  const std::uint64_t before = cluster.count("committed");
  cluster.until([&] { return cluster.count("committed") >= before + more; });
}

void nobody_is_gone(Cluster& cluster, std::size_t members) {
  if (cluster.members() != members || cluster.count("evicted") > 0) {
    throw Violation("promise 8: a bad edge has cost a member");
  }
}

void four_go_on(Cluster& cluster) {
  cluster.until([&] { return cluster.members() == 4; });
  until_committed(cluster, 20);
  nobody_is_gone(cluster, 4);
  cluster.finish();
}

// Nothing was ever said on it. All four are founders, or the one behind it comes later.
void newcomers_that_cannot_reach_one_another(bool verbose) {
  Cluster cluster(quiet(4), verbose);
  cut(cluster, 1, 3, true);
  cut(cluster, 2, 3, true);
  four_go_on(cluster);
}

void one_joins_over_a_relay(bool verbose) {
  Options options = quiet(3);
  options.updates = 60;
  Cluster cluster(options, verbose);
  cluster.until([&] { return cluster.members() == 3; });
  cluster.world.add_replica();
  cut(cluster, 2, 3, true);
  four_go_on(cluster);
}

// No FIN, no RST: it carries nothing any more. When it does again, the relay is not needed.
void an_edge_goes_dark(bool verbose) {
  Options options = quiet(4);
  options.updates = 400;
  Cluster cluster(options, verbose);
  cluster.until_in_the_middle_of_an_op(1);
  cut(cluster, 1, 2, true);
  until_committed(cluster, 100);
  nobody_is_gone(cluster, 4);
  cluster.pass(20 * kSecond);
  nobody_is_gone(cluster, 4);
  cut(cluster, 1, 2, false);
  until_committed(cluster, 100);
  nobody_is_gone(cluster, 4);
  cluster.finish();
}

// The one in the middle is killed, and another one takes its place.
void the_relay_dies(bool verbose) {
  Options options = quiet(5);
  options.updates = 60;
  Cluster cluster(options, verbose);
  cut(cluster, 3, 4, true);
  cluster.until_in_the_middle_of_an_op(3);
  cluster.kill_for_good(0);
  cluster.pass(5 * kSecond);
  until_committed(cluster, 8);
  nobody_is_gone(cluster, 4);
  cluster.finish();
}

}  // namespace

std::vector<Scenario> scenarios_of_relays() {
  return {
      {"newcomers that cannot reach one another meet at a third", newcomers_that_cannot_reach_one_another},
      {"somebody joins whom one member cannot reach", one_joins_over_a_relay},
      {"an edge goes dark, and costs nobody its place", an_edge_goes_dark},
      {"the relay between two members dies", the_relay_dies},
  };
}

}  // namespace seaway::sim
