#include "lab/model/scenario.h"

#include <algorithm>
#include <sstream>

namespace seaway::lab {

Network make_network(const Scenario& scenario, std::uint64_t seed) {
  Network network(seed);
  for (const Statement& statement : scenario.setup) {
    network.apply(0, statement);
  }
  network.start();
  return network;
}

bool parse_scenario(const std::string& text, const std::string& file, Scenario& scenario, std::string& problem) {
  // What a statement may say depends on those before it: all are tried on a network that carries nothing.
  Network trial(0);
  struct Later {
    Scenario::Event event;
    unsigned number;
  };
  std::vector<Later> later;
  unsigned number = 0;
  const auto fail = [&](unsigned line, const std::string& what) {
    problem = file + ":" + std::to_string(line) + ": " + what;
    return false;
  };
  std::istringstream lines(text);
  for (std::string words; std::getline(lines, words);) {
    ++number;
    Line line;
    std::string what;
    if (!parse_line(words, line, what)) {
      return fail(number, what);
    }
    if (line.statement && line.at) {
      // In their order, those of one time in that of their lines.
      const auto place = std::upper_bound(later.begin(), later.end(), *line.at,
                                          [](Duration at, const Later& other) { return at < other.event.at; });
      later.insert(place, {{*line.at, *line.statement, words}, number});
    } else if (line.statement) {
      what = trial.apply(0, *line.statement);
      if (!what.empty()) {
        return fail(number, what);
      }
      scenario.setup.push_back(*line.statement);
    }
  }
  if (trial.sites() < 2) {
    return fail(std::max(number, 1U), "a network has at least two sites");
  }
  trial.start();
  for (const Later& one : later) {
    if (const std::string what = trial.apply(0, one.event.statement); !what.empty()) {
      return fail(one.number, what);
    }
    scenario.events.push_back(one.event);
  }
  return true;
}

}  // namespace seaway::lab
