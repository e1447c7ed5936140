// Named scenarios: a few lines each, in the vocabulary of a cluster. Seeds that found something become one of them.
#pragma once

#include <vector>

namespace seaway::sim {

struct Scenario {
  const char* name;
  void (*run)(bool verbose);  // throws when something is wrong
};
const std::vector<Scenario>& scenarios();
std::vector<Scenario> scenarios_of_relays();        // scenarios_relays.cpp
std::vector<Scenario> scenarios_of_sites();         // scenarios_sites.cpp
std::vector<Scenario> scenarios_of_quorums();       // scenarios_quorum.cpp
std::vector<Scenario> scenarios_of_transactions();  // scenarios_transactions.cpp

}  // namespace seaway::sim
