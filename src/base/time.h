// Time is an argument. Below the purity line nothing reads a clock: callers pass `Time`, a count of nanoseconds
// since an origin of their own choosing that never runs backwards.
#pragma once

#include <cstdint>

namespace seaway {

using Time = std::int64_t;      // nanoseconds since the caller's origin
using Duration = std::int64_t;  // nanoseconds

inline constexpr Duration kMicrosecond = 1'000;
inline constexpr Duration kMillisecond = 1'000'000;
inline constexpr Duration kSecond = 1'000'000'000;
inline constexpr Time kNever = INT64_MAX;

}  // namespace seaway
