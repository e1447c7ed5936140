// The body of the leaf hash: a leaf to a block of threads. Its warps sum the stripes of a kilobyte each, in any order; the first
// warp then scrambles the sums one after the other, while the others are at the next (hash/math.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cuda/warp.h"
#include "device/calls.h"
#include "hash/math.h"

namespace seaway::cuda {

inline constexpr unsigned kMostLeaves = 128;

struct HashWork {
  std::uint32_t leaf_count;
  SeawayLeaf leaves[kMostLeaves];
};

struct HashShared {
  std::uint64_t sums[2][kWarps][math::Xxh3::kLanes];
  std::uint64_t lanes[math::Xxh3::kLanes];
};

template <class Warp>
using Words = typename Warp::template Each<std::uint64_t>;

SEAWAY_HD inline std::uint64_t load_word(const unsigned char* from, bool is_aligned) {
  if (is_aligned) {
    return *reinterpret_cast<const std::uint64_t*>(from);
  }
  std::uint64_t word = 0;
  for (unsigned i = 0; i < 8; ++i) {
    word |= std::uint64_t{from[i]} << (8 * i);
  }
  return word;
}

// What up to 16 stripes add to lane l % 8, in every lane l: four stripes at once.
template <class Warp>
SEAWAY_HD inline Words<Warp> stripes_of(const Warp& warp, const unsigned char* data, unsigned stripes, unsigned secret,
                                        bool is_aligned) {
  constexpr unsigned kLanesOfHash = math::Xxh3::kLanes;
  Words<Warp> products;
  Words<Warp> words;
  warp.each([&](unsigned lane) {
    std::uint64_t product = 0;
    std::uint64_t sum = 0;
    SEAWAY_UNROLL for (unsigned step = 0; step < math::Xxh3::kStripes / 4; ++step) {
      const unsigned stripe = step * 4 + lane / kLanesOfHash;
      if (stripe < stripes) {
        const unsigned at = lane % kLanesOfHash * 8;
        const std::uint64_t word = load_word(data + stripe * math::Xxh3::kStripe + at, is_aligned);
        product += math::xxh3_product(word, math::xxh3_secret(secret + stripe * 8 + at));
        sum += word;
      }
    }
    products[lane] = product;
    words[lane] = sum;
  });
  const Words<Warp> beside = warp.crossed(words, 1);
  warp.each([&](unsigned lane) { products[lane] += beside[lane]; });
  for (unsigned with = kLanesOfHash; with < kLanes; with *= 2) {
    const Words<Warp> other = warp.crossed(products, with);
    warp.each([&](unsigned lane) { products[lane] += other[lane]; });
  }
  return products;
}

template <class Block>
SEAWAY_HD inline void hash_leaf(Block& block, const SeawayLeaf& leaf) {
  using Warp = typename Block::Warp;
  using math::Xxh3;
  const unsigned char* const data = static_cast<const unsigned char*>(leaf.data);
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(data) % 8 == 0;
  const std::uint64_t kilobytes = (leaf.bytes - 1) / Xxh3::kBlock;
  Words<Warp> hash;
  block.first_warp(
      [&](const Warp& warp) { warp.each([&](unsigned lane) { hash[lane] = math::xxh3_start(lane % Xxh3::kLanes); }); });
  for (std::uint64_t begin = 0; begin < kilobytes; begin += kWarps) {
    auto& sums = block.shared.sums[begin / kWarps % 2];
    block.each_warp([&](const Warp& warp, unsigned number) {
      if (begin + number < kilobytes) {
        const Words<Warp> sum = stripes_of(warp, data + (begin + number) * Xxh3::kBlock, Xxh3::kStripes, 0, is_aligned);
        warp.each([&](unsigned lane) {
          if (lane < Xxh3::kLanes) {
            sums[number][lane] = sum[lane];
          }
        });
      }
    });
    // The other half of the sums is read until the first warp comes here again.
    block.sync();
    block.first_warp([&](const Warp& warp) {
      warp.each([&](unsigned lane) {
        const std::uint64_t secret = math::xxh3_secret(Xxh3::kScramble + lane % Xxh3::kLanes * 8);
        for (std::uint64_t i = 0; i < kWarps && begin + i < kilobytes; ++i) {
          hash[lane] = math::xxh3_scramble(hash[lane] + sums[i][lane % Xxh3::kLanes], secret);
        }
      });
    });
  }
  block.first_warp([&](const Warp& warp) {
    const std::uint64_t rest = leaf.bytes - 1 - kilobytes * Xxh3::kBlock;
    const Words<Warp> stripes =
        stripes_of(warp, data + kilobytes * Xxh3::kBlock, static_cast<unsigned>(rest / Xxh3::kStripe), 0, is_aligned);
    const unsigned char* const end = data + leaf.bytes;
    const Words<Warp> last = stripes_of(warp, end - Xxh3::kStripe, 1, Xxh3::kLastStripe, false);
    warp.each([&](unsigned lane) {
      if (lane < Xxh3::kLanes) {
        block.shared.lanes[lane] = hash[lane] + stripes[lane] + last[lane];
      }
    });
    warp.each([&](unsigned lane) {
      if (lane == 0) {
        *leaf.hash = {math::xxh3_low(block.shared.lanes, leaf.bytes), math::xxh3_high(block.shared.lanes, leaf.bytes)};
      }
    });
  });
  block.sync();  // before the next leaf
}

}  // namespace seaway::cuda
