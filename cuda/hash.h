// The body of the leaf hash: a leaf to a block of threads. Its warps sum the stripes of some kilobytes each, in any order; the first
// warp then scrambles the sums one after the other, while the others are at the next (hash/math.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cuda/warp.h"
#include "device/calls.h"
#include "hash/math.h"

namespace seaway::cuda {

// Of one launch. A block has one leaf, so that few leaves leave most of a device idle; and a table is copied whole, so that a chunk of an
// op has a short one.
inline constexpr unsigned kMostLeaves = 1024;
inline constexpr unsigned kFewLeaves = 8;
// Kilobytes that a warp has under way at once, as memory is far away.
inline constexpr unsigned kKilobytes = 4;
inline constexpr unsigned kRound = kWarps * kKilobytes;

template <unsigned kMost>
struct HashWork {
  std::uint32_t leaf_count;
  SeawayLeaf leaves[kMost];
};

struct HashShared {
  std::uint64_t sums[2][kRound][math::Xxh3::kLanes];
  std::uint64_t lanes[math::Xxh3::kLanes];
};

template <class Warp>
using Words = typename Warp::template Each<std::uint64_t>;

SEAWAY_HD inline std::uint64_t load_word(const unsigned char* from) {
  std::uint64_t word = 0;
  for (unsigned i = 0; i < 8; ++i) {
    word |= std::uint64_t{from[i]} << (8 * i);
  }
  return word;
}

// Of a kilobyte lane l of a warp has eight bytes of each of these steps, of four stripes: those of lane l % 8 of the hash.
inline constexpr unsigned kSteps = math::Xxh3::kStripes / 4;
SEAWAY_HD inline unsigned stripe_of(unsigned step, unsigned lane) { return step * 4 + lane / math::Xxh3::kLanes; }
SEAWAY_HD inline unsigned place_of(unsigned lane) { return lane % math::Xxh3::kLanes * 8; }

// The sums over the stripes, in every lane, of what each lane's bytes add to their own lane of the hash, and to that beside it.
template <class Warp>
SEAWAY_HD inline Words<Warp> summed(const Warp& warp, Words<Warp> products, const Words<Warp>& words) {
  const Words<Warp> beside = warp.crossed(words, 1);
  warp.each([&](unsigned lane) { products[lane] += beside[lane]; });
  for (unsigned with = math::Xxh3::kLanes; with < kLanes; with *= 2) {
    const Words<Warp> other = warp.crossed(products, with);
    warp.each([&](unsigned lane) { products[lane] += other[lane]; });
  }
  return products;
}

template <class Warp>
SEAWAY_HD inline void store_sum(const Warp& warp, const Words<Warp>& sum, std::uint64_t* to) {
  warp.each([&](unsigned lane) {
    if (lane < math::Xxh3::kLanes) {
      to[lane] = sum[lane];
    }
  });
}

// What up to 16 stripes add to lane l % 8 of the hash, in every lane l, wherever they lie.
template <class Warp>
SEAWAY_HD inline Words<Warp> stripes_of(const Warp& warp, const unsigned char* data, unsigned stripes,
                                        unsigned secret) {
  Words<Warp> products;
  Words<Warp> words;
  warp.each([&](unsigned lane) {
    std::uint64_t product = 0;
    std::uint64_t sum = 0;
    SEAWAY_UNROLL for (unsigned step = 0; step < kSteps; ++step) {
      const unsigned stripe = stripe_of(step, lane);
      if (stripe < stripes) {
        const std::uint64_t word = load_word(data + stripe * math::Xxh3::kStripe + place_of(lane));
        product += math::xxh3_product(word, math::xxh3_secret(secret + stripe * 8 + place_of(lane)));
        sum += word;
      }
    }
    products[lane] = product;
    words[lane] = sum;
  });
  return summed(warp, products, words);
}

// The same of some whole kilobytes that are aligned, into `sums`: all are loaded before the first is summed, and in place of those that
// there are not the first once more.
template <class Warp>
SEAWAY_HD inline void kilobytes_of(const Warp& warp, const unsigned char* data, unsigned kilobytes,
                                   const Words<Warp> (&secrets)[kSteps], std::uint64_t (*sums)[math::Xxh3::kLanes]) {
  Words<Warp> loaded[kKilobytes][kSteps];
  warp.each([&](unsigned lane) {
    SEAWAY_UNROLL for (unsigned i = 0; i < kKilobytes; ++i) {
      const unsigned char* const from = data + (i < kilobytes ? i : 0) * math::Xxh3::kBlock + place_of(lane);
      SEAWAY_UNROLL for (unsigned step = 0; step < kSteps; ++step) {
        loaded[i][step][lane] =
            *reinterpret_cast<const std::uint64_t*>(from + stripe_of(step, lane) * math::Xxh3::kStripe);
      }
    }
  });
  SEAWAY_UNROLL for (unsigned i = 0; i < kKilobytes; ++i) {
    Words<Warp> products;
    Words<Warp> words;
    warp.each([&](unsigned lane) {
      products[lane] = words[lane] = 0;
      SEAWAY_UNROLL for (unsigned step = 0; step < kSteps; ++step) {
        const std::uint64_t word = loaded[i][step][lane];
        products[lane] += math::xxh3_product(word, secrets[step][lane]);
        words[lane] += word;
      }
    });
    store_sum(warp, summed(warp, products, words), sums[i]);
  }
}

template <class Block>
SEAWAY_HD inline void hash_leaf(Block& block, const SeawayLeaf& leaf) {
  using Warp = typename Block::Warp;
  using math::Xxh3;
  const unsigned char* const data = static_cast<const unsigned char*>(leaf.data);
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(data) % 8 == 0;
  const std::uint64_t kilobytes = (leaf.bytes - 1) / Xxh3::kBlock;
  Words<Warp> hash;
  Words<Warp> secrets[kSteps];
  block.each_warp([&](const Warp& warp, unsigned) {
    warp.each([&](unsigned lane) {
      hash[lane] = math::xxh3_start(lane % Xxh3::kLanes);
      SEAWAY_UNROLL for (unsigned step = 0; step < kSteps; ++step) {
        secrets[step][lane] = math::xxh3_secret(stripe_of(step, lane) * 8 + place_of(lane));
      }
    });
  });
  for (std::uint64_t begin = 0; begin < kilobytes; begin += kRound) {
    auto& sums = block.shared.sums[begin / kRound % 2];
    block.each_warp([&](const Warp& warp, unsigned number) {
      const std::uint64_t first = begin + number * kKilobytes;
      if (first < kilobytes) {
        const auto some = static_cast<unsigned>(kilobytes - first < kKilobytes ? kilobytes - first : kKilobytes);
        const unsigned char* const from = data + first * Xxh3::kBlock;
        if (is_aligned) {
          kilobytes_of(warp, from, some, secrets, &sums[number * kKilobytes]);
        } else {
          for (unsigned i = 0; i < some; ++i) {
            store_sum(warp, stripes_of(warp, from + i * Xxh3::kBlock, Xxh3::kStripes, 0),
                      sums[number * kKilobytes + i]);
          }
        }
      }
    });
    // The other half of the sums is read until the first warp comes here again.
    block.sync();
    block.first_warp([&](const Warp& warp) {
      warp.each([&](unsigned lane) {
        const std::uint64_t secret = math::xxh3_secret(Xxh3::kScramble + place_of(lane));
        const auto some = static_cast<unsigned>(kilobytes - begin < kRound ? kilobytes - begin : kRound);
        for (unsigned i = 0; i < some; ++i) {
          hash[lane] = math::xxh3_scramble(hash[lane] + sums[i][lane % Xxh3::kLanes], secret);
        }
      });
    });
  }
  block.first_warp([&](const Warp& warp) {
    const std::uint64_t rest = leaf.bytes - 1 - kilobytes * Xxh3::kBlock;
    const Words<Warp> stripes =
        stripes_of(warp, data + kilobytes * Xxh3::kBlock, static_cast<unsigned>(rest / Xxh3::kStripe), 0);
    const unsigned char* const end = data + leaf.bytes;
    const Words<Warp> last = stripes_of(warp, end - Xxh3::kStripe, 1, Xxh3::kLastStripe);
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
}

}  // namespace seaway::cuda
