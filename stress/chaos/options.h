// What a command line asks for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace seaway::chaos {

struct Options {
  std::uint64_t seed = 1;
  double minutes = 2;
  unsigned peers = 0;             // 0: the seed draws
  std::optional<unsigned> sites;  // none: the seed draws
  std::vector<std::string> only;  // classes; empty: all
  double every = 0;               // seconds from fault to fault; 0: when everything is well again, and some time later
  unsigned count = 0;             // faults; 0: as many as the minutes allow
  std::uint64_t mib = 0;          // of every op; 0: mixed
  bool is_plaintext = false;
  bool is_mixed = false;  // the seed draws whether it is
  bool is_verbose = false;
  bool keeps_logs = false;

  bool wants(const std::string& fault) const;
  // The words that ask for the same.
  std::string in_words() const;
};

extern const char* const kHelp;

// Fills `options`; "" or what is not understood.
std::string read_options(const std::vector<std::string>& words, Options& options);

}  // namespace seaway::chaos
