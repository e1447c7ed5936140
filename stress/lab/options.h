// What the command line asks for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/ground.h"

namespace seaway::lab {

struct Options {
  std::string scenario;
  std::vector<std::string> command;  // behind --
  std::string first;                 // a shell's command for the first site instead
  std::string at;                    // only there, with our terminal
  bool shell = false;                // there
  bool check = false;
  bool measure = false;
  bool json = false;
  bool quiet = false;
  std::string from;  // of --measure; empty: the first site
  std::string to;    // empty: the next
  unsigned streams = 4;
  unsigned seconds = 8;
  std::string congestion;  // empty: the kernel's choice
  std::string control;     // a FIFO to be made
  std::uint64_t seed = 1;
  std::vector<Ground::Sysctl> sysctls;
};

extern const char* const kHelp;

// False, and `problem` in words, when a word is not understood.
bool parse(const std::vector<std::string>& words, Options& options, std::string& problem);

}  // namespace seaway::lab
