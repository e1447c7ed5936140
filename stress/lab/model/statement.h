// The lab's little language: what a scenario file says, and what is said to a lab that runs. One statement a line, `#` begins a
// comment:
//
//   site NAME [rate R] [up R] [down R] [queue BYTES]               a site and its access link; `rate` is both directions
//   trunk NAME [rate R] [up R] [down R] [queue BYTES] [sites NAME...]   a link that these sites share on their way to all others
//   path A B [delay TIME] [loss SHARE]                             what lies between two sites, each way; `path A -> B`: one way
//   cut A B         heal A B         cut A -> B                    nothing gets through, any more or again; * is every site
//   at TIME STATEMENT                                              the same, so long after the start
//
// A statement about what is there changes what it names and leaves the rest.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"

namespace seaway::lab {

struct LinkChange {
  std::optional<std::uint64_t> up;  // bits per second, 0: unlimited
  std::optional<std::uint64_t> down;
  std::optional<std::uint64_t> queue;  // bytes
};
struct Pairs {  // "*" is every site
  std::string from;
  std::string to;
  bool both_ways = true;
};

struct SiteStatement {
  std::string name;
  LinkChange link;
};
struct TrunkStatement {
  std::string name;
  LinkChange link;
  std::vector<std::string> sites;
};
struct PathStatement {
  Pairs pairs;
  std::optional<Duration> delay;
  std::optional<double> loss;
};
struct CutStatement {
  Pairs pairs;
  bool cut = true;  // or heal
};
using Statement = std::variant<SiteStatement, TrunkStatement, PathStatement, CutStatement>;

struct Line {
  std::optional<Statement> statement;  // none: an empty line
  std::optional<Duration> at;
};

// False, and `problem` in words, when the line is not understood.
bool parse_line(const std::string& text, Line& line, std::string& problem);

}  // namespace seaway::lab
