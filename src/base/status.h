// What a call of the library returns. The values are those of include/seaway/seaway.h (capi/ asserts that), pinned.
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"

namespace seaway {

enum class Status : std::int32_t {
  ok = 0,
  pending = 1,
  invalid = 100,
  busy = 101,
  closed = 102,
  not_member = 103,
  forked = 104,
  too_many = 105,
  no_device = 106,
  refused = 200,
  aborted = 201,
  evicted = 202,
  undecided = 203,
  join_refused = 204,
  no_master = 300,
  no_address = 301,
  internal = 400,
  no_memory = 401,
};

// An error for a person: what happened, to what, and what to do next.
struct Error {
  Status status = Status::ok;
  std::string text;
  std::string phase;  // of an op
  OpKey op;
  Epoch epoch;
  PeerId peer = kNoPeer;
};

}  // namespace seaway
