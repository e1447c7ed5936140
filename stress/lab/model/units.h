// Numbers with units, as scenario files write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"

namespace seaway::lab {

// In bits per second: "500mbit", "1.5gbit", "64kbit"; "unlimited" is 0.
std::optional<std::uint64_t> parse_rate(const std::string& text);
// "25ms", "1.5s", "80us".
std::optional<Duration> parse_duration(const std::string& text);
// "2mb", "64kb" (thousands), "1mib", "64kib", "1500b".
std::optional<std::uint64_t> parse_bytes(const std::string& text);
// "0.1%", as a share of 1; at most 100 %.
std::optional<double> parse_share(const std::string& text);

}  // namespace seaway::lab
