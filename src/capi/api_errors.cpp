// Statuses, errors, the version, what this process can use.
#include <seaway/seaway.h>

#include "capi/entry.h"
#include "capi/objects.h"
#include "capi/request.h"
#include "capi/statuses.h"
#include "capi/structs.h"

using namespace seaway;        // NOLINT(google-build-using-namespace): this file is the other side of C names
using namespace seaway::capi;  // NOLINT(google-build-using-namespace)

const char* seaway_status_string(int32_t status) {
  const StatusFacts* const facts = facts_of(static_cast<Status>(status));
  return facts == nullptr ? "SEAWAY_UNKNOWN" : facts->name;
}

const char* seaway_version(void) { return SEAWAY_VERSION_STRING; }

seaway_status seaway_error_get(seaway_comm* comm, seaway_op* op, seaway_error* error) {
  return entry([&] {
    if (error == nullptr || !is_size_of<seaway_error>(error->struct_size) || (comm == nullptr) == (op == nullptr)) {
      return SEAWAY_INVALID;
    }
    Error last;
    if (comm != nullptr) {
      std::shared_ptr<Comm> object;
      if (const Status status = find(comm, object); status != Status::ok) {
        return to_c(status);
      }
      last = object->last_error();
    } else {
      std::shared_ptr<Op> object;
      if (const Status status = find(op, object); status != Status::ok) {
        return to_c(status);
      }
      last = object->last_error();
    }
    seaway_error filled{};
    if (last.status != Status::ok) {
      fill(filled, last);
    }
    give(error, filled);
    return SEAWAY_OK;
  });
}

seaway_status seaway_device_check(int32_t device, seaway_error* error) {
  return entry([&] {
    const bool can_tell = error == nullptr || is_size_of<seaway_error>(error->struct_size);
    if (!can_tell || (device != SEAWAY_HOST && device != SEAWAY_CUDA)) {
      return SEAWAY_INVALID;
    }
    const Error why = check_device(device);
    if (why.status != Status::ok && error != nullptr) {
      seaway_error filled{};
      fill(filled, why);
      give(error, filled);
    }
    return to_c(why.status);
  });
}
