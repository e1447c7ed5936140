#include "state/leaves.h"

#include <algorithm>

namespace seaway::state {

std::vector<Leaf> cut_into_leaves(std::span<const std::uint64_t> tensors, std::uint32_t leaf_bytes) {
  std::vector<Leaf> leaves;
  for (std::uint32_t tensor = 0; tensor < tensors.size(); ++tensor) {
    for (std::uint64_t at = 0; at < tensors[tensor]; at += leaf_bytes) {
      leaves.push_back(
          {tensor, at, static_cast<std::uint32_t>(std::min<std::uint64_t>(leaf_bytes, tensors[tensor] - at))});
    }
  }
  return leaves;
}

Hash128 digest_of(std::span<const Hash128> leaves) { return hash128(std::as_bytes(leaves)); }

}  // namespace seaway::state
