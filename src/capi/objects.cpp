#include "capi/objects.h"

#include "capi/statuses.h"

namespace seaway::capi {

void Comm::follow_runtime() {
  const std::lock_guard lock(mutex_);
  follows_runtime_ = true;
}

void Comm::remember(Error error) {
  const std::lock_guard lock(mutex_);
  own_ = std::move(error);
  follows_runtime_ = false;
}

Error Comm::last_error() const {
  Error own;
  {
    const std::lock_guard lock(mutex_);
    if (!runtime || (own_.status != Status::ok && !follows_runtime_)) {
      return own_;
    }
    own = own_;
  }
  // Asked without the lock: it may ask its thread what it waits for.
  Error theirs = runtime->last_error();
  return theirs.status == Status::ok ? own : theirs;
}

void Comm::break_down(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    broken_ = true;
  }
  remember(make_error(Status::internal, why));
  if (runtime) {
    runtime->close();
  }
}

bool Comm::is_broken() const {
  const std::lock_guard lock(mutex_);
  return broken_;
}

void Op::remember(Error error) {
  const std::lock_guard lock(mutex_);
  own_ = std::move(error);
}

Error Op::last_error() const {
  const runtime::OperationPtr running = operation();
  Error theirs = running ? running->error() : Error{};
  const std::lock_guard lock(mutex_);
  const bool ended_badly = theirs.status != Status::ok && theirs.status != Status::pending;
  return ended_badly || own_.status == Status::ok ? theirs : own_;
}

}  // namespace seaway::capi
