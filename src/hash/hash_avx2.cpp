// XXH3 once more, compiled for AVX2: the library of the system is compiled for every processor and takes twice as long.
#include "hash/hash.h"

#ifdef __AVX2__
#define XXH_INLINE_ALL  // a copy of its own, so that nothing else in the process gets this one
#include <xxhash.h>

namespace seaway {

namespace {

class Hasher : public Hasher64 {
 public:
  Hasher() { Hasher::reset(); }
  void reset() override { XXH3_64bits_reset(&state_); }
  void add(std::span<const std::byte> piece) override { XXH3_64bits_update(&state_, piece.data(), piece.size()); }
  std::uint64_t value() const override { return XXH3_64bits_digest(&state_); }

 private:
  XXH3_state_t state_;
};

}  // namespace

std::unique_ptr<Hasher64> avx2_hasher() { return std::make_unique<Hasher>(); }

}  // namespace seaway
#else
namespace seaway {
std::unique_ptr<Hasher64> avx2_hasher() { return nullptr; }
}  // namespace seaway
#endif
