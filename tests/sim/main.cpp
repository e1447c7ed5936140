// seaway_sim: runs of a whole seaway, each drawn from a seed.
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include "base/mark.h"
#include "base/mutant.h"
#include "sim/master_process.h"
#include "sim/peer_process.h"
#include "sim/record.h"
#include "sim/scenarios.h"
#include "sim/story.h"
#include "sim/world.h"

namespace seaway::sim {
namespace {

constexpr const char* kHelp =
    R"(seaway_sim: runs seaway's cores on a simulated network and checks the promises after every step.

  seaway_sim --seed N [--verbose]   one run; --verbose tells what happens, in simulated milliseconds
  seaway_sim --seeds A..B           many; prints a line for each that fails, then what was covered.
                                    One in 50 runs twice and has to take the same course. With 5000 seeds or more
                                    it fails, too, when a rare branch (a "mark") was never reached
  seaway_sim --scenarios            the named scenarios: what seeds have found, and what has to stay true
  seaway_sim --scenario NAME [--verbose]
  seaway_sim --story                four peers reduce, one is killed in the middle, another joins: told in words
  seaway_sim --marks                with --seeds: prints how often each mark was reached
  seaway_sim --mutant NAME          plants a bug (tests/sim/mutants.txt) in what runs
  seaway_sim --reduce RECORD        the reference of one op's result. A violation of promise 1 prints its record:
        kind=K dtype=T op=R count=N plan=P codec=none seed=S lane=L update=U index=I contributors=ID:WEIGHT,...
        K is 1 all_reduce, 2 broadcast. The data of each contributor is drawn from (seed, ID, lane, update, index);
        the contributors stand in roster order; with plan=hierarchical, sites=ID:NUMBER,... says who is where. Prints XXH3 of the result and its first bytes.

Exit status: 0 nothing found, 1 something found, 2 wrong arguments.
)";

struct Arguments {
  std::uint64_t first = 1;
  std::uint64_t last = 0;
  bool verbose = false;
  bool marks = false;
  bool scenarios = false;
  bool story = false;
  std::string scenario;
  std::string record;
};

struct Totals {
  std::map<std::string, std::uint64_t> ops;
  std::map<std::string, std::uint64_t> faults;
  std::uint64_t events = 0;
  std::uint64_t checked = 0;
  std::uint64_t failed = 0;
};

// "" or what was found.
std::string run_one(World& world, Totals& totals) {
  try {
    world.run();
  } catch (const std::exception& error) {
    return error.what();
  }
  for (const auto& [name, count] : world.stats.ops) {
    totals.ops[name] += count;
  }
  for (const auto& [name, count] : world.stats.faults) {
    totals.faults[name] += count;
  }
  totals.events += world.clock.events();
  totals.checked += world.checker.reductions_checked();
  return "";
}

std::string run_seed(std::uint64_t seed, bool verbose, Totals& totals) {
  World world(Options::draw(seed));
  world.verbose = verbose;
  world.on_line = [](const std::string& line) { std::puts(line.c_str()); };
  std::string found = run_one(world, totals);
  if (found.empty() && seed % 50 == 0) {
    World again(Options::draw(seed));
    Totals ignored;
    run_one(again, ignored);
    if (again.clock.trace() != world.clock.trace()) {
      found = "the same seed took another course: something is not deterministic";
    }
  }
  return found;
}

void print_counts(const char* what, const std::map<std::string, std::uint64_t>& counts) {
  std::printf("%s:", what);
  for (const auto& [name, count] : counts) {
    std::printf("  %s %" PRIu64, name.c_str(), count);
  }
  std::puts("");
}

int run_seeds(const Arguments& arguments) {
  constexpr std::uint64_t kMostFailures = 20;
  constexpr std::uint64_t kAllMarks = 5000;
  Totals totals;
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t done = 0;
  for (std::uint64_t seed = arguments.first; seed <= arguments.last; ++seed, ++done) {
    const std::string found = run_seed(seed, arguments.verbose, totals);
    if (!found.empty()) {
      const std::string mutant = selected_mutant[0] != 0 ? std::string(" --mutant ") + selected_mutant : "";
      std::printf("seed %" PRIu64 ": %s\n  again: seaway_sim --seed %" PRIu64 "%s --verbose\n", seed, found.c_str(),
                  seed, mutant.c_str());
      std::fflush(stdout);
      if (++totals.failed == kMostFailures || selected_mutant[0] != 0) {
        ++done;
        break;
      }
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%" PRIu64 " seeds, %" PRIu64 " failed; %.1f s, %.0f seeds a minute, %.1f million events, %" PRIu64
              " results compared with the reference\n",
              done, totals.failed, seconds.count(), static_cast<double>(done) * 60 / seconds.count(),
              static_cast<double>(totals.events) / 1e6, totals.checked);
  print_counts("ops", totals.ops);
  print_counts("faults", totals.faults);
  std::size_t hit = 0;
  bool missed = false;
  const auto marks = mark_counts();
  for (const auto& [name, count] : marks) {
    hit += count > 0 ? 1 : 0;
    if (count == 0 && done >= kAllMarks) {
      std::printf("never reached: \"%s\"\n", name.c_str());
      missed = true;
    } else if (arguments.marks) {
      std::printf("%10" PRIu64 "  %s\n", count, name.c_str());
    }
  }
  std::printf("marks: %zu of %zu reached\n", hit, marks.size());
  return totals.failed > 0 || missed ? 1 : 0;
}

int run_scenarios(const std::string& only, bool verbose) {
  int failed = 0;
  int passed = 0;
  for (const Scenario& scenario : scenarios()) {
    if (!only.empty() && only != scenario.name) {
      continue;
    }
    std::string found;
    try {
      scenario.run(verbose);
    } catch (const std::exception& error) {
      found = error.what();
    }
    (found.empty() ? passed : failed) += 1;
    std::printf("%s  %s\n", found.empty() ? "passed" : "FAILED", scenario.name);
    if (!found.empty()) {
      std::printf("  %s\n  again: seaway_sim --scenario '%s' --verbose\n", found.c_str(), scenario.name);
    }
  }
  if (passed + failed == 0) {
    std::printf("there is no scenario '%s'; --scenarios runs and names all\n", only.c_str());
    return 2;
  }
  return failed > 0 ? 1 : 0;
}

bool parse_range(const char* text, Arguments& arguments) {
  return std::sscanf(text, "%" SCNu64 "..%" SCNu64, &arguments.first, &arguments.last) == 2 &&
         arguments.first <= arguments.last;
}

// False when the arguments make no sense.
bool parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (word == "--verbose") {
      arguments.verbose = true;
    } else if (word == "--marks") {
      arguments.marks = true;
    } else if (word == "--scenarios") {
      arguments.scenarios = true;
    } else if (word == "--story") {
      arguments.story = true;
    } else if (value == nullptr) {
      return false;
    } else if (word == "--seed") {
      char* end = nullptr;
      arguments.first = arguments.last = std::strtoull(value, &end, 10);
      if (end == value || *end != 0) {
        return false;
      }
      ++i;
    } else if (word == "--seeds") {
      if (!parse_range(value, arguments)) {
        return false;
      }
      ++i;
    } else if (word == "--scenario") {
      arguments.scenario = value;
      ++i;
    } else if (word == "--mutant") {
      selected_mutant = value;
      ++i;
    } else if (word == "--reduce") {
      arguments.record = value;
      ++i;
    } else {
      return false;
    }
  }
  return arguments.story || arguments.scenarios || !arguments.scenario.empty() || !arguments.record.empty() ||
         arguments.first <= arguments.last;
}

int run(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fputs(kHelp, stderr);
    return 2;
  }
  if (arguments.story) {
    return tell_story();
  }
  if (!arguments.record.empty()) {
    return print_reference(arguments.record);
  }
  if (arguments.scenarios || !arguments.scenario.empty()) {
    return run_scenarios(arguments.scenario, arguments.verbose);
  }
  return run_seeds(arguments);
}

}  // namespace
}  // namespace seaway::sim

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return seaway::sim::run(argc, argv);
}
