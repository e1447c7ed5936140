// A scenario file, read and checked.
#pragma once

#include <string>
#include <vector>

#include "lab/model/network.h"
#include "lab/model/statement.h"

namespace seaway::lab {

struct Scenario {
  std::vector<Statement> setup;
  struct Event {
    Duration at;
    Statement statement;
    std::string text;
  };
  std::vector<Event> events;  // in their order
};

// False, and `problem` as FILE:LINE: WORDS, when something in it is wrong.
bool parse_scenario(const std::string& text, const std::string& file, Scenario& scenario, std::string& problem);

// A network as the scenario has it at its start.
Network make_network(const Scenario& scenario, std::uint64_t seed);

}  // namespace seaway::lab
