// seaway_lab: see options.cpp for what it does, model/network.h for how packets move.
#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "lab/emulator.h"
#include "lab/ground.h"
#include "lab/measure.h"
#include "lab/model/scenario.h"
#include "lab/options.h"
#include "lab/report.h"
#include "lab/session.h"

namespace seaway::lab {

namespace {

constexpr int kMistake = 2;
constexpr int kNotPossible = 77;  // what test runners take for "skipped"

int say(int code, const std::string& problem) {
  std::fprintf(stderr, "seaway_lab: %s\n", problem.c_str());
  return code;
}

bool read_scenario(const std::string& name, Scenario& scenario, std::string& problem) {
  for (const std::string& path : {name, std::string(SEAWAY_LAB_SCENARIOS "/") + name + ".lab"}) {
    std::ifstream file(path);
    std::ostringstream text;
    if (file && text << file.rdbuf()) {
      return parse_scenario(text.str(), path, scenario, problem);
    }
  }
  problem = "there is no scenario \"" + name + "\", neither as a file nor by that name in " SEAWAY_LAB_SCENARIOS;
  return false;
}

int run_measure(const Options& options, const Network& network, const Ground& ground) {
  const unsigned from = options.from.empty() ? 0 : *network.find(options.from);
  const unsigned to = !options.to.empty() ? *network.find(options.to) : from == 0 ? 1 : 0;
  if (from == to) {
    return say(kMistake, "--from and --to are the same site");
  }
  Measured measured;
  const std::string names = network.name(from) + " -> " + network.name(to);
  const std::string problem =
      measure(ground, {from, to, options.streams, options.seconds, options.congestion}, measured);
  if (!problem.empty()) {
    return say(1, names + ": " + problem);
  }
  const char* form = options.json
                         ? R"({"way": "%s", "rtt_ms": %.3f, "streams": %u, "mbit": %.2f, "retransmitted": %.0f, )"
                           R"("seconds": %u, "congestion": "%s"})"
                           "\n"
                         : "%s: RTT %.2f ms; iperf3 -P%u received %.1f Mbit/s, %.0f segments retransmitted, %u s, %s\n";
  std::printf(form, names.c_str(), measured.rtt_ms, options.streams, measured.received_mbit, measured.retransmitted,
              options.seconds, measured.congestion.c_str());
  return 0;
}

int run(const Options& options) {
  Scenario scenario;
  std::string problem;
  if (!read_scenario(options.scenario, scenario, problem)) {
    return say(kMistake, problem);
  }
  Network network = make_network(scenario, options.seed);
  for (const std::string& name : {options.at, options.from, options.to}) {
    if (!name.empty() && !network.find(name)) {
      return say(kMistake, "there is no site \"" + name + "\" in this scenario");
    }
  }
  if (options.check) {
    std::printf("%u sites, %zu events\n", network.sites(), scenario.events.size());
    return 0;
  }
  Ground ground;
  if (problem = ground.make(network.sites(), options.sysctls); !problem.empty()) {
    return say(kNotPossible, "not possible here: " + problem);
  }
  Emulator emulator(network, ground);
  int code = 0;
  if (options.measure) {
    code = run_measure(options, network, ground);
  } else {
    Session session(options, scenario, network, ground, emulator);
    problem = session.open_control();
    code = problem.empty() ? session.run() : say(kMistake, problem);
  }
  emulator.stop();
  std::fflush(stdout);
  if (!options.quiet && code != kMistake) {
    print_report(network, ground, emulator.figures());
  }
  return code;
}

}  // namespace

}  // namespace seaway::lab

int main(int argc, char** argv) {
  using namespace seaway::lab;
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty() || words[0] == "--help" || words[0] == "-h") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  std::signal(SIGPIPE, SIG_IGN);
  Options options;
  std::string problem;
  if (!parse(words, options, problem)) {
    return say(kMistake, problem + "; seaway_lab --help says more");
  }
  try {
    return run(options);
  } catch (const std::exception& failure) {
    return say(1, failure.what());
  }
}
