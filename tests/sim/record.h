// The record of one op: all that its result's bits follow from, in a line.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "collective/boundary.h"
#include "sim/program.h"
#include "sim/reference.h"

namespace seaway::sim {

struct Record {
  PlannedOp planned;
  collective::Descriptor descriptor;
  ReferenceAttempt attempt;
  std::uint64_t seed = 0;
  std::vector<collective::Contributor> contributors;       // in roster order
  std::set<PeerId> feeding_back;                           // of them
  ReferenceBlocks blocks;                                  // of ops of blocks; of an exchange whose the result is
  std::map<PeerId, std::vector<collective::Share>> sends;  // of an exchange: of its contributors
};

std::string to_text(const Record& record);

// Prints the reference of the record's result; 2 when it is none, saying what is wrong.
int print_reference(const std::string& text);

}  // namespace seaway::sim
