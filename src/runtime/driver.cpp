#include "runtime/driver.h"

#include <exception>
#include <utility>

#include "reduce/fp_environment.h"

namespace seaway::runtime {

// What `what` returns; false when it throws. Sums of weights and plans are the same on all members, whatever the rounding of the
// caller whose thread this is.
template <class What>
bool Driver::guarded(What&& what) {
  const FpEnvironment environment;
  try {
    return what();
  } catch (const std::exception& error) {
    on_exception_(error.what());
  } catch (...) {
    on_exception_("something that is no exception was thrown");
  }
  return false;
}

void Driver::run(Lock& lock, Clock::time_point limit, const std::function<bool()>& enough) {
  is_run_ = true;
  lock.unlock();
  const bool goes_on = guarded([&] {
    bool more = true;
    do {
      more = loop_->run_one(limit);
    } while (more && !enough());
    return more;
  });
  lock.lock();
  is_run_ = false;
  over_ = over_ || !goes_on;
}

// The loop is free: for another caller that waits, or for the keeper.
void Driver::let_go() {
  if (waiting_ > 0) {
    changed_->notify_all();
  }
  if (keeper_sleeps_ || hurried_ || over_) {
    keeper_.notify_one();
  }
}

bool Driver::wait(Lock& lock, Clock::time_point limit, const std::function<bool()>& done) {
  if (done()) {
    return true;
  }
  if (Clock::now() >= limit) {
    hurry();  // who polls does not run the loop
    return false;
  }
  ++waiting_;
  bool is_done = false;
  bool in_time = true;
  while (!is_done && in_time) {
    if (may_run()) {
      ++turns_;
      run(lock, limit, [&] {
        const std::lock_guard guard(*lock.mutex());
        return done() || Clock::now() >= limit;
      });
      --waiting_;  // this thread does not wait for itself
      let_go_at_ = Clock::now();
      let_go();
      ++waiting_;
    } else {
      if (is_kept_) {
        loop_->post([] {});  // between two things that it does the keeper sees that somebody waits
      }
      const auto ready = [&] { return done() || may_run(); };
      if (limit == Clock::time_point::max()) {
        changed_->wait(lock, ready);
      } else {
        changed_->wait_until(lock, limit, ready);
      }
    }
    is_done = done();
    in_time = Clock::now() < limit;
  }
  --waiting_;
  return is_done;
}

void Driver::hurry() {
  if (!is_kept_) {
    hurried_ = true;
    keeper_.notify_one();
  }
}

void Driver::post(std::function<void()> what) {
  ++posted_;
  loop_->post([this, what = std::move(what)] {
    --posted_;
    what();
  });
}

void Driver::run_now(Lock& lock, std::function<void()> what) {
  if (!may_run() || posted_ > 0) {
    post(std::move(what));
    if (!is_run_) {
      hurry();
    }
    return;
  }
  ++turns_;
  is_run_ = true;
  lock.unlock();
  const bool is_well = guarded([&] {
    what();
    return true;
  });
  lock.lock();
  is_run_ = false;
  over_ = over_ || !is_well;
  let_go();  // the keeper's moment goes on: many starts without a wait must not keep it away
}

void Driver::keep(Lock lock) {
  while (!over_) {
    const auto now = Clock::now();
    if (!is_run_ && (hurried_ || now >= let_go_at_ + kMoment)) {
      hurried_ = false;
      is_kept_ = true;
      run(lock, Clock::time_point::max(), [this] { return waiting_ > 0; });
      is_kept_ = false;
      let_go_at_ = Clock::now();
      let_go();
    } else if (!is_run_) {
      keeper_.wait_until(lock, let_go_at_ + kMoment);
    } else {
      // Callers with many small ops come and go: looking again now and then is cheaper than being told each time.
      const std::uint64_t turn = turns_;
      keeper_.wait_for(lock, kMoment);
      if (is_run_ && turns_ == turn && !over_) {
        keeper_sleeps_ = true;
        keeper_.wait(lock, [&] { return !is_run_ || over_; });
        keeper_sleeps_ = false;
      }
    }
  }
}

}  // namespace seaway::runtime
