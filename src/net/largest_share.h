// Who makes room for somebody new: the oldest of the share of addresses (share_of, net/address.h) that has most. So a flood from one
// place drives out itself and nobody else.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>

namespace seaway::net {

// `oldest_first` is not empty; `share` says of an entry of it which share it comes from. Returns its place.
template <class Entries, class Share>
auto oldest_of_largest_share(Entries& oldest_first, const Share& share) {
  std::map<std::string, std::size_t> counts;
  std::size_t most = 0;
  for (const auto& entry : oldest_first) {
    most = std::max(most, ++counts[share(entry)]);
  }
  return std::find_if(oldest_first.begin(), oldest_first.end(),
                      [&](const auto& entry) { return counts.at(share(entry)) == most; });
}

}  // namespace seaway::net
