// A link: a rate, and in front of it a queue that drops what finds no room (tail drop). One direction.
//
// In virtual time: a link knows until when it is busy with what it has accepted. A segment that comes at t leaves at
//   max(t, busy until) + its bytes / rate
// and finds (busy until - t) * rate bytes before it; where these and its own are more than the queue holds, it is dropped.
// A burst that comes more slowly than the link passes it occupies the link for its bytes only, not for all the time that it
// takes to come, as other bursts come in the meantime.
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.h"
#include "lab/model/packet.h"

namespace seaway::lab {

class Link {
 public:
  // The least that a queue holds: two full packets. Less would let none pass.
  static constexpr std::uint64_t kLeastQueue = 3000;
  // What a queue holds where nobody says: what the link passes in so long.
  static constexpr Duration kUsualQueue = 50 * kMillisecond;
  // A burst that takes longer leaves in several pieces: who receives it sees its packets come one by one.
  static constexpr Duration kLongestPiece = kMillisecond;

  // In bits per second, 0: unlimited. Bytes of the queue, 0: the usual. What waits goes on at the new rate.
  void set(Time now, std::uint64_t rate, std::uint64_t queue);
  std::uint64_t rate() const { return rate_; }
  std::uint64_t queue() const { return queue_; }
  std::uint64_t asked_queue() const { return asked_queue_; }

  // Appends to `out` what passes, each piece with the times at which it leaves.
  void pass(const Piece& piece, std::vector<Piece>& out);

  struct Counts {
    std::uint64_t bytes = 0;
    std::uint64_t segments = 0;
    std::uint64_t dropped = 0;        // segments
    std::uint64_t longest_queue = 0;  // bytes
  };
  const Counts& counts() const { return counts_; }

 private:
  Duration time_of(std::uint64_t bytes) const;
  std::uint64_t backlog(Time at) const;

  std::uint64_t rate_ = 0;
  std::uint64_t asked_queue_ = 0;
  std::uint64_t queue_ = 0;
  Time busy_until_ = 0;
  Counts counts_;
};

}  // namespace seaway::lab
