#include "chaos/stage.h"

#include <cstdio>

namespace seaway::chaos {

const std::vector<FaultClass>& fault_classes() {
  static const std::vector<FaultClass> classes{
      {"kill", "SIGKILL of a peer, or of two; it comes back as itself, or a newcomer does", {}, false, kill_peers},
      {"stop", "SIGSTOP of a peer for .2 to 1.5 s: nobody may be evicted", {}, false, stop_peer_shortly},
      {"long-stop", "SIGSTOP for 4 to 9 s: evicted, it notices and joins again by itself", {}, true, stop_peer_long},
      {"cut", "packets between two peers vanish, one way or both, for up to 2 s or 7 to 13 s", Ability::network, true,
       cut_peers},
      {"cut-master", "the same between a peer and the master, for up to 1 s or 4 to 10 s", Ability::network, true,
       cut_from_master},
      {"isolate", "all packets of a peer's host vanish, for 4 to 9 s", Ability::network, true, isolate_peer},
      {"reset", "a connection is reset; all between two hosts; all of a host", Ability::network, false,
       reset_connections},
      {"master-kill", "SIGKILL of the master; it is started at once, or after up to 8 s", {}, false, kill_master},
      {"master-series", "the same 3 to 6 times, every .5 to 4 s", {}, true, kill_masters},
      {"master-stop", "SIGSTOP of the master for .2 to 10 s", {}, true, stop_master},
      {"clock", "the wall clock of the master or of a peer jumps, by seconds to decades", Ability::clock, false,
       jump_clock},
      {"disk", "the master's disk is full for 1 to 8 s; a peer, or the master, may die meanwhile", Ability::disk, true,
       fill_disk},
      {"wrong", "one peer makes a call that differs: refused everywhere", {}, false, call_wrongly},
      {"cancel",
       "an op is cancelled, has a deadline, or may not stand still while somebody does",
       {},
       false,
       end_an_op},
      {"storm", "two to five newcomers at once, some killed while they join, the others leave again", {}, true, storm},
      {"strangers",
       "at the master's port and at the peers': garbage, half handshakes, wrong pins, wrong tokens, plaintext where "
       "TLS is "
       "spoken",
       {},
       false,
       send_strangers},
  };
  return classes;
}

std::optional<unsigned> Stage::victim() {
  std::vector<unsigned> candidates;
  for (unsigned replica = 0; replica < run.config().world; ++replica) {
    if (run.lives(replica) && !touched.contains(replica)) {
      candidates.push_back(replica);
    }
  }
  if (candidates.size() < 2) {
    return std::nullopt;
  }
  const unsigned chosen = candidates[random.below(candidates.size())];
  touched.insert(chosen);
  victims.insert(chosen);
  return chosen;
}

std::optional<unsigned> Stage::anybody() {
  std::vector<unsigned> candidates;
  for (unsigned replica = 0; replica < run.config().world; ++replica) {
    if (run.lives(replica)) {
      candidates.push_back(replica);
    }
  }
  return candidates.empty() ? std::nullopt : std::optional(candidates[random.below(candidates.size())]);
}

std::string in_seconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", seconds);
  return text;
}

}  // namespace seaway::chaos
