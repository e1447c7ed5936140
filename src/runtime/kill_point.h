// Where a test build of the library may kill its process: stress/kill draws a phase of an op and how far into it. In the
// product it is nothing.
#pragma once

#ifdef SEAWAY_KILL_POINTS

#include <cstdint>

#include "wire/frame.h"

namespace seaway::runtime {
void kill_point_sent(const wire::FrameHeader& header);
void kill_point_reduced(std::uint64_t tag);
}  // namespace seaway::runtime

#define SEAWAY_KILL_POINT_SENT(header) ::seaway::runtime::kill_point_sent(header)
#define SEAWAY_KILL_POINT_REDUCED(tag) ::seaway::runtime::kill_point_reduced(tag)

#else

#define SEAWAY_KILL_POINT_SENT(header) static_cast<void>(0)
#define SEAWAY_KILL_POINT_REDUCED(tag) static_cast<void>(0)

#endif
