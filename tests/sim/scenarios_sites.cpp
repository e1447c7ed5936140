// Scenarios of members that share a site: hierarchical plans, and who is lost in the middle of one.
#include <initializer_list>
#include <vector>

#include "sim/cluster.h"
#include "sim/scenarios.h"

namespace seaway::sim {

namespace {

constexpr std::uint32_t kIndex = 900;  // of the op of the script

// Two sites of two: members 0 and 1 are at the one, 2 and 3 at the other.
Options two_by_two() {
  Options options = quiet(4);
  options.updates = 0;                               // the calls are made here
  options.sites = {"east", "west", "west", "east"};  // by their machines' numbers, which begin with 1
  return options;
}

// Floats, so that the order of additions shows.
collective::Descriptor a_sum() {
  collective::Descriptor op{.count = 400};
  op.tag = 77;
  return op;
}

using Handles = std::vector<OpHandle>;

Handles post_everywhere(Cluster& cluster, const collective::Descriptor& op) {
  cluster.until([&] { return cluster.members() == 4; });
  Handles handles;
  for (std::size_t i = 0; i < 4; ++i) {
    handles.push_back(cluster.post(i, op, kIndex));
  }
  return handles;
}

void until_all_have_it(Cluster& cluster, const Handles& handles) {
  cluster.until([&] {
    for (std::size_t i = 0; i < handles.size(); ++i) {
      if (cluster.peer(i).alive() && cluster.peer(i).core().engine().progress(handles[i])) {
        return false;
      }
    }
    return true;
  });
  cluster.finish();
}

void dies_at_any_moment(std::initializer_list<std::size_t> victims, const collective::Descriptor& op, bool verbose) {
  for (Duration after = 0; after < 200 * kMillisecond; after += 6 * kMillisecond) {
    Cluster cluster(two_by_two(), verbose);
    const Handles handles = post_everywhere(cluster, op);
    cluster.pass(after);
    for (const std::size_t victim : victims) {
      cluster.kill_for_good(victim);
    }
    until_all_have_it(cluster, handles);
  }
}

void who_sums_dies(bool verbose) { dies_at_any_moment({1}, a_sum(), verbose); }
void who_sums_at_the_other_site_dies(bool verbose) { dies_at_any_moment({3}, a_sum(), verbose); }
void a_site_dies(bool verbose) { dies_at_any_moment({2, 3}, a_sum(), verbose); }

void who_sums_encoded_dies(bool verbose) {
  collective::Descriptor op = a_sum();
  op.count = 1500;
  op.up = Codec::q8;
  op.down = Codec::q4;
  op.rounding = Rounding::stochastic;
  dies_at_any_moment({3}, op, verbose);
}

// The survivors of a site hear of the decision one after the other: who is behind is asked for sums of the attempt to come, and
// gets those of the one that is over.
void one_hears_later_of_the_next_attempt(bool verbose) {
  for (const std::size_t behind : {1u, 2u, 3u}) {
    Cluster cluster(two_by_two(), verbose);
    World& world = cluster.world;
    const Handles handles = post_everywhere(cluster, a_sum());
    cluster.pass(45 * kMillisecond);
    world.network.slow(0, world.sites[behind]->host, true);
    cluster.kill_for_good(0);
    until_all_have_it(cluster, handles);
  }
}

// What a lost member collected falls to others of its site, to whom parts go unasked: also to one that is not at that attempt yet. And
// one that is ahead asks somebody who is not.
void an_heir_is_behind(bool verbose) {
  for (const std::size_t behind : {1u, 2u, 3u}) {
    for (Duration after = 0; after < 120 * kMillisecond; after += 6 * kMillisecond) {
      Options options = two_by_two();
      options.sites = {"east", "west", "west", "west"};
      Cluster cluster(options, verbose);
      World& world = cluster.world;
      collective::Descriptor op = a_sum();
      op.count = 4000;
      const Handles handles = post_everywhere(cluster, op);
      cluster.pass(after);
      world.network.slow(0, world.sites[behind]->host, true);
      cluster.kill_for_good(0);
      until_all_have_it(cluster, handles);
    }
  }
}

void one_of_three_at_a_site_dies(bool verbose) {
  for (const std::size_t behind : {0u, 1u, 2u, 3u, 4u, 5u, 6u}) {
    for (Duration after = 0; after < 150 * kMillisecond; after += 3 * kMillisecond) {
      Options options = quiet(6);
      options.updates = 0;
      options.sites = {"east", "west"};
      Cluster cluster(options, verbose);
      World& world = cluster.world;
      collective::Descriptor op = a_sum();
      op.count = 2002;
      cluster.until([&] { return cluster.members() == 6; });
      Handles handles;
      for (std::size_t i = 0; i < 6; ++i) {
        handles.push_back(cluster.post(i, op, kIndex));
      }
      cluster.pass(after);
      if (behind < 6) {
        world.network.slow(0, world.sites[behind]->host, true);
      }
      cluster.kill_for_good(behind == 2 ? 0 : 2);
      until_all_have_it(cluster, handles);
    }
  }
}

// The others have to do with the one that is left of each site, and then with one of a site that was lost as a whole.
void one_after_the_other_dies(bool verbose) {
  Cluster cluster(two_by_two(), verbose);
  const Handles handles = post_everywhere(cluster, a_sum());
  for (const std::size_t victim : {0u, 2u, 3u}) {
    cluster.pass(300 * kMillisecond);
    cluster.kill_for_good(victim);
  }
  until_all_have_it(cluster, handles);
}

}  // namespace

std::vector<Scenario> scenarios_of_sites() {
  return {
      {"who sums for a site dies at any moment", who_sums_dies},
      {"who sums for the other site dies at any moment", who_sums_at_the_other_site_dies},
      {"a whole site dies at any moment", a_site_dies},
      {"who sums what is encoded dies at any moment", who_sums_encoded_dies},
      {"one member hears later than the others of the next attempt of a hierarchical op",
       one_hears_later_of_the_next_attempt},
      {"an heir in a site of three hears later of the next attempt", an_heir_is_behind},
      {"one of three at a site dies", one_of_three_at_a_site_dies},
      {"of two sites one after the other dies", one_after_the_other_dies},
  };
}

}  // namespace seaway::sim
