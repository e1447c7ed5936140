// The subcommands. Each returns the exit code.
#pragma once

#include "collectives/options.h"

namespace seaway::bench {

int run_floor(const Options& options);
int run_collective(const Options& options);
int run_worker(const Options& options);  // one peer of run_collective

}  // namespace seaway::bench
