// One trainer, written against include/seaway/ as a user's program is: it joins, and reduces step after step until it is told to
// leave. Evicted, it joins again by itself. Each element of each result is compared with the sum over exactly the contributors
// that the result names, each input with what it was. On stdout, a line each, T in seconds of the machine's monotonic clock:
//
//   joined T PEER ADDRESS UPDATES
//   refused T TEXT                              joining failed for now; it tries again
//   op T STEP TAG STATUS HASH CONTRIBUTORS BEGAN ATTEMPTS ON_LOSS_FAIL
//                                               final and checked. CONTRIBUTORS: replicas, a digit each; "-" when not committed,
//                                               "?" when one was lost before this trainer had seen it in a view
//   did T STEP TAG wrong|cancel|deadline|no-progress     as it was told
//   epoch T TERM NUMBER
//   evicted T TEXT
//   clock T WALL                                the wall clock that this process sees
//   log T TEXT                                  the library's log
//   wrong TEXT, lost TEXT, hangs TEXT, failed TEXT       a promise is broken, and it ends
//   left
//
// On stdin: leave, clock, and what its next step is to do: wrong, cancel, deadline, no-progress.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace seaway::chaos {

struct TrainerArguments {
  std::string master;  // in plaintext its address; empty: SEAWAY_JOIN of the environment lets it in
  std::string listen;
  unsigned replica = 0;
  unsigned world = 0;
  unsigned sites = 0;  // replica r states the label of site r % sites; 0: none
  std::uint64_t seed = 0;
  std::uint64_t bytes = 0;     // of every op; 0: mixed
  double patience = 0;         // seconds after which a call hangs
  std::uint64_t identity = 0;  // of all its lives; 0: another one in each

  std::vector<std::string> words() const;
  static TrainerArguments from(const std::vector<std::string>& words);
};

int run_trainer(const TrainerArguments& arguments);

}  // namespace seaway::chaos
