#include "capi/entry.h"

#include <cmath>
#include <string>
#include <utility>

namespace seaway::capi {
namespace {

void remember(Comm& comm, Op* op, Error error) {
  if (op != nullptr) {
    op->remember(std::move(error));
  } else {
    comm.remember(std::move(error));
  }
}

// In words, as far as there is memory for them.
seaway_status remember_quietly(Comm& comm, Op* op, Status status, const char* text) noexcept {
  try {
    if (status == Status::internal) {
      comm.break_down(std::string("a bug in seaway: ") + text +
                      ". Destroy the communicator, make a new one, and please report this text");
      if (op != nullptr) {
        op->remember(comm.last_error());
      }
    } else {
      remember(comm, op, make_error(status, text));
    }
  } catch (...) {
    try {
      Error error;
      error.status = status;
      remember(comm, op, std::move(error));
    } catch (...) {
      return to_c(status);  // the status alone has to do
    }
  }
  return to_c(status);
}

}  // namespace

seaway_status settled(Comm& comm, Op* op, Error error) noexcept {
  const Status status = error.status;
  if (status != Status::ok && status != Status::pending) {
    try {
      if (error.text.empty()) {
        error.text = make_error(status).text;
      }
      remember(comm, op, std::move(error));
    } catch (...) {
      return to_c(status);
    }
  }
  return to_c(status);
}

seaway_status settled_exception(Comm& comm, Op* op) noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return remember_quietly(comm, op, Status::no_memory, "no memory was left for the call; nothing was changed");
  } catch (const std::exception& exception) {
    return remember_quietly(comm, op, Status::internal, exception.what());
  } catch (...) {
    return remember_quietly(comm, op, Status::internal, "an exception of unknown type");
  }
}

Error from_runtime(Comm& comm, Status status) {
  if (status == Status::ok || status == Status::pending) {
    Error error;
    error.status = status;
    return error;
  }
  Error error = comm.runtime->last_error();
  return error.status == status ? error : make_error(status);
}

Error check_timeout(double timeout) {
  return std::isnan(timeout) ? invalid("timeout is NaN: 0 polls, a negative one waits as long as it takes") : Error{};
}

}  // namespace seaway::capi
