#include "lab/model/units.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <span>

namespace seaway::lab {

namespace {

struct Unit {
  const char* name;
  double factor;
};

// Far beyond anything that is meant, and within 63 bits.
constexpr double kMost = 1e18;

std::optional<double> parse(const std::string& text, std::span<const Unit> units) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string number = text.substr(0, digits);
  char* end = nullptr;
  const double value = std::strtod(number.c_str(), &end);
  if (number.empty() || *end != '\0') {
    return std::nullopt;
  }
  for (const Unit& unit : units) {
    if (text.substr(digits) == unit.name && value * unit.factor <= kMost) {
      return value * unit.factor;
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_whole(const std::string& text, std::span<const Unit> units) {
  const std::optional<double> value = parse(text, units);
  return value ? std::optional(static_cast<std::uint64_t>(std::llround(*value))) : std::nullopt;
}

constexpr Unit kRates[] = {{"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}};
constexpr Unit kTimes[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
constexpr Unit kSizes[] = {{"b", 1}, {"kb", 1e3}, {"mb", 1e6}, {"kib", 1024}, {"mib", 1024.0 * 1024}};
constexpr Unit kShares[] = {{"%", .01}};

}  // namespace

std::optional<std::uint64_t> parse_rate(const std::string& text) {
  if (text == "unlimited") {
    return 0;
  }
  const std::optional<std::uint64_t> rate = parse_whole(text, kRates);
  return rate && *rate > 0 ? rate : std::nullopt;
}

std::optional<Duration> parse_duration(const std::string& text) {
  const std::optional<std::uint64_t> time = parse_whole(text, kTimes);
  return time ? std::optional(static_cast<Duration>(*time)) : std::nullopt;
}

std::optional<std::uint64_t> parse_bytes(const std::string& text) { return parse_whole(text, kSizes); }

std::optional<double> parse_share(const std::string& text) {
  const std::optional<double> share = parse(text, kShares);
  return share && *share <= 1 ? share : std::nullopt;
}

}  // namespace seaway::lab
