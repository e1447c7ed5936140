#include "hash/hash.h"

#include <xxhash.h>

#include <bit>

#include "base/mutant.h"

namespace seaway {

// Tensors travel as they lie in memory, so that peers agree on the byte order in any case; a big-endian port would have
// to swap the leaves in combine().
static_assert(std::endian::native == std::endian::little);

std::uint64_t hash64(std::span<const std::byte> data) { return XXH3_64bits(data.data(), data.size()); }

Hash128 hash128(std::span<const std::byte> data) {
  const XXH128_hash_t hash = XXH3_128bits(data.data(), data.size());
  return {hash.low64, hash.high64};
}

std::uint64_t combine(std::span<const std::uint64_t> leaves) {
  const std::size_t count = MUTANT(hash_ignores_last_leaf, leaves.size(), leaves.size() - (leaves.empty() ? 0 : 1));
  return hash64(std::as_bytes(leaves.first(count)));
}

}  // namespace seaway
