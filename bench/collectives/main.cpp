// seaway_bench: how fast collectives are, and how fast they could be.
#include <cstdio>
#include <string>
#include <vector>

#include "collectives/commands.h"

namespace {

constexpr const char* kHelp =
    R"(seaway_bench - how fast collectives are on this machine

  seaway_bench floor        two processes, each sends a message and waits for the other's, on the sockets and the event
                            loop of the library and nothing above them. No all-reduce that commits can be faster than two of
                            these: one for the data, one for "I have the result"
  seaway_bench all_reduce   a master and --peers processes on the loopback, f32, sum
  seaway_bench reduce_scatter       the same, but each peer gets its block of the sum
  seaway_bench all_gather           the same, but each peer has a block and gets everyone's
  seaway_bench exchange             each peer has a block for each, itself included, and gets a block of each

  --peers N       processes (default 2)
  --bytes N       of each peer's input (default 64), of all_gather each peer's result; also --floats N and --mib N. For
                  floor: of the message
  --runs N        measured runs (default 1000)
  --warmup N      runs before them (default 100): the first ones connect, allocate and fault pages in
  --between-mib N before each run an all-reduce of that size, whose time does not count: a small op among large ones
  --rate N        Mbit/s that every peer states that it has; 0 (default): what it measures
  --streams N     data connections per pair of peers; 0 (default): as many as help
  --sites A,B,... labels of the peers' sites, in turn: west,west,east,east for two of two; where several have one, an all_reduce is
                  hierarchical. Default: nobody has one
  --codec C[,C]   bf16, q8 or q4: how contributions travel, and an all-reduce's results; q8,q8 for instance
  --in-place      all_reduce: the result replaces the input (otherwise it goes to a buffer of its own)
  --encrypted     over TLS, as a run is unless --plaintext was given
  --lab           each peer in a site of the WAN lab that this runs in (stress/lab), the master where this is
  --json          one line of JSON
  --turns         for each line of standard input as many runs as it says, and a line of JSON: script/bench --peers uses it

What is printed: p50 and p99 of the runs, where a run's time is that of its slowest peer; algbw = bytes / p50 and
busbw = algbw * 2(n-1)/n, of the others (n-1)/n, as in nccl-tests' doc/PERFORMANCE.md; the CPU seconds of a
run, user and system, of all threads of all peers. The result of the last run is checked.

  seaway_bench floor --bytes 128
  seaway_bench floor --mib 256 --runs 20 --warmup 3        (what TCP alone takes of the all-reduce below)
  seaway_bench all_reduce --floats 16
  seaway_bench all_reduce --mib 256 --runs 20 --warmup 3
  seaway_lab four-500mbit --at a -- seaway_bench all_reduce --lab --peers 4 --mib 64 --runs 5 --warmup 2
)";

}  // namespace

int main(int argc, char** argv) {
  using namespace seaway::bench;
  const std::vector<std::string> words(argv + 1, argv + argc);
  const std::string command = words.empty() ? "--help" : words[0];
  for (const std::string& word : words) {
    if (word == "--help" || word == "-h" || command == "--help") {
      std::fputs(kHelp, stdout);
      return 0;
    }
  }
  if (words.empty()) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  Options options;
  const bool is_collective = to_collective(command, options.collective);
  std::string problem;
  if (!parse({words.begin() + 1, words.end()}, options, problem)) {
    std::fprintf(stderr, "seaway_bench: %s; seaway_bench --help says what is\n", problem.c_str());
    return 2;
  }
  if (command == "floor") {
    return run_floor(options);
  }
  if (is_collective) {
    return run_collective(options);
  }
  if (command == "worker") {
    return run_worker(options);
  }
  std::fprintf(stderr, "seaway_bench: there is no command \"%s\"; seaway_bench --help lists them\n", command.c_str());
  return 2;
}
