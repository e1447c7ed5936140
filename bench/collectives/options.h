// What the command line asks for. One struct for the parent and its workers: a worker is started with the parent's words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace seaway::bench {

enum class Collective { all_reduce, reduce_scatter, all_gather, exchange };

struct Options {
  Collective collective = Collective::all_reduce;
  unsigned peers = 2;
  std::uint64_t bytes = 64;  // of the whole vector: of each peer's input, and of all_gather each peer's result
  unsigned runs = 1000;
  unsigned warmup = 100;
  std::uint64_t between_mib = 0;  // of an all-reduce before each op, whose time does not count
  unsigned streams = 0;           // data connections per pair of peers; 0: as many as help
  unsigned rate = 0;              // Mbit/s that every peer states; 0: what they measure
  std::int32_t codec_up = 0;      // seaway_codecs
  std::int32_t codec_down = 0;
  bool in_place = false;
  bool encrypted = false;
  bool json = false;
  bool turns = false;  // a run for each line of standard input
  bool lab = false;    // each peer in a site of the WAN lab that this runs in

  std::string sites;  // labels with commas between them, which peers state in turn; empty: nobody states any

  // Of a worker.
  std::string master;  // its address, or a join string
  unsigned rank = 0;
};

const char* name_of(Collective collective);
const char* name_of_codec(std::int32_t codec);
bool to_collective(const std::string& name, Collective& collective);

// The label of a peer's site.
std::string site_of(const Options& options, unsigned rank);

// False, and `problem` in words, when a word is not understood.
bool parse(const std::vector<std::string>& words, Options& options, std::string& problem);
std::vector<std::string> worker_words(const Options& options);

}  // namespace seaway::bench
