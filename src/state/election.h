// Whose state everybody gets. Every member computes it from the same table.
//
//   who may be elected   send_only members alone, if there are any
//                        else those that are not receive_only and are synced (contribute)
//                        else those that are not receive_only: nobody here has ever synced
//   the newest revision of those, then the digest that most of them have, then that of the first in roster order
//
// A send_only member keeps what it has: two of them that differ, in revision or digest, are an error of the callers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hash/hash.h"

namespace seaway::state {

// The values are those of include/seaway/seaway.h.
enum class Role : std::uint8_t { both = 0, send_only = 1, receive_only = 2 };

// What one member says of its copy.
struct Row {
  bool present = false;  // false: it was lost before it said anything
  Role role = Role::both;
  bool synced = false;  // a newcomer is not, until its first sync
  std::uint64_t revision = 0;
  Hash128 digest;
};

struct Election {
  std::string problem;  // "": somebody is elected
  std::uint64_t revision = 0;
  Hash128 digest;
  std::vector<std::uint32_t> donors;  // rows with this digest, in order, that were not told to receive only
  bool everybody_has_it = false;
};

Election elect(std::span<const Row> rows);

// A row as the all-reduce that makes the table sums it: all words of an absent row are 0.
inline constexpr std::size_t kRowWords = 4;
void encode(const Row& row, std::span<std::uint64_t, kRowWords> words);
Row decode(std::span<const std::uint64_t, kRowWords> words);

}  // namespace seaway::state
