// seaway_result: filled from an operation that committed.
#pragma once

#include <seaway/seaway.h>

#include "runtime/communicator.h"

namespace seaway::capi {

// Fills *result, which was checked. `operation` ended with Status::ok.
void fill(seaway_result* result, const runtime::Operation& operation);

}  // namespace seaway::capi
