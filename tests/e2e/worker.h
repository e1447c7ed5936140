// One trainer of an end-to-end test, written against include/seaway/ as a user's program is.
//
// It joins and reduces, step after step, until it is told to leave; after an eviction it joins again. Each element of each
// result is checked against the sum over exactly the contributors that the result names. On stdout, a line each, T in seconds
// of the machine's monotonic clock:
//
//   joined T PEER ADDRESS TERM NUMBER              again after an eviction
//   start T STEP                                   its ops are in flight
//   end T STEP                                     its ops are final; what they gave is checked next
//   op T STEP TAG HASH CONTRIBUTORS BEGAN SECONDS ATTEMPTS LOST TERM NUMBER
//                                                  committed; contributors are replicas, a digit each
//   evicted T TEXT
//   log T TEXT                                     the library's log
//   forked PID...
//   failed TEXT, wrong TEXT                        and it ends
//   left
//
// On stdin:
//
//   leave
//   hold PORT     connects to that port of this machine, a socket of the program's own that children inherit
//   fork N        N children that only sleep
#pragma once

#include <string>
#include <vector>

namespace seaway::e2e {

// Words: MASTER REPLICA MIN_WORLD MIB OPS IN_PLACE. OPS of MIB MiB each are in flight in each step; IN_PLACE is 0 or 1.
int run_worker(const std::vector<std::string>& words);

}  // namespace seaway::e2e
