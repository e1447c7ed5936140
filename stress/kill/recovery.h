// What a death costs those who go on, in time.
#pragma once

#include <cstdint>

namespace seaway::kill {

struct RecoveryOptions {
  unsigned runs = 20;
  std::uint64_t seed = 1;
  std::uint64_t bytes = 0;
  unsigned world = 4;
  bool lab = false;
  bool encrypted = true;
  bool verbose = false;
};

// Prints p50 and p99; 1 when a run went wrong.
int measure_recovery(const RecoveryOptions& options);

}  // namespace seaway::kill
