#include "hash/hash.h"

#include <xxhash.h>

#include <bit>
#include <new>

#include "base/mutant.h"

namespace seaway {

// Tensors travel as they lie in memory, so that peers agree on the byte order in any case; a big-endian port would have
// to swap the leaves in combine().
static_assert(std::endian::native == std::endian::little);

std::uint64_t hash64(std::span<const std::byte> data) { return XXH3_64bits(data.data(), data.size()); }

namespace {

class Hasher : public Hasher64 {
 public:
  Hasher() : state_(XXH3_createState()) {
    if (state_ == nullptr) {
      throw std::bad_alloc();
    }
    Hasher::reset();
  }
  ~Hasher() override { XXH3_freeState(state_); }
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void reset() override { XXH3_64bits_reset(state_); }
  void add(std::span<const std::byte> piece) override { XXH3_64bits_update(state_, piece.data(), piece.size()); }
  std::uint64_t value() const override { return XXH3_64bits_digest(state_); }

 private:
  XXH3_state_t* state_;
};

}  // namespace

std::unique_ptr<Hasher64> scalar_hasher() { return std::make_unique<Hasher>(); }

Hash128 hash128(std::span<const std::byte> data) {
  const XXH128_hash_t hash = XXH3_128bits(data.data(), data.size());
  return {hash.low64, hash.high64};
}

std::uint64_t combine(std::span<const std::uint64_t> leaves) {
  const std::size_t count = MUTANT(hash_ignores_last_leaf, leaves.size(), leaves.size() - (leaves.empty() ? 0 : 1));
  return hash64(std::as_bytes(leaves.first(count)));
}

}  // namespace seaway
