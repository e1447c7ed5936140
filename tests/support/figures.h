// Figures that tests print.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace seaway::support {

// The value below which `p` (0 to 1) of them lie; 0 of none.
inline double percentile(std::vector<double> values, double p) {
  if (values.empty()) {
    return 0;
  }
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<std::size_t>(p * static_cast<double>(values.size())))];
}

}  // namespace seaway::support
