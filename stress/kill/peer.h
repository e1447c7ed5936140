// One trainer of a kill test.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace seaway::kill {

struct PeerArguments {
  std::string way_in;  // a join string; in plaintext the master's address
  unsigned rank = 0;
  unsigned world = 0;
  std::uint64_t bytes = 0;
  bool in_place = false;
  std::uint64_t seed = 0;
  int ops = 2;         // of so many bytes
  std::string listen;  // HOST:PORT
  std::string space;   // the network namespace to be in; empty: where it is started
  Codec up = Codec::none;
  Codec down = Codec::none;
  unsigned sites = 0;  // peer r states the label of site r % sites; 0: none
};
std::vector<std::string> words_of(const PeerArguments& arguments);
// False when these are not the words of a peer.
bool parse(const std::vector<std::string>& words, PeerArguments& arguments);

// Joins, reduces `ops` times, checks every element, reduces once more to show that the group lives, leaves. Tells on stdout, a
// line each: "start OP", "ok OP hash contributors seconds resent attempts lost ended", "wrong OP ...", "failed OP ...", "done".
// `ended` is of support::seconds_now().
int run_peer(const PeerArguments& arguments);

// An "ok" line.
struct OpLine {
  std::string hash;
  std::string contributors;
  double seconds = 0;
  std::uint64_t resent = 0;
  unsigned attempts = 0;
  double ended = 0;
};
// Those in what a peer has said, by op.
std::map<int, OpLine> ok_lines(const std::string& text);

}  // namespace seaway::kill
