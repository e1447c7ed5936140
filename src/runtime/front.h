// What the caller's threads and the loop's thread of a communicator share. Everything in it is guarded by `mutex`.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "net/fd.h"
#include "runtime/communicator.h"

namespace seaway::runtime {

class FrontOperation;

//   idle    --join-->   joining --Joined--> member --leave--> leaving --> over
//   joining, member, leaving --refused, evicted, no master, broken--> over --join--> joining
enum class Phase : std::uint8_t { idle, joining, member, leaving, over };

struct Front {
  std::mutex mutex;
  std::condition_variable changed;

  Phase phase = Phase::idle;
  bool closed = false;
  bool broken = false;       // a bug: the loop's thread has ended
  bool in_call = false;      // a thread is in join, update or leave
  Status over = Status::ok;  // why the phase is over; ok: left
  std::string over_text;

  bool updating = false;             // an update was begun and the core has not passed it
  bool at_admission = false;         // a newcomer that has neither updated nor started an op since it was admitted
  bool update_untold = false;        // a caller has begun an update and was not told yet that it has passed
  PeerId syncing = kNoPeer;          // the incarnation that is in a state sync
  PeerId synced = kNoPeer;           // the incarnation at which one committed; its core hears of it a moment later
  std::shared_ptr<const View> view;  // null unless member or leaving
  Error last_error;

  std::map<std::uint64_t, std::shared_ptr<FrontOperation>>
      open_ops;                               // kept until they are final, whoever lets go of them
  std::set<std::uint64_t> open_transactions;  // not closed
  std::uint64_t next_op = 1;

  std::deque<Event> events;
  net::UniqueFd event_fd;

  void add_event(Event event);
  void signal_events() const;
  Event take_event();
};

}  // namespace seaway::runtime
