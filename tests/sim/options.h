// Everything a seed decides before the first event. Swarm testing: each seed has some kinds of faults and lacks others,
// so that no kind always hides another.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/random.h"
#include "base/time.h"

namespace seaway::sim {

enum class Fault : std::uint8_t {
  crash,           // a process ends between two effects
  stall,           // a process stands still (SIGSTOP), its sockets buffer
  cut,             // packets between two hosts are lost, both ways or one way
  master_cut,      // the same between a peer and the master
  reset,           // one connection gets RST
  half_open,       // one connection carries nothing any more, and nobody is told
  slow_link,       // a tenth of the rate, ten times the delay
  master_restart,  // the master's process ends, another starts
  master_stall,    // it stands still; a second master may start meanwhile
  join,            // newcomers, several at once
  leave,           // a member says goodbye
  wrong_call,      // one member's descriptor differs, or it skips an op
  cancel,          // an op is cancelled, or given a deadline
  slow_caller,     // a member posts late
  bit_flip,        // memory lies once
  store_lies,      // a write may have been done, or be done later, and nobody knows
  store_full,      // no write is done
  store_lost,      // the master's process ends, another starts and finds no record
  store_old,       // the same, and finds what the record was earlier
  lease_lost,      // the master loses its lease, and nobody else has it
  count
};
const char* name_of(Fault fault);

struct Options {
  std::uint64_t seed = 0;
  std::uint32_t replicas = 2;
  std::uint16_t lanes = 1;
  bool has_store = true;
  bool majority = false;
  Limits limits;
  std::uint32_t data_connections = 1;
  std::uint64_t updates = 6;        // batches of the program
  Duration update_delay = 0;        // the longest that a member computes between its ops and update()
  std::uint32_t ops_per_batch = 4;  // at most; at least 20 ops in all
  std::uint32_t most_elements = 200;
  std::uint32_t faults = 3;         // at least
  std::set<Fault> kinds;            // that this seed has
  Duration latency = kMillisecond;  // one way
  Duration jitter = kMillisecond;
  std::uint64_t bytes_per_ms = 4000;  // of one connection
  std::uint64_t socket_bytes = 1024;  // a connection's send buffer
  std::uint64_t piece_bytes = 512;    // the most that arrives at once
  Duration job_delay = kMillisecond;  // the longest that a job takes
  Duration release_delay = kMillisecond;
  Duration store_delay = 5 * kMillisecond;
  Duration quiet_before = 0;       // the first fault comes after this
  std::vector<std::string> sites;  // the labels that machines state, in turn; empty: nobody states any
  bool stateful = false;           // members sync, newcomers contribute only after one
  bool quorums = false;            // some ops have one, and some members post those late
  bool transactions = false;       // some ops commit together, in all lanes
  bool measures = false;           // members say what their lines carry, which changes now and then
  Duration between_rates = 30 * kSecond;

  static Options draw(std::uint64_t seed);
  static Options draw_without_transactions(std::uint64_t seed);  // and with two lanes at most
};

}  // namespace seaway::sim
