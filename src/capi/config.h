// seaway_config and what the runtime takes for it.
#pragma once

#include <seaway/seaway.h>

#include "base/status.h"
#include "runtime/communicator.h"

namespace seaway::capi {

seaway_config default_config();

// Status::ok and `into`, or what is wrong with which field.
Error translate(const seaway_config* config, runtime::CommunicatorConfig& into);

// A string of the caller: NULL is "". Status::ok, or `what` is not UTF-8.
Error take_text(const char* text, const char* what, std::string& into);

}  // namespace seaway::capi
