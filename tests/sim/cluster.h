// What named scenarios are written in: a cluster whose faults are those of the script.
#pragma once

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>

#include "sim/master_process.h"
#include "sim/peer_process.h"
#include "sim/world.h"

namespace seaway::sim {

// A cluster without faults of its own: whatever goes wrong is in the script.
inline Options quiet(std::uint32_t replicas) {
  Options options;
  options.seed = 4242;
  options.replicas = replicas;
  options.faults = 0;
  options.latency = 10 * kMillisecond;
  options.jitter = 2 * kMillisecond;
  options.limits.chunk_bytes = 128;
  options.limits.one_shot_bytes = 0;
  options.bytes_per_ms = 40;
  return options;
}

class Cluster {
 public:
  Cluster(const Options& options, bool verbose) : world(options) {
    world.verbose = verbose;
    world.on_line = [](const std::string& line) { std::puts(line.c_str()); };
    world.begin();
  }

  bool until(const std::function<bool()>& condition) {
    const Time end = world.clock.now() + 60 * kSecond;
    while (!condition()) {
      if (!world.clock.step(end)) {
        throw Violation("the scenario waits for something that does not happen");
      }
    }
    return true;
  }
  PeerProcess& peer(std::size_t i) { return *world.sites.at(i)->process; }
  std::size_t members() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(world.living(), [](const auto* p) { return p->is_member(); }));
  }
  // Everybody is admitted, and some op moves payload at member i.
  void until_in_the_middle_of_an_op(std::size_t i) {
    until([&] { return world.sites.at(i)->process && peer(i).is_member() && receives_payload(i); });
  }
  bool receives_payload(std::size_t i) {
    return std::ranges::any_of(peer(i).links(), [&](ConnId conn) { return peer(i).lands_payload(conn); });
  }
  void kill(std::size_t i) { peer(i).crash(false); }
  void kill_for_good(std::size_t i) {
    world.sites.at(i)->finished = true;
    kill(i);
  }
  OpHandle post(std::size_t i, const collective::Descriptor& op, std::uint32_t index) {
    const std::optional<OpHandle> posted = peer(i).post(op, PlannedOp{peer(i).site().lane, 0, index});
    if (!posted) {
      throw Violation("a member's call was not taken");
    }
    peer(i).pump();
    return *posted;
  }
  void reset_line_to_master(std::size_t i) {
    for (const ConnId conn : world.network.connections_of(peer(i).process())) {
      const auto [one, other] = world.network.hosts_of(conn);
      if (one == 0 || other == 0) {
        world.network.reset(conn, false);
      }
    }
  }
  void kill_master() { world.masters.back()->crash(); }
  void start_master() { world.start_master(true); }
  void pass(Duration time) { world.run_until(world.clock.now() + time, false); }
  std::uint64_t count(const char* outcome) const {
    const auto it = world.stats.ops.find(outcome);
    return it == world.stats.ops.end() ? 0 : it->second;
  }
  void finish() {
    world.heal();
    until([&] { return world.finished(); });
    for (PeerProcess* p : world.living()) {
      p->check();
    }
    world.checker.at_the_end();
    if (count("committed") == 0) {
      throw Violation("nothing was committed");
    }
  }

  World world;
};

}  // namespace seaway::sim
