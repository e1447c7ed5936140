// Times into figures.
//
// algbw and busbw are those of nccl-tests (doc/PERFORMANCE.md there): algbw = bytes / seconds; busbw = algbw * 2(n-1)/n for
// an all-reduce over n peers, which is what each peer's link must carry at least, whatever the algorithm.
#pragma once

#include <string>
#include <vector>

#include "collectives/options.h"

namespace seaway::bench {

double percentile(std::vector<double> values, double p);

// `seconds`: of each run, that of its slowest peer. `cpu_seconds`: of all peers, all their threads, over all runs.
void print_all_reduce(const Options& options, const std::vector<double>& seconds, double cpu_seconds);
void print_floor(const Options& options, const std::vector<double>& seconds);

}  // namespace seaway::bench
