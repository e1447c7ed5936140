#include "hash/hash.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace seaway {
namespace {

// The input of the sanity checks in xxHash's own tests, so that its published answers apply.
std::vector<std::byte> sanity_buffer(std::size_t size) {
  std::vector<std::byte> buffer(size);
  std::uint64_t state = 2654435761u;
  for (std::byte& byte : buffer) {
    byte = static_cast<std::byte>(state >> 56);
    state *= 11400714785074694797u;
  }
  return buffer;
}

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST_CASE("hash: hash64 is canonical XXH3, across its ways of treating short and long inputs") {
  struct Answer {
    std::size_t size;
    std::uint64_t hash;
  };
  constexpr Answer kAnswers[] = {
      {0, 0x2D06800538D394C2u},    {1, 0xC44BDFF4074EECDBu},   {6, 0x27B56A84CD2D7325u},    {12, 0xA713DAF0DFBB77E7u},
      {24, 0xA3FE70BF9D3510EBu},   {48, 0x397DA259ECBA1F11u},  {80, 0xBCDEFBBB2C47C90Au},   {195, 0xCD94217EE362EC3Au},
      {403, 0xCDEB804D65C6DEA4u},  {512, 0x617E49599013CB6Bu}, {2048, 0xDD59E2C3A5F038E0u}, {2240, 0x6E73A90539CF2948u},
      {2367, 0xCB37AEB9E5D361EDu},
  };
  for (const Answer& answer : kAnswers) {
    CAPTURE(answer.size);
    CHECK(hash64(sanity_buffer(answer.size)) == answer.hash);
  }
  CHECK(hash64(bytes_of("abc")) == 0x78AF5F94892F3950u);
}

TEST_CASE("hash: hash128 is canonical XXH3") {
  CHECK(hash128({}) == Hash128{0x6001C324468D497Fu, 0x99AA06D3014798D8u});
  CHECK(hash128(sanity_buffer(1)) == Hash128{0xC44BDFF4074EECDBu, 0xA6CD5E9392000F6Au});
  CHECK(hash128(sanity_buffer(6)) == Hash128{0x3E7039BDDA43CFC6u, 0x082AFE0B8162D12Au});
  CHECK(hash128(sanity_buffer(12)) == Hash128{0x061A192713F69AD9u, 0x6E3EFD8FC7802B18u});
  CHECK(hash128(bytes_of("abc")) == Hash128{0x78AF5F94892F3950u, 0x06B05AB6733A6185u});
}

TEST_CASE("hash: the root is hash64 of the leaves as little-endian bytes") {
  const std::uint64_t leaves[] = {0x0807060504030201u, 0x100f0e0d0c0b0a09u, 0xffffffffffffffffu};
  std::vector<std::byte> bytes;
  for (std::uint64_t leaf : leaves) {
    for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<std::byte>(leaf >> shift));
  }
  CHECK(combine(leaves) == hash64(bytes));
  CHECK(combine({}) == hash64({}));
}

TEST_CASE("hash: the root tells a changed, missing, added or moved leaf") {
  const std::vector<std::uint64_t> leaves{1, 2, 3, 4, 5};
  const std::uint64_t root = combine(leaves);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    std::vector<std::uint64_t> changed = leaves;
    changed[i] ^= 1;
    CHECK(combine(changed) != root);
  }
  CHECK(combine(std::vector<std::uint64_t>{1, 2, 3, 4}) != root);
  CHECK(combine(std::vector<std::uint64_t>{1, 2, 3, 4, 5, 0}) != root);
  CHECK(combine(std::vector<std::uint64_t>{2, 1, 3, 4, 5}) != root);
}

}  // namespace
TEST_CASE("hash: a tensor hashed piece by piece, by any variant, has the hash of one pass") {
  std::vector<std::byte> data(100'000);
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] = static_cast<std::byte>(i * 2654435761u >> 13);
  }
  const auto scalar = scalar_hasher();
  const auto avx2 = __builtin_cpu_supports("avx2") ? avx2_hasher() : nullptr;
  for (const std::size_t length : {0u, 1u, 240u, 241u, 8191u, 8192u, 100'000u}) {
    const std::span<const std::byte> whole(data.data(), length);
    for (Hasher64* hasher : {scalar.get(), avx2.get()}) {
      if (hasher == nullptr) {
        continue;
      }
      hasher->reset();
      for (std::size_t at = 0; at < length; at += 8192) {
        hasher->add(whole.subspan(at, std::min<std::size_t>(8192, length - at)));
      }
      CHECK(hasher->value() == hash64(whole));
    }
  }
}

}  // namespace seaway
