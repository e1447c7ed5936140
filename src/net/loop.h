// The event loop of one thread: readiness of descriptors, timers, and work handed over by other threads. Everything it
// calls runs on the thread that is in run(). Asio inside; only .cpp files of this folder see it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/time.h"

namespace seaway::net {

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Until stop(). What a callback throws comes out of it.
  void run();
  // The next thing that there is to do, waiting for it until `limit`. False: it is stopped. Several threads may take turns, one
  // at a time; "the thread that is in run()" is then whoever's turn it is.
  bool run_one(std::chrono::steady_clock::time_point limit);
  void stop();                            // any thread
  void post(std::function<void()> what);  // any thread; in the order of the calls

  // Keeps something that has no other owner, until it is let go or the loop is destroyed. Loop's thread only.
  void hold(std::shared_ptr<void> what);
  void let_go(const void* what);  // nothing happens when it has been let go

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// Nanoseconds of the monotonic clock: `Time` of everything that a Loop drives.
Time monotonic_now();

// Calls `what` once it is `when`. Loop's thread only. Nothing is called after it is destroyed.
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> what);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void at(Time when);  // replaces what was set; kNever: not at all

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// Watches one descriptor, which stays its owner's. Each watch_* calls its callback once, at once if the descriptor is
// ready already. Loop's thread only. Nothing is called after it is destroyed.
class Readiness {
 public:
  Readiness(Loop& loop, int fd);
  ~Readiness();
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  void on_readable(std::function<void()> what);
  void on_writable(std::function<void()> what);
  void watch_read();
  void watch_write();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace seaway::net
