// The leaves of a shared state: pieces of its tensors, each with a hash, so that who lacks some fetches those alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hash/hash.h"

namespace seaway::state {

inline constexpr std::uint32_t kLeafBytes = 256 * 1024;

// A leaf lies within one tensor.
struct Leaf {
  std::uint32_t tensor = 0;
  std::uint64_t offset = 0;  // bytes, in the tensor
  std::uint32_t length = 0;
};

// Cuts tensors of these sizes (bytes) into leaves, in order. A tensor without elements has none.
std::vector<Leaf> cut_into_leaves(std::span<const std::uint64_t> tensors, std::uint32_t leaf_bytes = kLeafBytes);

// The digest of a state whose leaves have these hashes.
Hash128 digest_of(std::span<const Hash128> leaves);

}  // namespace seaway::state
