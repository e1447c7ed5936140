// The entry of every C call. Nothing is thrown through it: no memory is NO_MEMORY, and what was not foreseen (a broken
// invariant above all) turns the communicator to INTERNAL.
#pragma once

#include <seaway/seaway.h>

#include <exception>
#include <memory>
#include <new>

#include "capi/objects.h"
#include "capi/statuses.h"

namespace seaway::capi {

// For calls without a communicator. `body` returns a seaway_status.
template <class Body>
seaway_status entry(Body&& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return SEAWAY_NO_MEMORY;
  } catch (...) {
    return SEAWAY_INTERNAL;
  }
}

// What became of a call on `comm`: the communicator (or `op`, if it was about one) remembers an error.
seaway_status settled(Comm& comm, Op* op, Error error) noexcept;
// The same for the exception that is being handled.
seaway_status settled_exception(Comm& comm, Op* op) noexcept;

// For calls on a communicator. `body(comm)` returns an Error, whose status is the call's.
template <class Body>
seaway_status entry(seaway_comm* handle, Body&& body) noexcept {
  return entry([&] {
    std::shared_ptr<Comm> comm;
    if (const Status status = find(handle, comm); status != Status::ok) {
      return to_c(status);
    }
    if (!comm->runtime) {
      return SEAWAY_CLOSED;  // its create failed, and the error of that is kept
    }
    if (comm->is_broken()) {
      return SEAWAY_INTERNAL;
    }
    try {
      return settled(*comm, nullptr, body(*comm));
    } catch (...) {
      return settled_exception(*comm, nullptr);
    }
  });
}

// For calls on an op: body(op).
template <class Body>
seaway_status entry(seaway_op* handle, Body&& body) noexcept {
  return entry([&] {
    std::shared_ptr<Op> op;
    if (const Status status = find(handle, op); status != Status::ok) {
      return to_c(status);
    }
    try {
      return settled(*op->comm(), op.get(), body(*op));
    } catch (...) {
      return settled_exception(*op->comm(), op.get());
    }
  });
}

// The error of a call that the runtime answered with `status`: in its words if they are about that.
Error from_runtime(Comm& comm, Status status);

// Seconds as the runtime takes them: beyond 30 years is for ever. NaN was refused.
inline constexpr double kForever = 1e9;
inline double seconds(double timeout) { return timeout > kForever ? -1 : timeout; }

// Status::ok, or that it is NaN.
Error check_timeout(double timeout);

}  // namespace seaway::capi
