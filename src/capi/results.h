// seaway_result: filled from an operation that committed.
#pragma once

#include <seaway/seaway.h>

#include "base/status.h"
#include "runtime/communicator.h"

namespace seaway::capi {

// Status::ok if the caller's struct can be filled. NULL can: it is left out.
Error check_result(const seaway_result* result);

// Fills *result, which was checked. `operation` ended with Status::ok.
void fill(seaway_result* result, const runtime::Operation& operation);

}  // namespace seaway::capi
