// Who runs a communicator's loop: one thread at a time, and that thread is the one that all of the loop's objects belong to.
//
//   a caller that waits   runs the loop itself until what it waits for has happened: a small op then needs no hand-off to
//                         another thread and none back, which cost more than the op
//   the keeper            a thread of the communicator's own; runs the loop whenever no caller does, so that heartbeats go out
//                         and ops go on while the callers compute. It takes over a moment after a caller has let go, as most
//                         callers are back by then, and makes way for one that comes
//
// Everything here is called with the Front's mutex held, and called back without it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>

#include "net/loop.h"

namespace seaway::runtime {

class Driver {
 public:
  using Lock = std::unique_lock<std::mutex>;
  using Clock = std::chrono::steady_clock;

  // `changed` is notified by whoever makes a `done` below true. `on_exception` gets what the loop throws, on the thread that
  // ran it; the loop is not run any more then.
  Driver(net::Loop& loop, std::condition_variable& changed, std::function<void(const char* what)> on_exception)
      : loop_(&loop), changed_(&changed), on_exception_(std::move(on_exception)) {}

  // The keeper's thread. Returns when the loop has been stopped, or has thrown; nobody runs it then, nor will.
  void keep(Lock lock);

  // Until done() is true, running the loop unless somebody else does. False: the limit passed first.
  bool wait(Lock& lock, Clock::time_point limit, const std::function<bool()>& done);

  // Whoever runs the loop does it, after what was handed over before.
  void post(std::function<void()> what);
  // The same, by this thread and at once where nobody runs the loop.
  void run_now(Lock& lock, std::function<void()> what);
  // Nobody is going to wait for what was posted at once: the keeper is to do it.
  void hurry();

 private:
  static constexpr std::chrono::milliseconds kMoment{1};

  bool may_run() const { return !is_run_ && !over_; }
  // Runs the loop until `enough`, which is asked after each thing that it did, without the lock.
  void run(Lock& lock, Clock::time_point limit, const std::function<bool()>& enough);
  void let_go();
  template <class What>
  bool guarded(What&& what);

  net::Loop* loop_;
  std::condition_variable* changed_;
  std::function<void(const char* what)> on_exception_;

  bool is_run_ = false;   // a thread is in run()
  bool is_kept_ = false;  // it is the keeper
  bool over_ = false;     // stopped, or broken
  bool hurried_ = false;
  std::atomic<unsigned> waiting_{0};  // callers in wait()
  std::atomic<unsigned> posted_{0};   // and not yet done
  std::uint64_t turns_ = 0;           // of callers
  Clock::time_point let_go_at_;
  bool keeper_sleeps_ = false;  // until it is told
  std::condition_variable keeper_;
};

}  // namespace seaway::runtime
