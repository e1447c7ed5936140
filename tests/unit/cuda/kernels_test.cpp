// The bodies of the CUDA kernels, run by the host: the bits of the scalar kernels, whatever the grid.
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "cuda/host.h"
#include "gpu/kernel_cases.h"
#include "hash/hash.h"
#include "unit/reduce/operands.h"

namespace seaway {
namespace {

class Host : public test::Machine {
 public:
  std::byte* take(std::size_t bytes) override {
    const std::size_t at = taken_;
    taken_ += (bytes + 255) / 256 * 256;
    REQUIRE(taken_ <= arena_.size() - 256);
    return arena_.data() + (256 - reinterpret_cast<std::uintptr_t>(arena_.data()) % 256) + at;
  }
  void forget() override { taken_ = 0; }
  void write(std::byte* to, const void* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }
  void read(void* to, const std::byte* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }

  bool encode(const SeawayEncode& call) override { return cuda::host::encode(grid(), call); }
  bool fold(const SeawayFold& call) override { return cuda::host::fold(grid(), call); }
  bool reduce(const SeawayReduce& call) override { return cuda::host::reduce(grid(), call); }
  bool hash(std::span<const SeawayLeaf> leaves) override { return cuda::host::hash(leaves.data(), leaves.size()); }
  bool lincomb(const SeawayLincomb& call) override { return cuda::host::lincomb(grid(), call); }
  bool outer_step(const SeawayOuterStep& call) override { return cuda::host::outer_step(grid(), call); }
  bool squares(const SeawaySquares& call) override { return cuda::host::squares(grid(), call); }

 private:
  unsigned grid() { return static_cast<unsigned>(random_.between(1, 9)); }

  Random random_{70};
  std::vector<std::byte> arena_ = std::vector<std::byte>(std::size_t{64} << 20);
  std::size_t taken_ = 0;
};

TEST_CASE("cuda: the kernels' bodies have the bits of the scalar kernels, whatever the grid") {
  Host host;
  for (const test::KernelCase& kernel_case : test::kernel_cases()) {
    CAPTURE(kernel_case.name);
    CHECK(kernel_case.run(host, 10) == "");
  }
}

TEST_CASE("cuda: hashes are those of the library") {
  Random random(76);
  Buffer data(140000, 0);
  fill(data, DType::u8, Content::arbitrary, random);
  for (std::size_t bytes = 241; bytes < 130000; bytes += bytes < 2200 ? 1 : 61) {
    CAPTURE(bytes);
    SeawayHash hash{};
    const std::size_t at = random.below(data.size() - bytes);
    const SeawayLeaf leaf{data.data() + (random.one_in(2) ? at : at / 8 * 8), bytes, &hash};
    CHECK(cuda::host::hash(&leaf, 1));
    const std::span<const std::byte> same(static_cast<const std::byte*>(leaf.data), bytes);
    CHECK(hash.low == hash64(same));
    CHECK(Hash128{hash.low, hash.high} == hash128(same));
  }
}

}  // namespace
}  // namespace seaway
