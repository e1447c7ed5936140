// One trainer of a kill test.
#pragma once

#include <cstdint>
#include <string>

namespace seaway::kill {

struct PeerArguments {
  std::string way_in;  // a join string; in plaintext the master's address
  unsigned rank = 0;
  unsigned world = 0;
  std::uint64_t bytes = 0;
  bool in_place = false;
  std::uint64_t seed = 0;
};

// Joins, reduces twice, checks every element, reduces once more to show that the group lives, leaves. Tells on stdout, a line
// each: "start OP", "ok OP hash contributors seconds resent attempts lost", "wrong OP ...", "failed OP ...", "done".
int run_peer(const PeerArguments& arguments);

}  // namespace seaway::kill
