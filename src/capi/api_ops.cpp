// Ops that were started.
#include <seaway/seaway.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "capi/config.h"
#include "capi/entry.h"
#include "capi/objects.h"
#include "capi/results.h"
#include "capi/structs.h"

using namespace seaway;        // NOLINT(google-build-using-namespace): this file is the other side of C names
using namespace seaway::capi;  // NOLINT(google-build-using-namespace)

namespace {

bool are_final(const std::vector<runtime::OperationPtr>& operations, bool any) {
  const auto is_final = [](const runtime::OperationPtr& o) { return o->status() != Status::pending; };
  return any ? std::any_of(operations.begin(), operations.end(), is_final)
             : std::all_of(operations.begin(), operations.end(), is_final);
}

// The ops of the handles, all of `comm`.
Error collect(seaway_op* const* ops, size_t count, Comm& comm, std::vector<runtime::OperationPtr>& operations) {
  operations.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    std::shared_ptr<Op> op;
    if (const Status status = find(ops[i], op); status != Status::ok) {
      return make_error(status, "ops[" + std::to_string(i) + "] is NULL or was freed");
    }
    if (op->comm().get() != &comm) {
      return invalid("ops[" + std::to_string(i) + "] is of another communicator than ops[0]: wait for them apart");
    }
    operations.push_back(op->operation());
  }
  return {};
}

}  // namespace

seaway_status seaway_wait(seaway_op* const* ops, size_t count, int32_t wait_for, double timeout) {
  if (ops == nullptr || count == 0) {
    return SEAWAY_INVALID;
  }
  return entry(ops[0], [&](Op& first) {
    if (wait_for != SEAWAY_ALL && wait_for != SEAWAY_ANY) {
      return invalid("wait_for is " + std::to_string(wait_for) + ", which is no seaway_wait_for");
    }
    if (Error error = check_timeout(timeout); error.status != Status::ok) {
      return error;
    }
    const bool any = wait_for == SEAWAY_ANY;
    Comm& comm = *first.comm();
    std::vector<runtime::OperationPtr> operations;
    if (Error error = collect(ops, count, comm, operations); error.status != Status::ok) {
      return error;
    }
    // Ops outlive their communicator, which can be asked no more then: they are final.
    if (are_final(operations, any)) {
      return Error{};
    }
    const Status status = comm.runtime->wait(operations, any, seconds(timeout));
    return are_final(operations, any) ? Error{} : from_runtime(comm, status);
  });
}

seaway_status seaway_test(seaway_op* op, seaway_result* result) {
  // What became of the op is no error of this call: it is returned past `entry`, and the op itself remembers it.
  Status ended = Status::pending;
  const seaway_status called = entry(op, [&](Op& object) {
    if (Error error = check_filled(result); error.status != Status::ok) {
      return error;
    }
    const runtime::OperationPtr operation = object.operation();
    ended = operation->status();
    if (ended == Status::ok) {
      fill(result, *operation);
    }
    return Error{};
  });
  return called == SEAWAY_OK ? to_c(ended) : called;
}

seaway_status seaway_cancel(seaway_op* op, const char* reason) {
  return entry(op, [&](Op& object) {
    std::string text;
    if (Error error = take_text(reason, "reason", text); error.status != Status::ok) {
      return error;
    }
    const runtime::OperationPtr operation = object.operation();
    if (operation->status() == Status::pending) {
      operation->cancel(shortened(text, kMaxReasonBytes));
    }
    return Error{};
  });
}

void seaway_free(seaway_op* op) {
  (void)entry([&] {
    std::shared_ptr<Op> object;
    const Status removed = remove(op, object);
    if (removed == Status::ok && object->is_transaction()) {
      object->operation()->close_transaction(true);
    }
    return to_c(removed);
  });
}
