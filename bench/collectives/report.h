// Times into figures.
//
// algbw and busbw are those of nccl-tests (doc/PERFORMANCE.md there): algbw = bytes / seconds; busbw = algbw * 2(n-1)/n for
// an all-reduce over n peers, algbw * (n-1)/n for the two halves of one, reduce-scatter and all-gather: which is what each
// peer's link must carry at least, whatever the algorithm.
#pragma once

#include <cstdint>
#include <vector>

#include "collectives/options.h"

namespace seaway::bench {

struct Measured {
  bool good = false;
  std::vector<double> seconds;  // of each run, that of its slowest peer
  double cpu_seconds = 0;       // of all peers, all their threads, over all runs
  // Of the peer that has most of it.
  std::uint64_t peak_kib = 0;   // memory since it was started
  std::uint64_t grown_kib = 0;  // of it, beyond what it had when it was ready
  unsigned threads = 0;
};

double percentile(std::vector<double> values, double p);

void print_collective(const Options& options, const Measured& measured);
void print_turn(const Measured& measured);
void print_floor(const Options& options, const std::vector<double>& seconds);

}  // namespace seaway::bench
